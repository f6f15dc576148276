import pathlib
import shutil
import zipfile

import keras
import numpy as np
import pytest
from PIL import Image

from dlt.data import CIFAR10_CLASSES, cifar10
from tests.helpers import shared


@pytest.fixture
def folder(tmp_path, rng):
    """A directory in CIFAR-10's layout: two training images and one test image per class, all different."""
    root = tmp_path / "cifar"
    for split, count in (("train", 2), ("test", 1)):
        for name in CIFAR10_CLASSES:
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                image = Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype="uint8"))
                image.save(root / split / name / f"{i:04}.png")
    return root


def zipped(folder):
    return pathlib.Path(shutil.make_archive(str(folder), "zip", folder))


@pytest.mark.parametrize("as_archive", [False, True])
def test_directory_and_archive(folder, as_archive):
    (x_train, y_train), (x_test, y_test) = cifar10(zipped(folder) if as_archive else str(folder))
    assert (x_train.shape, x_train.dtype) == ((20, 32, 32, 3), np.uint8)
    assert x_test.shape == (10, 32, 32, 3)
    assert y_train.tolist() == [label for label in range(10) for _ in range(2)]
    assert y_test.tolist() == list(range(10))
    expected = np.asarray(Image.open(folder / "train" / "cat" / "0001.png"))
    np.testing.assert_array_equal(x_train[7], expected)


def test_download_goes_through_keras(monkeypatch):
    images = np.zeros((3, 32, 32, 3), "uint8")
    labels = np.array([[1], [2], [3]], "uint8")
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: ((images, labels), (images, labels)))
    (x, y), _ = cifar10()
    assert x.shape == (3, 32, 32, 3)
    assert (y.tolist(), y.dtype) == ([1, 2, 3], np.int64)


def test_clear_errors(folder):
    with pytest.raises(FileNotFoundError, match=r"Received: .*nowhere"):
        cifar10(folder / "nowhere")
    archive = zipped(folder)
    archive.write_bytes(archive.read_bytes()[:2000])
    with pytest.raises(ValueError, match="Cannot open the archive"):
        cifar10(archive)
    Image.new("RGB", (64, 64)).save(folder / "train" / "dog" / "large.png")
    with pytest.raises(ValueError, match=r"large\.png of shape \(64, 64, 3\)"):
        cifar10(folder)
    (folder / "train" / "dog" / "large.png").write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"Cannot read the image.*large\.png"):
        cifar10(folder)
    shutil.rmtree(folder / "train" / "dog")
    with pytest.raises(ValueError, match="without images: train/dog"):
        cifar10(folder)


def test_real_archive():
    archive = shared("data/cifar10_images.zip")
    with zipfile.ZipFile(archive) as files:
        count = sum(name.startswith("test/") and name.endswith(".jpg") for name in files.namelist())
    (x_train, y_train), (x_test, y_test) = cifar10(archive)
    assert len(x_test) == count == 10_000
    assert np.bincount(y_train).tolist() == [5000] * 10
    assert np.bincount(y_test).tolist() == [1000] * 10
    assert 0.4 < x_train.mean() / 255 < 0.55
