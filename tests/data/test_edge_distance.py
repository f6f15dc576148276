"""How deep a pixel lies in its object, where it can be said by hand."""

import numpy as np
import pytest

from dlt.data import cells, edge_distance
from dlt.predict import objects


def square(side, around=2):
    """Return one square object."""
    labels = np.zeros((side + 2 * around,) * 2 + (1,), int)
    labels[around:-around, around:-around] = 1
    return labels


def test_a_square_by_hand():
    expected = np.array([[1, 1, 1, 1, 1], [1, 3, 3, 3, 1], [1, 3, 5, 3, 1], [1, 3, 3, 3, 1], [1, 1, 1, 1, 1]]) / 5
    np.testing.assert_allclose(edge_distance(square(5))[2:-2, 2:-2, 0], expected, rtol=1e-6)


def test_every_object_is_as_deep_as_any_and_magnified_by_three_it_is_as_deep_everywhere():
    labels = cells(1, 96, labels=True)[1][0]
    depth = edge_distance(labels)
    assert (depth.dtype, depth.shape) == ("float32", labels.shape)
    assert ((depth > 0) == (labels > 0)).all()
    assert all(depth[labels == number].max() == 1 for number in range(1, labels.max() + 1))
    large = labels.repeat(3, 0).repeat(3, 1)
    np.testing.assert_allclose(edge_distance(large)[1::3, 1::3], depth, atol=0.25)  # a third of a pixel is an edge's


def test_an_edge_is_where_another_object_begins_and_not_where_the_image_ends():
    halves = np.repeat([[1, 1, 1, 1, 1, 2, 2, 2, 2, 2]], 4, axis=0)[..., None]
    np.testing.assert_allclose(edge_distance(halves)[0, :, 0], np.array([9, 7, 5, 3, 1, 1, 3, 5, 7, 9]) / 9)
    np.testing.assert_array_equal(edge_distance(np.ones((3, 4, 1), int)), np.ones((3, 4, 1)))


def test_it_tells_touching_objects_apart_that_the_mask_merges():
    labels = np.repeat([[0] + [1] * 9 + [2] * 9 + [0]], 9, axis=0)[..., None]
    maps = np.concatenate([labels > 0, edge_distance(labels)], axis=-1)
    assert objects(maps).max() == 1
    np.testing.assert_array_equal(objects(maps, method="watershed"), labels)


def test_a_mask_says_not_where_objects_end():
    with pytest.raises(ValueError, match="numbered objects"):
        edge_distance(np.ones((4, 4, 1), bool))
    with pytest.raises(ValueError, match=r"\(height, width, 1\)"):
        edge_distance(np.ones((4, 4), int))


def test_numbers_may_be_huge():
    labels = np.zeros((6, 9, 1), "uint64")
    labels[1:5, 1:4], labels[1:5, 4:8] = 1, 2
    np.testing.assert_array_equal(edge_distance(labels * 2**62), edge_distance(labels))
