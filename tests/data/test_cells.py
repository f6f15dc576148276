"""Each difficulty that the docstring names is in the images, and the truth is exact."""

import numpy as np
import pytest

from dlt.data import borders, cells
from dlt.data.cells import PHOTONS


def test_shapes_ranges_and_labels():
    images, masks = cells(count=6, size=96)
    again, labels = cells(count=6, size=96, labels=True)
    np.testing.assert_array_equal(images, again)
    assert images.shape == masks.shape == labels.shape == (6, 96, 96, 1)
    assert (images.dtype, masks.dtype, labels.dtype) == (np.float32, np.uint8, np.int32)
    assert images.min() >= 0
    assert images.max() <= 1
    np.testing.assert_array_equal(masks, labels > 0)
    for one in labels:  # 0, 1, 2, ... without a gap
        np.testing.assert_array_equal(np.unique(one), np.arange(one.max() + 1))
        assert one.max() >= 3
    assert 0.08 < masks.mean() < 0.45


def test_some_cells_touch():
    _, labels = cells(count=20, size=96, labels=True)
    assert sum(borders(one).any() for one in labels) > 10


def test_brightness_differs_and_no_threshold_is_perfect():
    images, labels = cells(count=20, size=96, labels=True)
    levels = [x[one == i].mean() for x, one in zip(images, labels, strict=True) for i in range(1, one.max() + 1)]
    assert np.percentile(levels, 95) > 3 * np.percentile(levels, 5)
    best = max(((images > level) == (labels > 0)).mean() for level in np.linspace(0.05, 0.6, 23))
    assert 0.85 < best < 0.97


def test_noise_is_that_of_photons():
    """On the background, far from any cell, the light is smooth, and the variance of a count is its mean."""
    images, masks = cells(count=200, size=32, seed=2)
    pairs = ((masks[:, :, :-1] == 0) & (masks[:, :, 1:] == 0))[..., 0]
    counts = PHOTONS * images[..., 0].astype("float64")
    left, right = counts[:, :, :-1][pairs], counts[:, :, 1:][pairs]
    dark = (left + right) < 10  # the halo of a cell is brighter, and not smooth
    variance, mean = ((left - right)[dark] ** 2).mean() / 2, (left + right)[dark].mean() / 2
    assert 0.75 < variance / mean < 1.25
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-4)  # whole photons


def test_the_seed_decides():
    for first, second in zip(cells(2, 64, seed=5), cells(2, 64, seed=5), strict=True):
        np.testing.assert_array_equal(first, second)
    assert (cells(2, 64, seed=6)[0] != cells(2, 64, seed=5)[0]).any()


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"No room for cells.*size=16"):
        cells(size=16)
    with pytest.raises(ValueError, match="count=0"):
        cells(count=0)
    for seed in (-1, 0.5, None):
        with pytest.raises(ValueError, match=f"seed={seed}"):
            cells(seed=seed)
