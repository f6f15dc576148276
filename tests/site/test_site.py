"""The built site as a reader's browser sees it, at desk and phone width, in light and dark."""

import functools
import io
import json
import re
import subprocess
import tomllib
import urllib.parse

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.site.conftest import DESK, HTML, MEASURE, PAGES, PHONE, ROOT, go, set_theme, violations

pytestmark = pytest.mark.site
CHAPTERS = [name for name in PAGES if re.match(r"book/(\d|solutions|appendix/(?!api))", name)]
REPOSITORY = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))["repository"]

each_theme = pytest.mark.parametrize("theme", ["light", "dark"])
each_width = pytest.mark.parametrize(("where", "size"), [("phone", PHONE), ("desk", DESK)], ids=["phone", "desk"])


def test_nothing_goes_wrong(opened):
    assert opened.title()
    assert opened.problems == []


def test_every_image_has_alt_text_and_loads(desk):
    for image in desk.query_selector_all("article img"):
        source, alt = image.get_attribute("src"), image.get_attribute("alt")
        assert alt, source
        assert not re.search(r"\.(png|svg)$|_images/", alt), f"a file name is no alt text: {alt}"
        image.evaluate("image => { image.loading = 'eager'; return image.decode(); }")  # raises if it cannot be shown


@each_theme
def test_no_serious_accessibility_violation_in_the_content(desk, theme):
    """Code apart: its thousands of coloured words have the same few colours everywhere."""
    assert violations(desk, {"include": [["article"]], "exclude": [["pre"]]}, theme) == {}


def test_figures_are_readable_in_the_dark(desk):
    """A figure is drawn dark on white, so on a dark page it has to bring its white along."""
    set_theme(desk, "dark")
    for image in desk.query_selector_all("article .cell_output img"):
        path = urllib.parse.urlparse(image.evaluate("image => image.src")).path
        pixels = np.asarray(Image.open(HTML / path.lstrip("/")))
        assert pixels.shape[-1] == 3 or pixels[..., 3].min() == 255, "a figure lets the dark page through"
        image.evaluate("image => { image.loading = 'eager'; return image.decode(); }")
        shot = np.asarray(Image.open(io.BytesIO(image.screenshot())).convert("L"), dtype=float)
        light, dark = np.percentile(shot, 99), np.percentile(shot, 0.03)  # paper and ink, of which there may be little
        assert (light + 13) / (dark + 13) > 4.5, "too little contrast"


def test_formulas_are_set(desk):
    if desk.query_selector_all("main .math"):
        desk.wait_for_selector("main mjx-container")
    assert desk.query_selector_all("main mjx-merror, main [data-mjx-error]") == []


def test_chapters_show_their_outputs_and_no_error(desk):
    text = desk.inner_text("main")
    assert "Traceback" not in text
    assert "WARNING:" not in text
    if desk.name in CHAPTERS:
        notebook = json.loads((ROOT / desk.name).with_suffix(".ipynb").read_text(encoding="utf8"))
        shown = desk.query_selector_all("main div.cell")
        assert len(shown) == sum(cell["cell_type"] == "code" for cell in notebook["cells"])
        assert desk.query_selector_all("main .cell_output")


@functools.cache
def files_in_git():
    return subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")


def test_colab_button_leads_to_a_file_in_git(opened):
    """Chapters have one; other pages have nothing to run."""
    links = {a.get_attribute("href") for a in opened.query_selector_all("a[href*='colab.research.google.com']")}
    owner_and_name = REPOSITORY["url"].removeprefix("https://github.com/")
    prefix = f"https://colab.research.google.com/github/{owner_and_name}/blob/{REPOSITORY['branch']}/"
    if opened.name in CHAPTERS:
        (link,) = links
        assert link.startswith(prefix)
        assert link.removeprefix(prefix) in files_in_git()
    else:
        assert links == set()


@each_width
def test_nothing_scrolls_sideways(opened, where, size):
    layout = opened.layout[where]
    assert layout["width"] <= size["width"], layout["too_wide"]


@each_width
def test_formulas_and_tables_stay_in_their_column(opened, where, size):
    """What is too wide for a phone scrolls in a box of its own, and the box is no wider than the text."""
    layout = opened.layout[where]
    assert layout["formulas_outside"] == []
    assert layout["tables_outside"] == []
    if where == "desk":
        assert layout["formulas_cut"] == []


def test_code_does_not_wrap_on_a_desk(opened):
    """Python's indentation does not survive it. What scrolls in a box of its own does not wrap.

    Chapters that still have long lines are listed in book/ruff.toml.
    """
    rules = tomllib.loads((ROOT / "book" / "ruff.toml").read_text(encoding="utf8"))
    late = [f"book/{name}" for name in rules.get("format", {}).get("exclude", ())]
    if opened.name.replace(".html", ".ipynb") not in late:
        assert opened.layout["desk"]["wrapped"] == []


def test_code_keeps_its_120_columns_on_a_wide_screen(page):
    go(page, "book/2-convnext/08-grn-and-v2.html")
    columns = {}
    for width in (1600, DESK["width"]):
        page.set_viewport_size({"width": width, "height": 900})
        columns[width] = page.eval_on_selector(
            ".cell_input pre",
            """pre => {
                const style = getComputedStyle(pre), canvas = document.createElement("canvas").getContext("2d");
                canvas.font = `${style.fontSize} ${style.fontFamily}`;
                const inside = pre.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
                return inside / canvas.measureText("m").width;
            }""",
        )
    assert columns[1600] >= 120 > columns[DESK["width"]]


@each_theme
def test_code_is_readable_in_every_colour(page, theme):
    """On a few pages, which together have every kind of word that highlighting tells apart anywhere."""
    code = {name: "".join(re.findall(r"<pre>.*?</pre>", (HTML / name).read_text("utf8"), re.DOTALL)) for name in PAGES}
    kinds = {name: set(re.findall(r'<span class="(\w+)">', text)) for name, text in code.items()}
    missing = set().union(*kinds.values())
    assert len(missing) > 10
    while missing:
        name = max(PAGES, key=lambda name: len(kinds[name] & missing))
        go(page, name)
        words = [page.query_selector(f"pre span.{kind}") for kind in kinds[name] & missing]
        words += page.query_selector_all(".cell_output pre")[:1]
        for word in words:
            word.evaluate("word => { word.dataset.checked = '' }")
        missing -= kinds[name]
        assert violations(page, "pre [data-checked]", theme) == {}


def edge(element):
    """Return by how many grey levels the right edge of an element differs from the rest of it, in the median."""
    shot = np.asarray(Image.open(io.BytesIO(element.screenshot())).convert("L"), dtype=float)
    return abs(np.median(shot[:, -3]) - np.median(shot))


@each_theme
def test_a_shadow_says_that_code_goes_on_to_the_right(page, theme):
    """On a phone, until its end is in sight; on a desk nothing is hidden."""
    go(page, "book/2-convnext/08-grn-and-v2.html")
    set_theme(page, theme)
    cells = page.locator(".cell_input pre")
    assert edge(cells.first) < 3
    page.set_viewport_size(PHONE)
    wide = cells.nth(cells.evaluate_all("cells => cells.findIndex(e => e.scrollWidth > e.clientWidth + 40)"))
    assert edge(wide) > 15
    wide.evaluate("e => { e.scrollLeft = e.scrollWidth }")
    assert edge(wide) < 3


def test_search_finds_grn(page):
    go(page, "search.html?q=GRN")
    page.wait_for_selector("ul.search li a")
    hits = [link.get_attribute("href") for link in page.query_selector_all("ul.search li a")]
    assert any("08-grn-and-v2" in hit for hit in hits)
    assert page.problems == []
    go(page, "search.html?q=xyzzyplugh")
    page.wait_for_selector("#search-results p.search-summary")
    assert not page.query_selector_all("ul.search li a")


def test_the_checks_can_say_no(page):
    """The controls: a page made to break the rules is caught by the same questions."""
    page.set_viewport_size(PHONE)
    page.goto("search.html")
    page.set_content(
        "<html lang=en><main><article><div style='width:900px'>wide</div><img src='nowhere.png'>"
        "<table style='width:900px'><tr><td>broad</table><div style='overflow-x:auto'>"
        "<table style='width:900px'><tr><td>boxed</table></div><div class=highlight><pre>" + 200 * "=" + "</pre>"
        "<pre style='overflow-x:auto'>" + 200 * "-" + "</pre></div>"
        "<mjx-container style='display:block;width:900px'><mjx-math style='display:block'>1 + 1</mjx-math>"
        "</mjx-container><mjx-container display=true style='display:block;overflow-x:auto'>"
        "<mjx-math style='display:block;width:900px'>2 + 2</mjx-math></mjx-container>"
        "<pre style='background: #fff'>dark <span style='color: #ccc' data-checked>pale</span></pre></article></main>"
    )
    page.wait_for_timeout(300)
    layout = page.evaluate(MEASURE)
    assert layout["width"] > PHONE["width"]
    assert "wide</div>" in layout["too_wide"][0]
    assert layout["tables_outside"] == ["broad"]
    assert layout["formulas_outside"] == ["1 + 1"]
    assert layout["formulas_cut"] == ["2 + 2"]
    assert layout["wrapped"] == [80 * "="]
    assert "image-alt" in violations(page, "article", "light")
    assert "color-contrast" in violations(page, "pre [data-checked]", "light")
    assert any("404" in problem for problem in page.problems)
