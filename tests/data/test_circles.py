import numpy as np
import pytest

from dlt.data import circles


def test_discs_are_white_on_black_under_faint_noise():
    images, masks = circles(count=40, size=64)
    assert images.shape == masks.shape == (40, 64, 64, 1)
    assert (images.dtype, masks.dtype) == (np.float32, np.uint8)
    assert images.min() == 0
    assert images.max() == 1
    assert set(np.unique(masks)) == {0, 1}
    assert ((images > 0.5) == masks).mean() > 0.999  # the threshold that the docstring speaks of
    # Clipping at 0 and 1 keeps half of each normal distribution: its mean moves by 0.1 / sqrt(2 pi).
    assert abs(images[masks == 0].mean() - 0.1 / np.sqrt(2 * np.pi)) < 0.002
    assert abs(1 - images[masks == 1].mean() - 0.1 / np.sqrt(2 * np.pi)) < 0.002


def test_discs_lie_inside_and_have_the_radii_they_should():
    _, masks = circles(count=200, size=64, seed=1)
    radii = np.sqrt(masks.sum((1, 2, 3)) / np.pi)
    assert 4 < radii.min() < 6
    assert 18 < radii.max() < 20
    assert masks[:, 0].sum() == masks[:, -1].sum() == masks[:, :, 0].sum() == masks[:, :, -1].sum() == 0


def test_the_seed_decides():
    for first, second in zip(circles(3, 64, seed=5), circles(3, 64, seed=5), strict=True):
        np.testing.assert_array_equal(first, second)
    assert (circles(3, 64, seed=6)[0] != circles(3, 64, seed=5)[0]).any()


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"No room for a disc.*size=40"):
        circles(size=40)
    with pytest.raises(ValueError, match="count=0"):
        circles(count=0)
    for seed in (-1, 0.5, None):
        with pytest.raises(ValueError, match=f"seed={seed}"):
            circles(seed=seed)
