"""The connected parts of a mask."""

import numpy as np

from dlt.predict import objects


def test_objects_are_the_connected_parts_without_dirt():
    mask = np.zeros((8, 8, 1))
    mask[:3, :3], mask[3, 3], mask[5:, 5:] = 0.9, 0.6, 0.51
    assert objects(mask).max() == 3
    found = objects(mask, min_area=2)
    assert (found.shape, found.dtype, found.max()) == ((8, 8, 1), np.int32, 2)
    assert found[3, 3] == 0
    assert objects(mask, threshold=0.7).max() == 1
    assert objects(np.zeros((4, 4, 1))).max() == 0
