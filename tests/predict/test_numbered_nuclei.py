"""One call for a microscope image: any form of it, and a number for each nucleus."""

import keras
import numpy as np
import pytest

import dlt
from dlt.metrics import ObjectScores, object_scores
from dlt.predict import nuclei, objects
from dlt.predict.nuclei import maps_of


def crop():
    """Return a piece of a real image, large nuclei in fluorescence."""
    return dlt.data.nuclei_crops().images[0]


def scores(method):
    """Return the scores on six pieces of test images, all objects together."""
    crops, total = dlt.data.nuclei_crops(), ObjectScores()
    for image, labels in zip(crops.images, crops.labels, strict=True):
        total += object_scores(labels[..., 0], nuclei(image, method=method))
    return total


def test_real_nuclei_are_found_and_watershed_finds_more():
    by_watershed, connected = scores("watershed"), scores("connected")
    assert by_watershed.found > connected.found
    assert by_watershed.average_precision > connected.average_precision > 0.4


@pytest.mark.parametrize(("dtype", "white"), [("uint16", 65535), ("float32", 1), ("float64", 1)])
def test_any_form_gives_the_same_map(dtype, white):
    image = crop()
    expected = nuclei(image)
    assert expected.shape == image.shape[:2]
    assert expected.dtype == "int32"
    found = nuclei((image / 255 * white).astype(dtype))
    assert np.mean((found > 0) != (expected > 0)) < 0.001
    with_opacity = np.concatenate([np.repeat(image[..., :1], 3, -1), np.full_like(image[..., :1], 255)], axis=-1)
    np.testing.assert_array_equal(nuclei(with_opacity), nuclei(image[..., 0]))


def test_an_odd_size_and_another_model():
    white = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Rescaling(0.0, offset=1.0)])
    image = crop()
    np.testing.assert_array_equal(nuclei(image[:37, :53], model=white), np.ones((37, 53), "int32"))


def test_a_model_of_colour_and_depth():
    labels = np.zeros((40, 60, 1), int)
    labels[8:32, 6:30], labels[8:32, 30:54] = 1, 2  # together a rectangle without a neck
    maps = np.concatenate([labels > 0, dlt.data.edge_distance(labels), 0 * labels], axis=-1)
    copies = keras.layers.Conv2D(2, 1, use_bias=False)  # red is mask, green is depth
    model = keras.Sequential([keras.Input((None, None, 3)), copies])
    copies.kernel.assign(np.eye(3, 2).reshape(1, 1, 3, 2))
    image = np.rint(maps * 255).astype("uint8")
    assert nuclei(image, model, method="connected").max() == 1
    np.testing.assert_array_equal(nuclei(image, model), labels[..., 0])


@pytest.mark.parametrize("ensemble", [True, False])
def test_eight_views_do_not_care_which_is_first(ensemble):
    """One does."""
    image, model = crop(), dlt.models.create_nuclei_segmenter(pretrained="nuclei")
    maps = maps_of(image, model, ensemble)
    mirrored = maps_of(image[:, ::-1], model, ensemble)[:, ::-1]
    assert np.allclose(maps, mirrored, atol=1e-5) == ensemble
    assert np.array_equal(
        nuclei(image, model, ensemble=ensemble), objects(maps, min_area=20, method="watershed")[..., 0]
    )


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((2, 8, 8, 3), "uint8"), "one by one"),
        (np.zeros((8, 8, 5), "uint8"), r"shape=\(8, 8, 5\)"),
        (np.full((8, 8), 3.0), "white"),
        (np.zeros((8, 8), "int64"), "int64"),
    ],
)
def test_what_is_no_image_says_so(image, words):
    with pytest.raises(ValueError, match=words):
        nuclei(image)


def test_a_network_that_does_not_say_what_it_sees_or_says_too_much():
    class Silent(keras.Model):
        def call(self, images):
            return images[..., :1]

    with pytest.raises(ValueError, match=r"whether it sees grey or colour.*keras.Model"):
        nuclei(crop(), model=Silent())
    images = keras.Input((None, None, 3))
    with pytest.raises(ValueError, match=r"too many channels.*3 channels"):
        nuclei(crop(), model=keras.Model(images, keras.ops.sigmoid(images)))
