"""The connected parts of a mask."""

import keras
import numpy as np
import pytest

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


def test_a_mask_whatever_stores_it():
    mask = np.zeros((8, 8, 1), bool)
    mask[:3, :3], mask[5:, 5:] = True, True
    kinds = [np.array(255, "uint8"), np.array(65535, "uint16"), np.array(1, "int64"), np.array(1, "float16")]
    for same in (mask, keras.ops.convert_to_tensor(mask), *(mask * high for high in kinds)):
        np.testing.assert_array_equal(objects(same), objects(mask))
    assert objects(mask).max() == 2


def test_what_is_neither_mask_nor_probabilities():
    image = np.arange(64).reshape(8, 8, 1)
    for bad in (image, image.astype("uint8"), image / 8, -image / 64, image * np.nan):
        with pytest.raises(ValueError, match=r"no probabilities\. Expected floats from 0 to 1, or a mask"):
            objects(bad)
    for shape in ((2, 8, 8, 1), (8, 8), (8, 8, 3)):  # in a batch, objects of one image would be those of the next
        with pytest.raises(ValueError, match=r"objects works on one image. Expected shape \(height, width, 1\)"):
            objects(np.zeros(shape))
    for arguments in ({"threshold": 1.5}, {"threshold": None}, {"min_area": 0}, {"min_area": 2.5}):
        with pytest.raises(ValueError, match="Invalid"):
            objects(np.zeros((8, 8, 1)), **arguments)
