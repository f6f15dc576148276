import importlib

import numpy as np
import pytest

from dlt.data import TEXTURE_CLASSES, textures

module = importlib.import_module("dlt.data.textures")


def test_shapes_classes_and_standardisation():
    (x_train, y_train), (x_test, y_test) = textures(size=24, train_per_class=7, test_per_class=3)
    assert x_train.shape == (56, 24, 24, 1)
    assert x_test.shape == (24, 24, 24, 1)
    assert np.bincount(y_train).tolist() == [7] * len(TEXTURE_CLASSES)
    assert np.bincount(y_test).tolist() == [3] * len(TEXTURE_CLASSES)
    assert np.abs(x_train.mean((1, 2, 3))).max() < 1e-5
    deviation = x_train.std((1, 2, 3))
    assert deviation.max() < 1 + 1e-5
    assert deviation.min() > 0.8  # the guard against division by zero shows on the flattest patches
    assert np.any(np.diff(y_train) < 0), "not shuffled"


def test_seed():
    first, again, other = (textures(train_per_class=5, test_per_class=5, seed=seed)[0][0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_no_pixel_is_in_training_and_test(monkeypatch):
    """Replace every photo by the numbers of its pixels and the cutting by a look at what may be cut."""
    real = module.whole_textures()
    numbered = {name: np.arange(texture.size).reshape(texture.shape) for name, texture in real.items()}
    seen = []
    monkeypatch.setattr(module, "whole_textures", lambda: numbered)
    monkeypatch.setattr(module, "cut", lambda region, size, count, rng: seen.append(region) or np.zeros((1, 4, 4, 1)))
    textures()
    assert len(seen) == 2 * len(TEXTURE_CLASSES)
    for train, test in zip(seen[::2], seen[1::2], strict=True):
        assert not np.intersect1d(train, test).size
        assert min(test.shape) >= 64  # room for the largest patch
        assert 0.6 < train.size / (train.size + test.size) < 0.8


def test_patches_are_pieces_of_their_photo(rng):
    texture = np.arange(40 * 50, dtype=float).reshape(40, 50)
    patch = module.cut(texture, 8, 1, rng)[0, :, :, 0]
    steps = np.diff(patch, axis=1)
    np.testing.assert_allclose(steps, steps[0, 0], rtol=1e-4)  # neighbours stay neighbours
    np.testing.assert_allclose(np.diff(patch, axis=0), 50 * steps[0, 0], rtol=1e-3)


def test_bad_arguments():
    for arguments, words in (({"size": 65}, "size=65"), ({"train_per_class": 0}, "train_per_class=0")):
        with pytest.raises(ValueError, match=words):
            textures(**arguments)
    for seed in (-1, 0.5, None):
        with pytest.raises(ValueError, match=f"seed={seed}"):
            textures(seed=seed)
