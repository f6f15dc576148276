"""A real browser on the built site, served on localhost."""

import functools
import http.server
import os
import pathlib
import shutil
import threading

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
HTML = ROOT / "build" / "site" / "_build" / "html"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8"))
ENTRIES = [chapter for part in TOC["parts"] for chapter in part["chapters"]]
FILES = [page["file"] for entry in ENTRIES for page in (entry, *entry.get("sections", ()))]
PAGES = [f"{name}.html" for name in (TOC["root"], *FILES)]
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
MEASURE = """() => {
    const column = document.querySelector("article").getBoundingClientRect();
    const few = (elements) => elements.slice(0, 5).map(e => (e.textContent.trim() || e.outerHTML).slice(0, 80));
    const outside = (e) => {
        const box = e.getBoundingClientRect();
        return box.right > column.right + 1 || box.left < column.left - 1;
    };
    const all = (selector) => [...document.querySelectorAll(selector)];
    const scrollable = (e) => ["auto", "scroll"].includes(getComputedStyle(e).overflowX);
    const cut = (e) => e.scrollWidth > e.clientWidth + 1;
    const boxOf = (e) => {
        let box = e;
        while (!scrollable(box) && box.tagName !== "ARTICLE") box = box.parentElement;
        return scrollable(box) ? box : e;
    };
    const formulas = all("article mjx-container").filter(e => !e.closest("table"));
    const tables = all("article table");
    const scrolls = (e) => getComputedStyle(e).whiteSpace === "pre" && scrollable(e);
    const code = all("article div.highlight pre").filter(e => !e.closest(".cell_output") && !scrolls(e));
    code.forEach(e => { e.style.whiteSpace = "pre" });
    const wrapped = code.filter(cut);
    code.forEach(e => { e.style.whiteSpace = "" });
    return {
        width: document.documentElement.scrollWidth,
        too_wide: all("main *").filter(e => e.getBoundingClientRect().right > innerWidth + 1).slice(0, 5)
            .map(e => e.outerHTML.slice(0, 120)),
        formulas_outside: few(formulas.filter(e => outside(scrollable(e) ? e : e.querySelector("mjx-math, svg") || e))),
        formulas_cut: few(formulas.filter(e => e.getAttribute("display") && cut(e))),
        tables_outside: few(tables.filter(e => outside(boxOf(e)))),
        wrapped: few(wrapped),
    };
}"""
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def site():
    """The address of the built site."""
    if not (HTML / "index.html").exists():
        pytest.skip("needs the built site: make book")
    with http.server.ThreadingHTTPServer(("localhost", 0), functools.partial(Silent, directory=HTML)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("CI has to install Chromium: see .ci/run")
        pytest.skip("needs Chromium, for example `apt install chromium`")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def context(browser, site):
    """A reader's browser, which reaches this site and no other, and keeps what it has fetched."""
    context = browser.new_context(viewport=DESK, base_url=site)
    context.set_default_timeout(120_000)  # a busy machine is slow, not wrong
    context.route(lambda url: not url.startswith((site, "data:", "blob:")), lambda route: route.abort())
    yield context
    context.close()


def new_page(context, site):
    """Return an empty page that remembers what went wrong on this site."""
    page = context.new_page()
    page.problems = []
    page.on("console", lambda message: note(page, message, site))
    page.on("pageerror", lambda error: page.problems.append(f"script error: {error}"))
    page.on("response", lambda r: r.status >= 400 and page.problems.append(f"{r.status} {r.url}"))
    return page


@pytest.fixture
def page(context, site):
    """An empty page."""
    page = new_page(context, site)
    yield page
    page.close()


@pytest.fixture(scope="module", params=PAGES)
def opened(request, context, site):
    """Each page of the book, opened once for all questions about it: first on a phone, which has never been wider."""
    page = new_page(context, site)
    page.name = request.param
    page.set_viewport_size(PHONE)
    go(page, page.name)
    page.layout = {"phone": page.evaluate(MEASURE)}
    page.set_viewport_size(DESK)
    page.layout["desk"] = page.evaluate(MEASURE)
    yield page
    page.close()


@pytest.fixture
def desk(opened):
    """Each page of the book on a desk, in the light."""
    set_theme(opened, "light")
    return opened


def go(page, name):
    """Open a page and wait until its formulas are set."""
    page.goto(name, wait_until="load")
    page.evaluate("async () => { await window.MathJax?.startup?.promise }")


def set_theme(page, theme):
    """Make a page light or dark and wait until its colours have turned."""
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.wait_for_function("document.getAnimations().every(a => a.playState === 'finished')")


def violations(page, context, theme):
    """Return what is seriously wrong in a part of the page for somebody who sees badly or not at all."""
    from axe_playwright_python.sync_playwright import Axe

    set_theme(page, theme)
    options = {"resultTypes": ["violations"]}
    if theme == "dark":
        options["runOnly"] = ["color-contrast"]  # nothing but colours changes
    found = Axe().run(page, context=context, options=options).response["violations"]
    return {v["id"]: [n["html"][:150] for n in v["nodes"][:3]] for v in found if v["impact"] in ("serious", "critical")}


def note(page, message, site):
    source = message.location.get("url", "")
    if message.type == "error" and (not source or source.startswith(site)):
        page.problems.append(f"console: {message.text} ({source})")
