"""What every chapter has to be, checked on the files; that they run is checked by running them."""

import re
import statistics

import nbformat
import pytest
import yaml

from tests.helpers import ROOT

CHAPTERS = sorted((ROOT / "book").glob("[0-9]*/*.ipynb"))
SOLUTIONS = sorted((ROOT / "book" / "solutions").glob("*.ipynb"))
APPENDIX = sorted((ROOT / "book" / "appendix").glob("*.ipynb"))
REPOSITORY = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))["repository"]["url"]
SETUP = f"""import sys

if "google.colab" in sys.modules:
    %pip install -q --no-deps git+{REPOSITORY}
import dlt

dlt.training.start(seed="""
MYST = re.compile(r"^(:::|```)\{|\{(cite|ref|numref|term|doc|eq|math)[:\w]*\}`", flags=re.MULTILINE)
FIGURE = re.compile(r"(^|\s)(fig|dlt\.plot\.\w+\(.*\)|\w+\.plot\(.*\))$", flags=re.DOTALL)

each_notebook = pytest.mark.parametrize(
    "path", CHAPTERS + SOLUTIONS + APPENDIX, ids=lambda p: f"{p.parent.name}/{p.stem}"
)
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)


def cells(path, kind):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def text(path):
    return "\n\n".join(cell.source for cell in cells(path, "markdown"))


def code_lines(path):
    return [line for cell in cells(path, "code") for line in cell.source.splitlines() if line.strip()]


def test_there_are_chapters_and_each_has_solutions():
    assert CHAPTERS
    assert [path.name for path in CHAPTERS] == [path.name for path in SOLUTIONS]


def test_every_notebook_is_in_the_table_of_contents():
    toc = (ROOT / "_toc.yml").read_text(encoding="utf8")
    listed = re.findall(r"file: (book/(?:\d|solutions|appendix/(?!api))\S*)", toc)
    assert sorted(listed) == sorted(str(p.relative_to(ROOT).with_suffix("")) for p in CHAPTERS + SOLUTIONS + APPENDIX)


@each_notebook
def test_stored_without_outputs(path):
    for cell in cells(path, "code"):
        assert not cell.outputs
        assert cell.execution_count is None


@each_notebook
def test_begins_with_a_title_and_the_setup(path):
    first, second = nbformat.read(path, as_version=4).cells[:2]
    assert first.source.startswith(f"# {path.name[:2]} · ") or (
        path in SOLUTIONS + APPENDIX and first.source.startswith("# ")
    )
    assert second.source.startswith(SETUP), "the setup cell is the same in every notebook, but for its seed"


@each_notebook
def test_code_is_in_small_pieces(path):
    lengths = [len(cell.source.splitlines()) for cell in cells(path, "code")]
    assert statistics.median(lengths) <= 8
    assert max(lengths) <= 40


@each_chapter
def test_prose_and_code_are_in_balance(path):
    assert 10 <= len(text(path).split()) / len(code_lines(path)) <= 20


@each_chapter
def test_chapters_have_an_end(path):
    assert 1800 <= len(text(path).split()) <= 3500
    assert len(cells(path, "code")) <= 45


@each_notebook
def test_markdown_is_portable(path):
    assert not MYST.search(text(path))


@each_notebook
def test_figures_have_alt_text(path):
    for cell in cells(path, "code"):
        if FIGURE.search(cell.source.rstrip().rstrip(";")):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt.split()) >= 6, f"no alt text for the figure of:\n{cell.source}"


@each_notebook
def test_no_backend_is_imported(path):
    for line in code_lines(path):
        assert not re.match(r"\s*(import|from) (tensorflow|jax|torch|matplotlib)\b", line), line


@each_notebook
def test_claims_are_asserted(path):
    asserts = [line for line in code_lines(path) if re.match(r"\s*assert |\s*np\.testing\.assert_", line)]
    assert len(asserts) >= (8 if path in CHAPTERS else 3)
    assert not [line for line in asserts if re.match(r"\s*assert (True|1)\s*(#|,|$)", line)]
    assert "try:" not in "".join(code_lines(path)) or "else:" in "".join(code_lines(path)), "a swallowed error"


@each_chapter
def test_has_all_parts_of_a_chapter(path):
    chapter = text(path)
    opening = nbformat.read(path, as_version=4).cells[0].source
    assert "You will be able to" in opening
    assert len(re.findall(r"^[-*] ", opening, flags=re.MULTILINE)) == 3
    assert re.search(r"CPU", opening)
    assert re.search(r"GPU", opening)
    for heading in ("The same thing in dlt", "Predict, then measure", "Summary", "Exercises", "Further reading"):
        assert re.search(rf"^## {heading}", chapter, flags=re.MULTILINE), heading
    assert "choose_profile(" in "\n".join(code_lines(path))
    assert f"../solutions/{path.name}" in chapter
    assert re.search(r"https://", chapter.partition("## Further reading")[2])


@each_chapter
def test_every_exercise_is_solved(path):
    exercises = text(path).partition("## Exercises")[2].partition("## Further reading")[0]
    count = len(re.findall(r"^(?:\d+\.|###? Exercise|\*\*Exercise|\*\*\d)", exercises, flags=re.MULTILINE))
    assert 3 <= count <= 5
    solved = re.findall(r"^## Exercise \d", text(ROOT / "book" / "solutions" / path.name), flags=re.MULTILINE)
    assert len(solved) == count


@each_notebook
def test_links_between_notebooks_lead_somewhere(path):
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", text(path)):
        assert (path.parent / target).exists(), target


def unlisted(prose, bibliography):
    """Return the papers that a text links by their arXiv number or DOI, and that a bibliography does not have."""
    arxiv = re.findall(r"arxiv\.org/\w+/(\d{4}\.\d{4,5})", prose)
    doi = re.findall(r"doi\.org/(10\.(?:\(\w+\)|[^\s()\]>])+)", prose)
    listed = {entry.lower() for entry in re.findall(r"(?:arxiv\.org/\w+/|doi\.org/|doi = \{)([^}\s]+)\}", bibliography)}
    return {paper for paper in arxiv + doi if paper.lower() not in listed}


@pytest.fixture(scope="module")
def bibliography():
    return (ROOT / "book" / "references.bib").read_text(encoding="utf8")


@each_notebook
def test_every_linked_paper_is_in_the_bibliography(path, bibliography):
    assert not unlisted(text(path), bibliography)


def test_every_paper_that_a_page_links_is_in_the_bibliography(bibliography):
    pages = [*(ROOT / "book").glob("*.md"), *(ROOT / "book" / "appendix").glob("*.md")]
    assert not unlisted("\n".join(page.read_text(encoding="utf8") for page in pages), bibliography)


def test_a_paper_that_is_missing_from_the_bibliography_is_named(bibliography):
    prose = "[a](https://arxiv.org/abs/1505.04597) [b](https://arxiv.org/abs/0000.00000v1), \
[c](https://doi.org/10.1016/0165-1684(94)90060-4) and [d](https://doi.org/10.1234/nothing)."
    assert unlisted(prose, bibliography) == {"0000.00000", "10.1234/nothing"}
    only_once = bibliography.replace("https://arxiv.org/abs/1505.04597", "")
    assert "1505.04597" in unlisted(prose, only_once)


def test_no_entry_of_the_bibliography_stands_twice(bibliography):
    keys, urls = (re.findall(pattern, bibliography) for pattern in (r"@\w+\{([^,]+),", r"(?:url|doi) = \{([^}]+)\}"))
    assert len(keys) == len(set(keys))
    assert len(urls) == len(set(urls))


def test_the_glossary_is_in_alphabetical_order():
    page = (ROOT / "book" / "glossary.md").read_text(encoding="utf8")
    words = re.findall(r"^(\S.*)\n  \S", page, flags=re.MULTILINE)
    assert len(words) > 150
    assert words == sorted(words, key=str.casefold)
    assert len(words) == len({word.casefold() for word in words})
