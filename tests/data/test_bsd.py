"""BSD from a folder, an archive and a server that behaves badly; the real archive where there is one."""

import hashlib
import importlib
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from dlt.data import bsd
from tests.helpers import shared

module = importlib.import_module("dlt.data.bsd")  # `dlt.data.bsd` itself is the function


def layout(root, source, inside, stems, monkeypatch, rng):
    """Make a small folder in an archive's layout, and put its counts and hashes in place of the published ones."""
    parts = {}
    for name, (path, suffix, _count, _digest) in module.PARTS[source].items():
        place = root.joinpath(*inside, path)
        place.mkdir(parents=True)
        for i, stem in enumerate(stems(path)):
            shape = (20, 30 + i) if suffix == ".png" else (20, 30 + i, 3)
            Image.fromarray(rng.integers(0, 256, shape, dtype="uint8")).save(place / f"{stem}{suffix}")
        parts[name] = (path, suffix, 2, digest(place))
    monkeypatch.setattr(module, "PARTS", module.PARTS | {source: parts})
    return root


@pytest.fixture
def folder(tmp_path, rng, monkeypatch):
    root = tmp_path / f"bias_free_denoising-{module.COMMITS['bias_free_denoising']}"
    return layout(root, "bias_free_denoising", ["data"], lambda path: "01", monkeypatch, rng)


@pytest.fixture
def photographs(tmp_path, rng, monkeypatch):
    """BSDS500 in small: of the two photographs in `val`, one is in BSD68."""
    root = tmp_path / f"BSDS500-{module.COMMITS['BSDS500']}"
    stems = {"train": ["100", "101"], "test": ["200", "201"], "val": ["300", "3096"]}
    return layout(root, "BSDS500", ["BSDS500", "data", "images"], stems.get, monkeypatch, rng)


@pytest.fixture
def server(server, monkeypatch):
    monkeypatch.setattr(module, "URLS", dict.fromkeys(module.URLS, module.URL))
    return server


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
    whole = server.content
    server.content = whole[:1000]
    with pytest.raises(ValueError, match=r"Cannot open the archive.* deleted now: call again"):
        bsd()
    server.content = whole
    assert bsd()  # the next call starts clean
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


def test_another_archive_is_refused_and_deleted(server, folder, tmp_path):
    image = folder / "data/Train400/0.png"
    shutil.copy(folder / "data/Train400/1.png", image)
    other = shutil.make_archive(str(tmp_path / "other"), "zip", folder.parent, folder.name)
    whole, server.content = server.content, pathlib.Path(other).read_bytes()
    with pytest.raises(ValueError, match=r"not the published ones.* deleted now: call again"):
        bsd()
    assert list((tmp_path / "home" / "datasets").iterdir()) == []
    server.content = whole
    assert len(bsd()["train"]) == 2
    with pytest.raises(ValueError, match="not the published ones"):
        bsd(folder)
    assert image.exists()  # what the user passes is never deleted


def test_nothing_there_and_no_server(tmp_path, server, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"Received: .*nowhere"):
        bsd(tmp_path / "nowhere")
    monkeypatch.setattr(module, "URLS", {"bias_free_denoising": "http://localhost:9/archive.zip"})
    with pytest.raises(ConnectionError, match="Expected an answer from the server"):
        bsd()


def test_the_real_archive():
    images = bsd(shared("data/bias_free_denoising.zip"))
    assert {image.shape for image in images["train"]} == {(180, 180, 1)}
    assert {image.shape for image in images["bsd68"]} == {(321, 481, 1), (481, 321, 1)}
    assert {name: len(part) for name, part in images.items()} == {"train": 400, "bsd68": 68, "set12": 12}


def test_photographs_in_colour_and_grey(photographs):
    color = bsd(photographs, "BSDS500", color=True)
    grey = bsd(photographs / "BSDS500", "BSDS500")
    assert {name: len(part) for name, part in color.items()} == {"train": 4, "validation": 1, "bsd68": 1}
    for name, part in color.items():
        for image, luma in zip(part, grey[name], strict=True):
            assert image.dtype == luma.dtype == np.uint8
            assert (image.shape[2], luma.shape) == (3, (*image.shape[:2], 1))
            np.testing.assert_allclose(luma[..., 0], image @ np.array([0.299, 0.587, 0.114]), atol=0.5001)
    assert color["bsd68"][0].shape == (20, 31, 3)  # 3096 comes after 300


def test_what_does_not_exist_is_refused(photographs):
    with pytest.raises(ValueError, match="Unknown `source`"):
        bsd(photographs, "BSD300")
    with pytest.raises(ValueError, match=r"These photographs are grey\. Expected source=\"BSDS500\""):
        bsd(photographs, color=True)
    shutil.copy(photographs / "BSDS500/data/images/val/300.jpg", photographs / "BSDS500/data/images/val/3096.jpg")
    with pytest.raises(ValueError, match="The files of val are not the published ones"):
        bsd(photographs, "BSDS500")


def test_no_test_image_is_trained_on():
    benchmark = bsd(shared("data/bias_free_denoising.zip"))["bsd68"]
    photos = bsd(shared("data/bsds500_images.zip"), "BSDS500")
    assert {name: len(part) for name, part in photos.items()} == {"train": 400, "validation": 32, "bsd68": 68}
    for test, photo in zip(benchmark, photos["bsd68"], strict=True):
        different = test.astype(int) - photo
        assert abs(different).max() <= 1
        assert (different != 0).mean() < 1 / 800
    others = [thumbnail(photo) for photo in photos["train"] + photos["validation"]]
    for test in benchmark:
        likeness = [abs(thumbnail(test) - other).mean() for other in others]
        assert min(likeness) > 4  # grey levels; the two versions of one photograph differ by less than a hundredth
    assert abs(thumbnail(benchmark[0]) - thumbnail(photos["bsd68"][0])).mean() < 0.01


def thumbnail(image):
    """Return the means of 8 x 8 parts of a photograph, standing ones turned by 90 degrees."""
    image = image[..., 0] if image.shape[0] < image.shape[1] else np.rot90(image[..., 0])
    return image[:320, :480].reshape(8, 40, 8, 60).mean(axis=(1, 3))
