"""One call for a photo: it comes back in its form, tiles leave no seams, and what is no photo says so."""

import keras
import numpy as np
import pytest
from PIL import Image

import dlt
from dlt.predict import denoise


def noisy(shape, sigma=25, dtype="float32", white=1.0):
    """Return a photo, repeated over its channels, with noise of `sigma` grey levels."""
    photo = dlt.data.photos("camera")["camera"][100 : 100 + shape[0], 200 : 200 + shape[1]] / 255
    clean = np.broadcast_to(photo if len(shape) == 3 else photo[..., 0], shape)
    grain = np.random.default_rng(0).standard_normal(shape) * sigma / 255
    scaled = [white * image for image in (clean, clean + grain)]
    if np.issubdtype(dtype, np.integer):
        scaled = [np.clip(np.rint(image), 0, white) for image in scaled]
    return [image.astype(dtype) for image in scaled]


def error(one, other, white=1.0):
    return float(np.sqrt(np.mean((one / white - other / white) ** 2)))


@pytest.mark.parametrize("shape", [(40, 53), (33, 40, 1), (40, 33, 3)])
@pytest.mark.parametrize(
    ("dtype", "white"),
    [("uint8", 255), ("uint16", 65535), ("float16", 1), ("float32", 1), ("float64", 1), ("float32", 255)],
)
def test_a_photo_comes_back_in_its_form_with_less_noise(shape, dtype, white):
    clean, given = noisy(shape, dtype=dtype, white=white)
    before = given.copy()
    answer = denoise(given)
    assert answer.shape == given.shape
    assert answer.dtype == given.dtype
    np.testing.assert_array_equal(given, before)
    assert error(answer.astype("float64"), clean, white) < 0.6 * error(given.astype("float64"), clean, white)


def test_any_white_gives_the_same_since_the_networks_keep_the_scale():
    _, given = noisy((40, 40))
    np.testing.assert_allclose(denoise(4095 * given), 4095 * denoise(given), rtol=1e-4, atol=0.05)


def test_opacity_is_kept():
    _, given = noisy((32, 32, 3), dtype="uint8", white=255)
    opacity = np.random.default_rng(0).integers(0, 256, (32, 32, 1), dtype="uint8")
    answer = denoise(np.concatenate([given, opacity], axis=-1))
    np.testing.assert_array_equal(answer[..., 3:], opacity)
    np.testing.assert_array_equal(answer[..., :3], denoise(given))


def test_images_of_pillow_and_tensors():
    _, given = noisy((32, 48, 3), dtype="uint8", white=255)
    np.testing.assert_array_equal(denoise(Image.fromarray(given)), denoise(given))
    _, given = noisy((32, 48))
    np.testing.assert_array_equal(denoise(keras.ops.convert_to_tensor(given)), denoise(given))


@pytest.mark.parametrize("shape", [(250, 170), (144, 300)])
def test_tiles_have_no_seams(shape):
    _, given = noisy(shape)
    np.testing.assert_allclose(denoise(given, tile=144), denoise(given), atol=1e-5)


def test_tiles_reach_as_far_as_the_networks_look():
    """An eighth of what two tiles share lies outside of what counts, on each side."""
    for channels in (1, 3):
        model = dlt.models.create_denoiser(channels)
        assert max(dlt.measure.receptive_field(model).size) // 2 <= 128 // 4


def test_the_ensemble_is_the_mean_of_eight_views_and_better():
    clean, given = noisy((48, 64))
    views = [np.rot90(view, turns) for view in (given, given[:, ::-1]) for turns in range(4)]
    answers = [np.rot90(denoise(view), -turns) for turns, view in zip([0, 1, 2, 3] * 2, views, strict=True)]
    answers[4:] = [answer[:, ::-1] for answer in answers[4:]]
    ensemble = denoise(given, ensemble=True)
    np.testing.assert_allclose(ensemble, np.mean(answers, axis=0), atol=1e-5)
    assert error(ensemble, clean) < error(denoise(given), clean)


def test_another_model():
    half = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Rescaling(0.5)])
    _, given = noisy((20, 30), dtype="uint8", white=255)
    np.testing.assert_array_equal(denoise(given, model=half), np.rint(given / 2).astype("uint8"))


@pytest.mark.parametrize(
    ("photo", "words"),
    [
        (np.zeros((2, 8, 8, 3), "uint8"), "one by one"),
        (np.zeros((8, 8, 2), "uint8"), r"shape=\(8, 8, 2\)"),
        (np.zeros((0, 8), "uint8"), r"shape=\(0, 8\)"),
        (np.zeros((8, 8), "int32"), "int32"),
        (np.zeros((8, 8), bool), "bool"),
        (np.full((8, 8), np.nan), "64 NaN"),
        ("photo.jpg", r"shape=\(\)"),
    ],
)
def test_what_is_no_photo_says_so(photo, words):
    with pytest.raises(ValueError, match=words):
        denoise(photo)


@pytest.mark.parametrize("tile", [100, 128, 0])
def test_a_tile_that_does_not_fit(tile):
    with pytest.raises(ValueError, match="tile"):
        denoise(np.zeros((8, 8)), tile=tile)


def test_either_byte_order():
    for dtype, white in (("uint16", 65535), ("float32", 1)):
        _, given = noisy((20, 24), dtype=dtype, white=white)
        swapped = given.astype(given.dtype.newbyteorder(">"))
        answer = denoise(swapped)
        assert answer.dtype == swapped.dtype
        np.testing.assert_array_equal(answer, denoise(given))


def test_opacity_and_the_largest_numbers_of_floats():
    _, given = noisy((24, 24, 3), dtype="float64")
    opacity = np.random.default_rng(0).random((24, 24, 1))
    np.testing.assert_array_equal(denoise(np.concatenate([given, opacity], axis=-1))[..., 3:], opacity)
    bright = np.full((16, 16), 65500.0, "float16") - np.random.default_rng(0).integers(0, 500, (16, 16)).astype(
        "float16"
    )
    assert np.isfinite(denoise(bright)).all()
    with pytest.raises(ValueError, match="256 NaN, infinite or too large values"):
        denoise(np.full((16, 16), 1e39))


def test_a_network_of_other_channels():
    images = keras.Input((None, None, 3))
    to_one = keras.Model(images, keras.ops.mean(images, axis=-1, keepdims=True))
    with pytest.raises(ValueError, match=r"sees another number of channels.*from 1 to 1 channels"):
        denoise(np.zeros((8, 8)), model=to_one)
    with pytest.raises(ValueError, match=r"returns another number of channels.*from 3 to 3 channels"):
        denoise(np.zeros((8, 8, 3)), model=to_one)
