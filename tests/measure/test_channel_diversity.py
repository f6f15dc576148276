import numpy as np
import pytest

from dlt.measure import channel_diversity


def test_orthogonal_channels_are_all_different(rng):
    vectors = np.linalg.qr(rng.normal(size=(64, 8)))[0]  # 8 orthonormal columns
    result = channel_diversity(vectors.reshape(1, 8, 8, 8))
    assert abs(result.independent - 8) < 1e-9
    assert abs(result.distance - (1 - 1 / 8) / 2) < 1e-9  # a channel is at distance 0 from itself
    assert (result.dead, result.channels) == (0, 8)


def test_copies_count_once_whatever_their_sign(rng):
    channel = rng.normal(size=(2, 6, 6, 1))
    copies = channel_diversity(channel * [1, 2, 3, 4])
    assert abs(copies.independent - 1) < 1e-9
    assert abs(copies.distance) < 1e-9
    signed = channel_diversity(channel * [1, -2, 3, -4])
    assert abs(signed.independent - 1) < 1e-9
    assert abs(signed.distance - 0.5) < 1e-9  # what the distance alone cannot tell from orthogonal channels


def test_dead_channels_are_counted(rng):
    maps = rng.normal(size=(3, 6, 6, 4)) * [1, 1, 1e-4, 0]
    assert channel_diversity(maps).dead == 0.5
    assert channel_diversity(np.zeros((1, 4, 4, 3))).independent == 0


def test_wants_images():
    with pytest.raises(ValueError, match=r"channel_diversity works on batches of images"):
        channel_diversity(np.zeros((4, 4)))
    text = repr(channel_diversity(np.ones((1, 4, 4, 3))))
    assert "independent channels" in text
