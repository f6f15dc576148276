"""Execute the chapters and build the site: `make book`.

A chapter runs again when it, the package, the requirements or the profile changed. Its executed copy, and the site,
count as made only when nothing failed, so a failure stays a failure however often `make` is called.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable

import yaml

from tools.covers import write_covers
from tools.try_it import write_try_it

ROOT = pathlib.Path(__file__).parents[1]
BUILD = ROOT / "build"
EXECUTED = BUILD / "executed"
SOURCE = BUILD / "source"
SITE = BUILD / "site"
HTML = SITE / "_build" / "html"


def digest(paths: Iterable[pathlib.Path], *words: str) -> str:
    """Return a hash of the files, by name and content, and of the words."""
    state = hashlib.sha256(repr(words).encode())
    for path in sorted(paths):
        state.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return state.hexdigest()


def package_files() -> list[pathlib.Path]:
    """Return what the result of every chapter depends on."""
    files = [path for path in (ROOT / "dlt").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return [*files, ROOT / "requirements.txt"]


def survivors(mark: str, patience: float = 5) -> list[str]:
    """Return the processes, number and command, whose environment has a word: on Linux, those that are still there.

    They get some seconds to end.
    """
    end = time.monotonic() + patience
    while True:
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if mark.encode() in (path / "environ").read_bytes():
                    command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found.append(f"{path.name}: {command[:200]}")
            except OSError:  # it has ended meanwhile, or belongs to somebody else
                continue
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.2)


def dealt(notebooks: Iterable[pathlib.Path]) -> list[pathlib.Path]:
    """Return the notebooks in such an order that two workers, who begin with half of the list each, end together.

    The chapters, which take longer than their solutions, come first in both halves: at the end, a worker without work
    waits for the last two notebooks of the other.
    """
    chapters_first = sorted(notebooks, key=lambda path: ("solutions" in path.parts, path))
    return chapters_first[::2] + chapters_first[1::2]


def execute() -> bool:
    """Run the chapters whose executed copy is missing or old; return whether all of them ran."""
    notebooks = sorted((ROOT / "book").rglob("*.ipynb"))
    package = digest(package_files(), os.environ.get("DLT_PROFILE", ""))
    stale = {}
    for notebook in notebooks:
        copy = EXECUTED / notebook.relative_to(ROOT)
        key = digest([notebook], package)
        if not copy.exists() or not copy.with_suffix(".key").exists() or copy.with_suffix(".key").read_text() != key:
            stale[copy] = key
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.with_suffix(".key").unlink(missing_ok=True)
            shutil.copyfile(notebook, copy)
    print(f"{len(notebooks)} notebooks, {len(stale)} to run", flush=True)
    if not stale:
        return True
    report = BUILD / "passed.txt"
    report.unlink(missing_ok=True)
    options = ["--nbmake", "--overwrite", "--nbmake-timeout=600", "-n", "2", "--dist", "worksteal"]
    places = ["-c", ROOT / "tools" / "notebooks.ini", "--rootdir", EXECUTED]
    quiet = ["-p", "tools.progress", "-q", "--no-header"]
    mark = uuid.uuid4().hex  # each process that a chapter starts inherits it
    failed = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *map(str, places), *quiet, *map(str, dealt(stale))],
        cwd=ROOT,
        env={**os.environ, "DLT_PASSED": str(report), "DLT_MARK": mark},
    ).returncode
    if left := survivors(mark):
        print("these processes have survived their chapter:", *left, sep="\n  ", flush=True)
        return False
    passed = report.read_text().splitlines() if report.exists() else []
    for copy, key in stale.items():
        if str(copy.relative_to(EXECUTED)) in passed:
            copy.with_suffix(".key").write_text(key)
    return not failed


def assemble() -> None:
    """Lay out the site's source: the pages, the executed notebooks, and a configuration that executes nothing."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(ROOT / "book", SOURCE / "book", ignore=shutil.ignore_patterns("*.ipynb", ".ipynb_checkpoints"))
    for notebook in (ROOT / "book").rglob("*.ipynb"):
        shutil.copyfile(EXECUTED / notebook.relative_to(ROOT), SOURCE / notebook.relative_to(ROOT))
    write_covers(SOURCE / "book")
    write_try_it(SOURCE / "book", digest(package_files()))
    shutil.copyfile(ROOT / "_toc.yml", SOURCE / "_toc.yml")
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))
    config["execute"] = {"execute_notebooks": "off"}
    (SOURCE / "_config.yml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf8")


def build() -> bool:
    """Build the site with every warning an error, unless it already stands for just these sources."""
    assemble()
    key = digest([path for path in SOURCE.rglob("*") if path.is_file()], digest(package_files()))
    done = SITE / "key"
    if done.exists() and done.read_text() == key:
        print("site: nothing changed")
        return True
    shutil.rmtree(SITE, ignore_errors=True)
    SITE.mkdir(parents=True)
    jupyter_book = pathlib.Path(sys.executable).with_name("jupyter-book")
    command = [str(jupyter_book), "build", str(SOURCE), "--path-output", str(SITE), "-W", "-n", "--keep-going", "-q"]
    if subprocess.run(command, cwd=ROOT).returncode:
        return False
    done.write_text(key)
    return True


def main() -> int:
    """Make the book; return 0 only if every chapter ran and the site has no warning."""
    start = time.perf_counter()
    if not execute():
        print("make book: a chapter failed, see above", file=sys.stderr)
        return 1
    executed = time.perf_counter()
    if not build():
        print("make book: the site has warnings, see above", file=sys.stderr)
        return 1
    print(f"chapters {executed - start:.0f} s, site {time.perf_counter() - executed:.0f} s")
    print(f"The book is at {(HTML / 'index.html').as_uri()}; 'make serve' shows it at http://localhost:8000")
    return 0


if __name__ == "__main__":
    sys.exit(main())
