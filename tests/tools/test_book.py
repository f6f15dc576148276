"""The book is never falsely green: a failure fails the first time and every time after."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.helpers import ROOT
from tools.book import dealt, survivors

CONFIG = "title: Tiny\nonly_build_toc_files: true\nrepository: {url: https://github.com/a/b}\n"
TOC = "format: jb-book\nroot: book/index\nchapters:\n  - file: book/1-x/01-a\n"


@pytest.fixture
def project(tmp_path):
    """A book of one page and one chapter, whose package says what it prints."""
    shutil.copytree(ROOT / "tools", tmp_path / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in {
        "_config.yml": CONFIG,
        "_toc.yml": TOC,
        "requirements.txt": "",
        "book/index.md": "# Tiny\n",
        "dlt/__init__.py": "word = 'first'\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    write_chapter(tmp_path, "import dlt\nprint(dlt.word)")
    return tmp_path


def write_chapter(project, code):
    notebook = new_notebook(cells=[nbformat.v4.new_markdown_cell("# 01 · A"), new_code_cell(code)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (project / "book" / "1-x").mkdir(exist_ok=True)
    nbformat.write(notebook, project / "book" / "1-x" / "01-a.ipynb")


def make_book(project):
    env = {**os.environ, "PYTHONPATH": str(project)}
    return subprocess.run([sys.executable, "-m", "tools.book"], cwd=project, env=env, capture_output=True, text=True)


def page(project):
    return (project / "build" / "site" / "_build" / "html" / "book" / "1-x" / "01-a.html").read_text()


def test_builds_once_and_again_when_the_package_changes(project):
    result = make_book(project)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 notebooks, 1 to run" in result.stdout
    assert " s  passed  book/1-x/01-a.ipynb" in result.stdout
    assert "index.html" in result.stdout.splitlines()[-1]
    assert "first" in page(project)
    again = make_book(project)
    assert again.returncode == 0
    assert "1 notebooks, 0 to run" in again.stdout
    assert "nothing changed" in again.stdout
    (project / "dlt" / "__init__.py").write_text("word = 'second'\n")
    changed = make_book(project)
    assert changed.returncode == 0
    assert "1 notebooks, 1 to run" in changed.stdout
    assert "second" in page(project)
    assert (
        "outputs" not in (project / "book" / "1-x" / "01-a.ipynb").read_text()
        or not nbformat.read(project / "book" / "1-x" / "01-a.ipynb", as_version=4).cells[1].outputs
    )


def test_each_of_two_workers_gets_chapters_first():
    names = ["1-x/01-a", "1-x/02-b", "2-y/03-c", "solutions/01-a", "solutions/02-b", "solutions/03-c"]
    found = ["/".join(path.parts) for path in dealt(map(pathlib.Path, names))]
    assert found[:3] == ["1-x/01-a", "2-y/03-c", "solutions/02-b"]
    assert found[3:] == ["1-x/02-b", "solutions/01-a", "solutions/03-c"]


def test_a_failing_cell_fails_every_time(project):
    write_chapter(project, "assert 1 + 1 == 3, 'so much for arithmetic'")
    for _ in range(2):
        result = make_book(project)
        assert result.returncode != 0
        assert "so much for arithmetic" in result.stdout
        assert "a chapter failed" in result.stderr


linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")


@linux
def test_a_process_that_survives_its_chapter_fails_every_time(project):
    """The kernel ends its children; here is one that it does not know."""
    orphan = "import subprocess\nsubprocess.run('sleep 120 & echo $! > left', shell=True, start_new_session=True)"
    write_chapter(project, orphan)
    for _ in range(2):
        result = make_book(project)
        os.kill(int((project / "build" / "executed" / "book" / "1-x" / "left").read_text()), signal.SIGKILL)
        assert result.returncode != 0
        assert "survived their chapter" in result.stdout
        assert ": sleep 120" in result.stdout


@linux
def test_survivors_are_those_that_have_the_word_and_are_alive():
    with subprocess.Popen(["sleep", "120"], env={**os.environ, "DLT_MARK": "a-word"}) as process:
        try:
            assert survivors("a-word", patience=0) == [f"{process.pid}: sleep 120 "]
            assert survivors("no-word", patience=0) == []
        finally:
            process.kill()
    assert survivors("a-word", patience=0) == []


def test_a_sphinx_warning_fails_every_time(project):
    (project / "book" / "index.md").write_text("# Tiny\n\n[to nowhere](nowhere.md)\n")
    for _ in range(2):
        result = make_book(project)
        assert result.returncode != 0
        assert "nowhere" in result.stdout + result.stderr
        assert "the site has warnings" in result.stderr
    (project / "book" / "index.md").write_text("# Tiny\n")
    assert make_book(project).returncode == 0
