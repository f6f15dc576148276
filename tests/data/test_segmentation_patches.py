"""Patches and their masks come from the same place, and the same seed gives the same batches."""

import keras
import numpy as np
import pytest

from dlt.data import JointAugmentation, SegmentationPatches, cells


def pictures():
    """Return two images of different sizes whose masks follow from their values, 1 to 3 and 5 to 7."""
    masks = [np.arange(40 * 60).reshape(40, 60, 1) % 3 + 1, np.arange(50 * 50).reshape(50, 50, 1) % 3 + 5]
    return [(mask / 10).astype("float32") for mask in masks], [mask.astype("uint8") for mask in masks]


def test_image_and_mask_are_of_the_same_place_and_both_images_come():
    x, y = SegmentationPatches(*pictures(), size=16, batch_size=64)[0]
    assert (x.shape, y.shape, x.dtype, y.dtype) == ((64, 16, 16, 1), (64, 16, 16, 1), np.float32, np.uint8)
    np.testing.assert_array_equal(np.rint(10 * x), y)
    from_first = (y <= 3).all(axis=(1, 2, 3))
    assert 16 < from_first.sum() < 48
    assert len({patch.tobytes() for patch in x}) > 3


def test_batches_depend_on_seed_epoch_and_index_alone():
    images, masks = cells(4, 64)
    first, second = (
        SegmentationPatches(images, masks, size=32, augmentation=JointAugmentation(), seed=3) for _ in range(2)
    )
    expected = [first[i] for i in range(3)]
    for i in (2, 0, 1):  # in any order
        for one, other in zip(second[i], expected[i], strict=True):
            np.testing.assert_array_equal(one, other)
    second.on_epoch_end()
    assert (second[0][0] != expected[0][0]).any()
    assert (SegmentationPatches(images, masks, size=32, seed=4)[0][0] != expected[0][0]).any()


def test_weights_say_how_often_an_image_is_drawn():
    images, masks = pictures()
    drawn = {}
    for weights in ([0, 1], [1, 3]):
        _, y = SegmentationPatches(images, masks, size=16, batch_size=400, weights=weights)[0]
        drawn[tuple(weights)] = float((y >= 5).all(axis=(1, 2, 3)).mean())
    assert drawn[0, 1] == 1
    assert abs(drawn[1, 3] - 0.75) < 0.1


def test_zoom_magnifies_both_and_masks_keep_their_values():
    ramp = np.repeat(np.linspace(0, 1, 65)[None], 65, axis=0).astype("float32")[..., None]
    classes = np.where(np.arange(65) < 30, 3, 7)[None, :, None].repeat(65, axis=0).astype("uint8")
    data = SegmentationPatches([ramp], [classes], size=16, batch_size=64, zoom=(0.5, 2), seed=1)
    x, y = data[0]
    assert (x.shape, y.shape, y.dtype) == ((64, 16, 16, 1), (64, 16, 16, 1), np.uint8)
    assert set(np.unique(y)) == {3, 7}
    steps = np.diff(x[:, 8, 4:12, 0], axis=1).mean(axis=1) * 64  # pixels of the image per pixel of the patch
    assert 0.45 < steps.min() < 0.65
    assert 1.6 < steps.max() < 2.1
    assert np.mean(np.log(steps) > 0) == pytest.approx(0.5, abs=0.15)
    crossing = np.abs(x * 64 - 29.5) > 2  # beside the edge a pixel is of both classes
    np.testing.assert_array_equal((x * 64 > 29.5)[crossing], (y == 7)[crossing])
    whole = SegmentationPatches([ramp], [classes], size=16, batch_size=8)[0][0]
    np.testing.assert_allclose(np.diff(whole[:, 8, :, 0]) * 64, 1, rtol=1e-4)


def test_a_model_trains_on_it():
    images, masks = cells(8, 64)
    model = keras.Sequential(
        [keras.Input((None, None, 1)), keras.layers.Conv2D(1, 5, activation="sigmoid", padding="same")]
    )
    model.compile("adam", "binary_crossentropy", jit_compile=False)
    data = SegmentationPatches(images, masks, size=32, steps=5, augmentation=JointAugmentation())
    history = model.fit(data, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_bad_arguments():
    images, masks = pictures()
    with pytest.raises(ValueError, match="Images and masks do not fit"):
        SegmentationPatches(images, masks[::-1])
    with pytest.raises(ValueError, match="at least 45"):
        SegmentationPatches(images, masks, size=45)
    with pytest.raises(ValueError, match="steps=0"):
        SegmentationPatches(images, masks, size=16, steps=0)
    with pytest.raises(ValueError, match="epoch=-1"):
        SegmentationPatches(images, masks, size=16, epoch=-1)
    with pytest.raises(ValueError, match="at least 42"):  # half as large, a patch of 21 pixels shows 42
        SegmentationPatches(images, masks, size=21, zoom=(0.5, 1))
    for zoom in ((2, 1), (0, 1)):
        with pytest.raises(ValueError, match="two numbers, 0 < low <= high"):
            SegmentationPatches(images, masks, size=16, zoom=zoom)
    for weights in ([1], [0, 0], [-1, 2], [1, np.nan]):
        with pytest.raises(ValueError, match="a number from 0 up for each of 2 images"):
            SegmentationPatches(images, masks, size=16, weights=weights)


def test_what_is_no_image_or_no_mask_is_refused():
    images, masks = pictures()

    def refused(match, images=images, masks=masks):
        with pytest.raises(ValueError, match=match):
            SegmentationPatches(images, masks, size=16)

    refused(r"a mask is no image.*masks?\[\.\.\., None\]", masks=[mask[..., 0] for mask in masks])
    refused("one image", images=[image[..., 0] for image in images])
    for kind in ("uint8", "uint16", "int64"):  # they would be 0 to 255 for the network
        refused(f"images of floats.*{kind}", images=[(255 * image).astype(kind) for image in images])
    for kind, high in (("uint8", 255), ("uint16", 65535)):  # a mask that was stored as a picture
        refused(
            f"neither whether nor what.*{kind} from 0 to {high}",
            masks=[(mask > 2) * np.array(high, kind) for mask in masks],
        )
    refused("floats from 0 to 1", masks=[mask * 1.0 for mask in masks])


def test_masks_of_any_meaning():
    images, masks = pictures()
    for kinds in (
        [mask > 2 for mask in masks],
        [mask.astype("int32") * 51 for mask in masks],
        [mask / 7 for mask in masks],
    ):
        assert SegmentationPatches(images, kinds, size=16)[0][1].dtype == kinds[0].dtype


def test_masks_that_cannot_be_stacked_and_zooms_that_leave_nothing():
    images = [np.zeros((32, 32, 1), "float32")] * 2
    masks = [np.zeros((32, 32, channels), "uint8") for channels in (1, 2)]
    with pytest.raises(ValueError, match=r"equally many channels. Received: \[1, 2\]"):
        SegmentationPatches(images, masks, size=8)
    for zoom in ((1, 100), 2):
        with pytest.raises(ValueError, match="0 < low <= high <= 8"):
            SegmentationPatches(images, masks[:1] * 2, size=8, zoom=zoom)
    picture = np.full((32, 32, 1), 65535, ">u2")
    with pytest.raises(ValueError, match="stored as a picture"):
        SegmentationPatches(images, [picture, picture], size=8)
