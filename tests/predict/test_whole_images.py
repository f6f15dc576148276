"""Whole images: equal where nothing is padded, any size from one pixel up, and tiles without seams."""

import keras
import numpy as np
import pytest
from keras import layers

from dlt.measure import receptive_field
from dlt.predict import padded, tiles
from tests.helpers import randomise


def network(convolutions=2, pooling=True):
    """Return a network of small receptive field, half of it at half the resolution."""
    x = images = keras.Input((None, None, 1))
    for _ in range(convolutions):
        x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    if pooling:
        x = layers.AveragePooling2D(2)(x)
        x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
        x = layers.UpSampling2D(2)(x)
    model = randomise(keras.Model(images, layers.Conv2D(2, 1)(x)))
    model.compile(jit_compile=False)
    return model


def test_where_nothing_is_missing_the_result_is_the_networks(rng):
    model, x = network(), rng.random((2, 16, 32, 1)).astype("float32")
    np.testing.assert_array_equal(padded(model, x), model.predict_on_batch(x))


def test_any_size_from_one_pixel_up(rng):
    model = network()
    for height, width in ((1, 1), (1, 40), (2, 3), (15, 17), (33, 16)):
        x = rng.random((1, height, width, 1)).astype("float32")
        y = padded(model, x)
        assert y.shape == (1, height, width, 2)
        wide = np.pad(x, ((0, 0), (0, -height % 16), (0, -width % 16), (0, 0)), "symmetric")
        np.testing.assert_array_equal(y, model.predict_on_batch(wide)[:, :height, :width])
    x = rng.random((1, 6, 6, 1)).astype("float32")
    np.testing.assert_array_equal(padded(model, x, multiple=2), model.predict_on_batch(x))


def test_a_list_of_images_of_different_sizes(rng):
    model, images = network(), [rng.random((height, 20, 1)).astype("float32") for height in (5, 16)]
    answers = padded(model, images)
    assert [answer.shape for answer in answers] == [(5, 20, 2), (16, 20, 2)]
    np.testing.assert_array_equal(answers[0], padded(model, images[0][None])[0])
    tensors = [keras.ops.convert_to_tensor(image) for image in images]
    np.testing.assert_array_equal(padded(model, tensors)[0], answers[0])
    np.testing.assert_array_equal(padded(model, tensors[0][None])[0], answers[0])
    np.testing.assert_array_equal(tiles(model, tensors[0], 32, 16), tiles(model, images[0], 32, 16))


@pytest.mark.parametrize("shape", [(100, 70), (96, 96), (20, 130), (64, 64), (1, 1)])
def test_tiles_have_no_seams(rng, shape):
    model, image = network(), rng.random((*shape, 1)).astype("float32")
    reach = receptive_field(model).size[0] // 2
    assert reach <= 32 // 4
    whole = padded(model, image[None])[0]
    found = tiles(model, image, tile=64, overlap=32)
    assert found.shape == whole.shape
    assert np.abs(found - whole).max() < 1e-5 * np.abs(whole).max()


def test_tiles_without_overlap_have_seams(rng):
    """The control: the same network on the same image, and the error sits where tiles meet."""
    model, image = network(), rng.random((128, 128, 1)).astype("float32")
    whole = padded(model, image[None])[0]
    error = np.abs(tiles(model, image, tile=64, overlap=0) - whole).max(-1)
    assert error.max() > 0.05 * np.abs(whole).max()
    assert max(error[56:72].max(), error[:, 56:72].max()) == error.max()
    assert error[16:48, 16:48].max() < 1e-5 * np.abs(whole).max()


def test_an_overlap_too_small_for_the_network_is_seen(rng):
    model, image = network(convolutions=8), rng.random((96, 96, 1)).astype("float32")
    whole = padded(model, image[None])[0]
    errors = [np.abs(tiles(model, image, 64, overlap) - whole).max() for overlap in (16, 48)]
    assert errors[1] < 1e-5 * np.abs(whole).max() < errors[0]


def test_bad_arguments(rng):
    model, image = network(), np.zeros((40, 40, 1), "float32")
    for tile, overlap in ((60, 32), (64, 30), (64, 64), (64, -16)):
        with pytest.raises(ValueError, match=f"tile={tile}, overlap={overlap}"):
            tiles(model, image, tile, overlap)
    with pytest.raises(ValueError, match="works on batches of images"):
        padded(model, image)
    for bad in ([image[..., 0]], [image[None]], [image, image[0]]):
        with pytest.raises(ValueError, match=r"each of a list, works on one image"):
            padded(model, bad)
    for bad in (image[..., 0], image[:, :0]):
        with pytest.raises(ValueError, match=r"tiles works on one image"):
            tiles(model, bad)
    for values in ({"tile": 64.0}, {"multiple": 0}):
        with pytest.raises(ValueError, match="whole number of at least 1"):
            tiles(model, image, **values)
    with pytest.raises(ValueError, match="tiles works on one image"):
        tiles(model, image[None])
    smaller = keras.Sequential([keras.Input((None, None, 1)), layers.AveragePooling2D(2)])
    smaller.compile(jit_compile=False)
    with pytest.raises(ValueError, match="no answer for every pixel"):
        padded(smaller, image[None])
    images = keras.Input((None, None, 1))
    two = keras.Model(images, [layers.Conv2D(1, 1)(images), layers.AveragePooling2D(2)(images)])
    two.compile(jit_compile=False)
    with pytest.raises(ValueError, match="finest output"):
        padded(two, image[None])


def test_an_answer_without_channels():
    flat = keras.Sequential([keras.Input((None, None, 1)), layers.Lambda(lambda x: x[..., 0])])
    for call in (
        lambda: tiles(flat, np.zeros((64, 64, 1)), tile=32, overlap=16),
        lambda: padded(flat, np.zeros((1, 8, 8, 1))),
    ):
        with pytest.raises(ValueError, match="no answer for every pixel"):
            call()
