"""What the live page runs on is fetched once and checked, and without it the book is built all the same."""

import functools
import http.server
import io
import json
import tarfile
import threading

import pytest

from dlt.measure import receptive_field
from tools import try_it


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A folder with the page, a build folder of its own, and no npm."""
    monkeypatch.setattr(try_it, "BUILD", tmp_path / "build")
    monkeypatch.setattr(try_it.shutil, "which", lambda name: None)
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "try-it.md").write_text("# Try it")
    return tmp_path / "book"


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry on localhost, and the folder of the package in it."""
    folder = tmp_path / "registry" / try_it.PACKAGE / "-"
    folder.mkdir(parents=True)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=tmp_path / "registry")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_port}/")
        yield folder
        server.shutdown()


RUNTIMES = [name for pair in try_it.RUNTIMES.values() for name in pair]


def archive():
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as package:
        for name, data in {**{name: name.encode() for name in RUNTIMES}, "other.js": b"more"}.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(data)
            package.addfile(member, io.BytesIO(data))
    return content.getvalue()


def test_without_the_registry_the_page_says_so(book, registry, capsys):
    try_it.write_try_it(book, "package")
    listing = json.loads((book / "_static" / "try-it" / "files" / "files.json").read_text())
    assert "npm registry" in listing["missing"]
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("try-it: the page is built without its networks: http://127.0.0.1")
    assert "404" in line


def test_another_file_than_the_checked_one_stops_the_build(book, registry):
    (registry / f"{try_it.PACKAGE}-{try_it.VERSION}.tgz").write_bytes(archive())
    with pytest.raises(ValueError, match=r"is not the file that was checked\. Expected sha512-q0y.*Received: sha512-"):
        try_it.write_try_it(book, "package")


def test_the_runtimes_and_the_licence_are_taken_once(book, registry, monkeypatch):
    package = registry / f"{try_it.PACKAGE}-{try_it.VERSION}.tgz"
    package.write_bytes(archive())
    monkeypatch.setattr(try_it, "check_integrity", lambda path: None)
    folder = try_it.runtime_files()
    (folder / RUNTIMES[-1]).unlink()  # an older build has not known it
    assert try_it.runtime_files() == folder
    package.unlink()
    assert try_it.runtime_files() == folder
    assert sorted(path.name for path in folder.iterdir()) == sorted(["LICENSE.txt", *RUNTIMES])
    for name in RUNTIMES:
        assert (folder / name).read_bytes() == name.encode()
    assert "Microsoft" in (folder / "LICENSE.txt").read_text()


def test_a_book_without_the_page_needs_nothing(tmp_path):
    try_it.write_try_it(tmp_path, "package")
    assert list(tmp_path.iterdir()) == []


def test_tiles_overlap_as_far_as_the_networks_look():
    for name, model in try_it.make_networks().items():
        how = try_it.NETWORKS[name]
        assert how["tile"] % how["multiple"] == how["margin"] % how["multiple"] == 0
        assert how["tile"] > 2 * how["margin"]
        assert how["margin"] >= max(receptive_field(model).size) // 2
