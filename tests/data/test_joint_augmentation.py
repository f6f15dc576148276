"""Image and mask move together, masks keep their values, and the seed decides."""

import keras
import numpy as np
import pytest

from dlt.data import JointAugmentation, cells


def pictures(count=4, size=64):
    """Return labels, and images that say which label a pixel has, so that the mask can be computed from the image."""
    _, labels = cells(count, size, labels=True)
    return (labels / 64).astype("float32"), labels


def test_image_and_mask_move_together():
    """An image that is a smooth slope: wherever it is read, the mask of the same slope was read too."""
    y, x = np.mgrid[:64, :64].astype("float32")
    slope = np.repeat(((x + 2 * y) / 192)[None, ..., None], 8, axis=0)
    stripes = np.rint(slope * 192).astype("int32")
    moved, labels = JointAugmentation(elastic=2.0)(slope, stripes, seed=3)
    inside = np.abs(192 * moved - labels)
    assert np.quantile(inside, 0.99) <= 1.51  # the mask is read at the nearest pixel: half a pixel in x, half in y
    assert np.abs(moved - slope).mean() > 0.05


def test_masks_stay_labels():
    images, labels = pictures()
    moved, after = JointAugmentation(elastic=3.0)(images, labels, seed=0)
    assert after.dtype == labels.dtype
    for before, one in zip(labels, after, strict=True):
        assert set(np.unique(one)) <= set(np.unique(before))
    away_from_edges = np.abs(64 * moved - np.rint(64 * moved)) < 1e-3
    assert ((after > 0) == (np.rint(64 * moved) > 0))[away_from_edges].mean() > 0.999
    assert away_from_edges.mean() > 0.7
    assert (after != labels).mean() > 0.2


def test_what_moves_is_what_the_layers_say():
    """Without the elastic part, a flip is a flip, to the last bit, for both."""
    images, labels = pictures(count=16)
    flip = JointAugmentation(geometry=[keras.layers.RandomFlip("horizontal", dtype="float32")], elastic=0)
    moved, after = flip(images, labels, seed=1)
    flipped = [bool((after[i] == labels[i, :, ::-1]).all()) for i in range(16)]
    for i in range(16):
        step = -1 if flipped[i] else 1
        np.testing.assert_array_equal(after[i], labels[i, :, ::step])
        np.testing.assert_allclose(moved[i], images[i, :, ::step], atol=1e-6)
    assert 0 < sum(flipped) < 16


def test_nothing_to_do_changes_nothing():
    images, labels = pictures()
    moved, after = JointAugmentation(geometry=[], elastic=0)(images, labels, seed=0)
    np.testing.assert_allclose(moved, images, atol=1e-6)
    np.testing.assert_array_equal(after, labels)


def test_elastic_shifts_have_the_size_they_should():
    """A slope in x read at x + shift rises by the shift; random directions, so the mean is about zero."""
    x = np.broadcast_to(np.arange(64, dtype="float32")[:, None] / 64, (64, 64, 64, 1))
    moved, _ = JointAugmentation(geometry=[], elastic=2.0)(x, x, seed=0)
    shifts = 64 * (moved - x)[:, 16:48, 16:48]
    assert abs(shifts.mean()) < 0.3
    assert 1.0 < shifts.std() < 2.5  # interpolation between random numbers makes them smaller


def test_light_changes_images_only_and_keeps_the_range():
    images, labels = pictures()
    light = [keras.layers.RandomBrightness((0.2, 0.2), value_range=(0, 1), dtype="float32")]
    brighter, after = JointAugmentation(geometry=[], light=light, elastic=0)(images, labels, seed=0)
    np.testing.assert_array_equal(after, labels)
    np.testing.assert_allclose(brighter, np.clip(images + 0.2, 0, 1), atol=1e-5)
    moved, _ = JointAugmentation(light=light)(images, labels, seed=0)
    assert moved.dtype == np.float32
    assert 0 <= moved.min() < moved.max() <= 1


def test_the_seed_decides_everything():
    images, labels = pictures()
    augmentation = JointAugmentation(light=[keras.layers.RandomContrast(0.5, value_range=(0, 1), dtype="float32")])
    first, other, again = (augmentation(images, labels, seed) for seed in (1, 2, 1))
    for one, same, different in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one, same)
        assert (one != different).any()


def test_any_size():
    for shape in ((1, 1, 1, 1), (2, 7, 30, 3)):
        images, masks = JointAugmentation()(np.ones(shape, "float32"), np.ones((*shape[:3], 1), "uint8"), seed=0)
        assert images.shape == shape
        np.testing.assert_allclose(images, 1, atol=1e-6)
        assert (masks == 1).all()


def bright(**kwargs):
    return keras.layers.RandomBrightness(0.2, dtype="float32", **kwargs)


def test_what_lies_outside_is_part_of_the_image():
    """A corner that is white: filled with the coordinate 0, half of the image would be that corner."""
    picture = np.full((8, 48, 64, 1), 0.5, "float32")
    picture[:, :4, :4] = 1
    for mode in ("reflect", "nearest"):
        shift = keras.layers.RandomTranslation(0.3, 0.3, fill_mode=mode)
        moved, mask = JointAugmentation([shift], elastic=0)(picture, picture, seed=5)
        expected = shift.transform_images(
            picture,
            shift.get_random_transformation(picture, training=True, seed=keras.random.SeedGenerator(5)),
            training=True,
        )
        assert np.abs(moved - keras.ops.convert_to_numpy(expected)).mean() < 0.01
        assert ((mask == 1).mean((1, 2, 3)) < 0.2).all()
    for mode in ("constant", "wrap"):
        with pytest.raises(ValueError, match=f"coordinate cannot be filled in.*fill_mode='{mode}'"):
            JointAugmentation([keras.layers.RandomTranslation(0.3, 0.3, fill_mode=mode)])


def test_a_crop_is_one_of_both():
    images, labels = pictures()
    crop = JointAugmentation([keras.layers.RandomCrop(20, 30)], elastic=0)
    moved, after = crop(images, labels, seed=2)
    assert moved.shape == after.shape == (4, 20, 30, 1)
    np.testing.assert_array_equal(np.rint(64 * moved), after)


def test_layers_that_cannot_do_their_part():
    for layer in (bright(value_range=(0, 1)), keras.layers.RandomErasing(), keras.layers.RandomPerspective(), "flip"):
        with pytest.raises(ValueError, match=r"No layer that moves pixels.*RandomFlip"):
            JointAugmentation([layer])
    for layer in (keras.layers.RandomFlip(), keras.layers.MixUp(), keras.layers.RandAugment(), "dark"):
        with pytest.raises(ValueError, match="No layer that changes values only"):
            JointAugmentation(light=[layer])
    with pytest.raises(ValueError, match=r"value_range=\(0, 1\). Received: value_range=\(0, 255\)"):
        JointAugmentation(light=[bright()])
    with pytest.raises(ValueError, match="channels_first of"):
        JointAugmentation([keras.layers.RandomZoom(0.1, data_format="channels_first")])
    keras.config.set_dtype_policy("mixed_float16")
    with pytest.raises(ValueError, match=r"would round coordinates.*Received: float16"):
        JointAugmentation([keras.layers.RandomZoom(0.1)])
    images, labels = pictures()
    moved, _ = JointAugmentation(elastic=0)(images, labels, seed=1)  # its own layers are in float32
    keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(moved, JointAugmentation(elastic=0)(images, labels, seed=1)[0])


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_images_keep_their_dtype(kind):
    images, labels = pictures()
    moved, after = JointAugmentation(light=[bright(value_range=(0, 1))])(images.astype(kind), labels > 0, seed=0)
    assert (moved.dtype, after.dtype) == (kind, bool)


def test_bad_arguments():
    with pytest.raises(ValueError, match="elastic=-1"):
        JointAugmentation(elastic=-1)
    images, labels = pictures()
    with pytest.raises(ValueError, match=r"masks of shape \(batch, height, width, any\).*masks\[\.\.\., None\]"):
        JointAugmentation()(images, labels[..., 0], seed=0)
    with pytest.raises(ValueError, match="batches of images"):
        JointAugmentation()(images[0], labels[0], seed=0)
    for kind in ("uint8", "uint16", "bool"):
        with pytest.raises(ValueError, match=f"images of floats.*{kind}"):
            JointAugmentation()(images.astype(kind), labels, seed=0)
    with pytest.raises(ValueError, match="seed=-1"):
        JointAugmentation()(images, labels, seed=-1)
    with pytest.raises(ValueError, match=r"would cut values off.*Received: -0\.5 to"):
        JointAugmentation(light=[bright(value_range=(0, 1))])(images - 0.5, labels, seed=0)
    with pytest.raises(ValueError, match=r"Images and masks do not fit.*masks\[\.\.\., None\]"):
        JointAugmentation()(np.ones((1, 8, 8, 1)), np.ones((1, 8, 9, 1)), seed=0)
