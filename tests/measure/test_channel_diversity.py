import numpy as np
import pytest

from dlt.measure import channel_diversity


def test_orthogonal_channels_are_all_different(rng):
    vectors = np.linalg.qr(rng.normal(size=(64, 8)))[0]  # 8 orthonormal columns
    result = channel_diversity(vectors.reshape(1, 8, 8, 8))
    assert abs(result.participation_ratio - 8) < 1e-9
    assert abs(result.distance - (1 - 1 / 8) / 2) < 1e-9  # a channel is at distance 0 from itself
    assert (result.dead, result.channels) == (0, 8)


def test_copies_count_once_whatever_their_sign(rng):
    channel = rng.normal(size=(2, 6, 6, 1))
    copies = channel_diversity(channel * [1, 2, 3, 4])
    assert abs(copies.participation_ratio - 1) < 1e-9
    assert abs(copies.distance) < 1e-9
    signed = channel_diversity(channel * [1, -2, 3, -4])
    assert abs(signed.participation_ratio - 1) < 1e-9
    assert abs(signed.distance - 0.5) < 1e-9  # what the distance alone cannot tell from orthogonal channels


def test_dead_channels_are_counted(rng):
    maps = rng.normal(size=(3, 6, 6, 4)) * [1, 1, 1e-4, 0]
    assert channel_diversity(maps).dead == 0.5
    assert channel_diversity(np.zeros((1, 4, 4, 3))).participation_ratio == 0


def test_dead_channels_change_nothing_else(rng):
    """A network of one live channel and many dead ones is not diverse."""
    alive = rng.normal(size=(2, 8, 8, 3)) @ rng.normal(size=(3, 6))
    before = channel_diversity(alive)
    after = channel_diversity(np.concatenate([alive, 1e-9 * alive, 0 * alive], axis=-1))
    assert abs(after.participation_ratio - before.participation_ratio) < 1e-9
    assert abs(after.distance - before.distance) < 1e-9
    assert abs(after.dead - 2 / 3) < 1e-9
    one = channel_diversity(np.concatenate([alive[..., :1], np.zeros((2, 8, 8, 7))], axis=-1))
    np.testing.assert_allclose((one.participation_ratio, one.distance), (1, 0), atol=1e-9)


def test_the_ratio_is_that_of_the_eigenvalues(rng):
    maps = rng.normal(size=(1, 5, 5, 7))
    vectors = maps.reshape(25, 7) / np.linalg.norm(maps.reshape(25, 7), axis=0)
    values = np.linalg.eigvalsh(vectors.T @ vectors)
    assert abs(channel_diversity(maps).participation_ratio - values.sum() ** 2 / (values**2).sum()) < 1e-9


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_an_error(rng, value):
    maps = rng.normal(size=(2, 4, 4, 3))
    maps[0, 0, 0, 0] = value
    for bad in (maps, maps[:0]):
        with pytest.raises(ValueError, match="at least one image, all numbers of which are finite"):
            channel_diversity(bad)


def test_wants_images():
    with pytest.raises(ValueError, match=r"channel_diversity works on batches of images"):
        channel_diversity(np.zeros((4, 4)))
    text = repr(channel_diversity(np.ones((1, 4, 4, 3))))
    assert "participation ratio" in text
