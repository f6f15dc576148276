"""The connected parts of a mask."""

import keras
import numpy as np
import pytest

from dlt.data import edge_distance
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
        with pytest.raises(ValueError, match=r"objects works on one image. Expected shape \(height, width, 1 or 2\)"):
            objects(np.zeros(shape))
    for arguments in ({"threshold": 1.5}, {"threshold": None}, {"min_area": 0}, {"min_area": 2.5}):
        with pytest.raises(ValueError, match="Invalid"):
            objects(np.zeros((8, 8, 1)), **arguments)


def discs(*centres, side=40, radius=8):
    """Return a mask of discs."""
    rows, columns = np.mgrid[:side, :side]
    inside = [(rows - row) ** 2 + (columns - column) ** 2 <= radius**2 for row, column in centres]
    return np.any(inside, axis=0)[..., None]


def test_watershed_parts_discs_that_touch_and_connected_components_do_not():
    touching = discs((12, 12), (12, 27))
    assert objects(touching).max() == 1
    labels = objects(touching, method="watershed")
    assert labels.max() == 2
    assert labels[12, 12, 0] != labels[12, 27, 0]
    np.testing.assert_array_equal(labels > 0, touching)
    sizes = np.bincount(labels.ravel())[1:]
    assert abs(sizes[0] - sizes[1]) <= 0.1 * sizes.sum()


@pytest.mark.parametrize("method", ["connected", "watershed"])
def test_a_disc_is_one_object_wherever_it_lies_and_dirt_is_none(method):
    for centre in ((20, 20), (0, 20), (39, 39)):
        assert objects(discs(centre), method=method).max() == 1
    dirty = discs((20, 20))
    dirty[2, 2] = True
    assert objects(dirty, min_area=2, method=method).max() == 1
    assert objects(np.zeros((5, 7, 1)), method=method).max() == 0


def test_a_predicted_depth_parts_what_the_shape_of_the_mask_does_not():
    labels = np.zeros((20, 36, 1), int)
    labels[4:16, 4:18], labels[4:16, 18:32] = 1, 2  # together a rectangle without a neck
    maps = np.concatenate([labels > 0, edge_distance(labels)], axis=-1)
    assert objects(maps[..., :1], method="watershed").max() == objects(maps, method="connected").max() == 1
    np.testing.assert_array_equal(objects(maps, method="watershed"), labels)
    trembling = maps + [[[0, 0.1]]] * np.random.default_rng(0).random(maps.shape)  # shallow hollows part nothing
    np.testing.assert_array_equal(objects(np.minimum(trembling, 1), method="watershed") > 0, labels > 0)
    assert objects(np.minimum(trembling, 1), method="watershed").max() == 2
    flat = np.concatenate([labels > 0, 0.0 * labels], axis=-1)  # no depth at all: what is connected is one
    assert objects(flat, method="watershed").max() == 1


@pytest.mark.parametrize("method", ["connected", "watershed"])
def test_objects_of_which_the_mask_is_hardly_sure_are_left_out(method):
    maps = np.zeros((8, 20, 1))
    maps[2:6, 2:6], maps[2:6, 12:16] = 0.9, 0.6
    assert objects(maps, method=method).max() == 2
    np.testing.assert_array_equal(objects(maps, method=method, confidence=0.75) > 0, maps > 0.8)
    assert objects(maps, method=method, confidence=0.95).max() == 0
    with pytest.raises(ValueError, match="confidence=1"):
        objects(maps, confidence=1)


def test_an_unknown_method():
    with pytest.raises(ValueError, match="'connected', 'watershed'"):
        objects(discs((20, 20)), method="erosion")


@pytest.mark.parametrize("shape", [(32, 32), (5, 6), (1, 1), (1, 7)])
def test_an_object_that_fills_the_image_is_one(shape):
    labels = np.ones((*shape, 1), int)
    maps = np.concatenate([labels, edge_distance(labels)], axis=-1)
    for given in (maps[..., :1], maps):
        for method in ("connected", "watershed"):
            np.testing.assert_array_equal(objects(given, method=method), labels)
