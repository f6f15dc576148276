"""Networks that follow the picture exactly, ones that do so only at some shifts, and ones that do not."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from dlt.data import photos
from dlt.measure import translation_error


def photo():
    return photos("astronaut")["astronaut"][None, :80, 100:180] / np.float32(255)


def test_convolutions_follow_exactly():
    model = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(4, 3), layers.ReLU(), layers.Conv2D(4, 5)])
    result = translation_error(model, photo())
    assert result.error < 1e-6
    assert result.stride == 1


def test_zero_padding_errs_at_the_border_only():
    model = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(4, 7, padding="same")])
    assert translation_error(model, photo()).error > 0.01
    assert translation_error(model, photo(), margin=3).error < 1e-6


def test_a_stride_follows_its_multiples_only():
    model = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(4, 4, strides=4)])
    result = translation_error(model, photo(), shifts=(1, 2, 3, 4, 8))
    assert result.stride == 4
    assert min(result.errors[:3]) > 0.01
    assert max(result.errors[3:]) < 1e-6


def test_a_class_should_not_change():
    pooled = layers.GlobalAveragePooling2D()
    flat = layers.Flatten()
    constant = np.ones((1, 40, 40, 3), "float32")
    assert translation_error(pooled, constant).error < 1e-6
    result = translation_error(flat, photo())
    assert result.stride is None
    assert result.error > 0.1


def test_it_says_no_to_a_layer_that_knows_the_place():
    def where(x):
        return x + np.arange(x.shape[1], dtype="float32").reshape(1, -1, 1, 1)

    errors = translation_error(where, photo(), margin=10).errors
    assert min(errors) > 0.01


def test_a_known_value():
    ramp = np.tile(np.arange(12, dtype="float32")[:, None, None], (1, 1, 12, 1))
    result = translation_error(layers.GlobalMaxPooling2D(), ramp, shifts=(2,))
    assert result.errors == (2 / 9,)  # windows of 10 rows: the largest value goes from 9 to 11


def test_shows_itself():
    result = translation_error(layers.ReLU(), photo(), shifts=(1, 3))
    assert "output stride 1" in repr(result)
    assert len(result.plot(other=result).axes[0].lines) == 2


def test_bad_arguments():
    with pytest.raises(ValueError, match="shifts=0"):
        translation_error(layers.ReLU(), photo(), shifts=(0,))
    with pytest.raises(ValueError, match="too small to be moved"):
        translation_error(layers.ReLU(), photo(), shifts=(80,))
    with pytest.raises(ValueError, match="batches of images"):
        translation_error(layers.ReLU(), photo()[0])
    with pytest.raises(ValueError, match="Nothing is left to compare"):
        translation_error(layers.ReLU(), photo(), margin=60)
    for bad in (lambda x: [x, -x], lambda x: x * np.float32("nan")):
        with pytest.raises(ValueError, match="one output, all numbers of which are finite"):
            translation_error(bad, photo())


@pytest.mark.parametrize(
    ("layer", "stride"),
    [
        (layers.Conv2D(4, 25), 1),
        (layers.Cropping2D(12), 1),
        (layers.UpSampling2D(2), 0.5),
        (layers.Conv2D(4, (2, 1), (2, 1)), (2, 1)),
        (layers.AveragePooling2D(5, 4), 4),
    ],
)
def test_the_stride_is_exact(layer, stride):
    result = translation_error(layer, photo()[:, :64, :64], shifts=(4, 8))
    assert result.stride == stride
    assert result.error < 1e-5


def test_the_stride_of_what_sums_over_the_image():
    """Where every output sees everything, the stride is that of what has a place; a function is no obstacle."""
    patches = layers.Conv2D(4, 4, 4)

    def gated(x):
        y = patches(x)
        return y * ops.sigmoid(ops.mean(y, axis=(1, 2), keepdims=True))

    result = translation_error(gated, photo()[:, :64, :64], shifts=(4, 6))
    assert result.stride == 4
    assert result.errors[0] < result.errors[1]


class Native(layers.Layer):
    """Cannot be read, but grows with the image."""

    def call(self, x):
        return x[:, ::2, ::2] if not isinstance(x, keras.KerasTensor) else x.anything

    def compute_output_spec(self, x):
        return keras.KerasTensor((x.shape[0], -(-x.shape[1] // 2), -(-x.shape[2] // 2), x.shape[3]))


def test_a_stride_is_told_by_growth_or_by_the_caller():
    assert translation_error(Native(), photo(), shifts=(2, 4)).stride == 2
    same = translation_error(lambda x: layers.Resizing(16, 16)(x), photo()[:, :40, :40], shifts=(8,), stride=2)
    assert same.stride == 2
    with pytest.raises(ValueError, match="How far the output should move cannot be told") as caught:
        translation_error(lambda x: layers.Flatten()(x)[:, None, None], photo(), shifts=(8,))
    assert "Pass `stride`" in str(caught.value)
