"""BSD from a folder, an archive and a server that behaves badly; the real archive where there is one."""

import hashlib
import importlib
import shutil

import numpy as np
import pytest
from PIL import Image

from dlt.data import bsd
from tests.helpers import shared

module = importlib.import_module("dlt.data.bsd")  # `dlt.data.bsd` itself is the function


@pytest.fixture
def folder(tmp_path, rng, monkeypatch):
    """A small folder in the archive's layout, and its numbers of files and hashes in place of the published ones."""
    root = tmp_path / f"bias_free_denoising-{module.COMMIT}"
    parts = {}
    for name, (path, _count, _digest) in module.PARTS.items():
        (root / "data" / path).mkdir(parents=True)
        for i in range(2):
            Image.fromarray(rng.integers(0, 256, (20, 30 + i), dtype="uint8")).save(root / "data" / path / f"{i}.png")
        parts[name] = (path, 2, digest(root / "data" / path))
    monkeypatch.setattr(module, "PARTS", parts)
    return root


def digest(path):
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(path.iterdir()))).hexdigest()


def test_folder_and_archive(folder, archive):
    for source in (folder, folder / "data", folder.parent, archive, str(archive)):
        images = bsd(source)
        assert {name: len(part) for name, part in images.items()} == {"train": 2, "bsd68": 2, "set12": 2}
        assert [image.shape for image in images["bsd68"]] == [(20, 30, 1), (20, 31, 1)]
    expected = np.asarray(Image.open(folder / "data" / "Test" / "Set12" / "1.png"))
    np.testing.assert_array_equal(bsd(archive)["set12"][1][..., 0], expected)


def test_download_once(server, tmp_path):
    assert len(bsd()["train"]) == 2
    assert len(bsd()["train"]) == 2
    assert server.ranges == [0]
    assert [file.suffix for file in (tmp_path / "home" / "datasets").iterdir()] == [".zip"]


@pytest.mark.parametrize("resumes", [True, False])
def test_a_download_that_was_cut_off_goes_on(server, tmp_path, resumes):
    server.cut, server.resumes = 1, resumes
    with pytest.raises(ConnectionError, match=r"cut off\. Expected [\d,]+ bytes\. Received: [\d,]+ bytes"):
        bsd()
    assert [file.suffix for file in (tmp_path / "home" / "datasets").iterdir()] == [".part"]
    assert len(bsd()["set12"]) == 2
    assert server.ranges == [0, len(server.content) // 2 if resumes else 0]


def test_a_corrupt_archive_is_refused(server, archive, tmp_path):
    server.content = server.content[:1000]
    with pytest.raises(ValueError, match="Cannot open the archive"):
        bsd()
    damaged = bytearray(archive.read_bytes())
    damaged[300:400] = bytes(100)
    (tmp_path / "damaged.zip").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"Cannot read the file|not the published ones"):
        bsd(tmp_path / "damaged.zip")


def test_other_files_are_refused(folder):
    shutil.copy(folder / "data/Train400/0.png", folder / "data/Train400/1.png")
    with pytest.raises(ValueError, match="The files of Train400 are not the published ones"):
        bsd(folder)
    (folder / "data/Train400/1.png").unlink()
    with pytest.raises(ValueError, match="Images are missing: Train400"):
        bsd(folder)


def test_nothing_there_and_no_server(tmp_path, server, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"Received: .*nowhere"):
        bsd(tmp_path / "nowhere")
    monkeypatch.setattr(module, "URL", "http://localhost:9/archive.zip")
    with pytest.raises(ConnectionError, match="Expected an answer from the server"):
        bsd()


def test_the_real_archive():
    images = bsd(shared("data/bias_free_denoising.zip"))
    assert {image.shape for image in images["train"]} == {(180, 180, 1)}
    assert {image.shape for image in images["bsd68"]} == {(321, 481, 1), (481, 321, 1)}
    assert {name: len(part) for name, part in images.items()} == {"train": 400, "bsd68": 68, "set12": 12}
