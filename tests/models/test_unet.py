"""U-Net: its size on paper, its reach, any image size, the way back from a file, and its errors."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers, ops

from dlt.layers import UpsampleLike
from dlt.measure import macs, parameters, receptive_field
from dlt.models import UNet
from tests.helpers import randomise

SMALL = {"depth": 2, "initial_filters": 4, "input_shape": (None, None, 1)}


def photo(height, width, batch=1):
    return np.random.default_rng(0).random((batch, height, width, 1)).astype("float32")


def formula(depth, f, inputs, outputs):
    """Trainable and fixed parameters on paper: two convolutions and two times 4 numbers per channel for each level."""
    widths = [f * 2**level for level in range(depth + 1)]
    encoder = sum(9 * a * b + 9 * b * b + 8 * b for a, b in itertools.pairwise([inputs, *widths]))
    decoder = sum(2 * w * w + 18 * w * w + 9 * w * w + 8 * w for w in widths[:-1])
    return encoder + decoder + (f + 1) * outputs


@pytest.mark.parametrize(("depth", "f", "inputs", "outputs"), [(1, 4, 1, 1), (2, 6, 3, 3), (3, 8, 2, 5), (4, 64, 3, 2)])
def test_parameters_are_those_on_paper(depth, f, inputs, outputs):
    model = UNet((None, None, inputs), depth, f, outputs)
    assert parameters(model).total == formula(depth, f, inputs, outputs)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_every_level_costs_the_same(depth):
    """41 f^2 per pixel of the image and level, less at the ends."""
    side, f = 32, 4
    per_pixel = 41 * f * f * (depth - 1) + (36.5 * f * f + 9 * f) + 13.5 * f * f + f
    assert macs(UNet((side, side, 1), depth, f)).total == per_pixel * side * side


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_bottleneck_sees_as_far_as_on_paper(depth):
    model = UNet((None, None, 1), depth, 4)
    assert receptive_field(model, layer="bottleneck_relu_1").size == (9 * 2**depth - 4,) * 2


@pytest.mark.parametrize("sides", [(1, 1), (1, 9), (2, 3), (15, 10), (37, 21)])
def test_any_size(sides):
    model = UNet(**SMALL)
    assert tuple(model(photo(*sides)).shape) == (1, *sides, 1)
    assert UNet(**{**SMALL, "input_shape": (*sides, 1)}).output.shape == (None, *sides, 1)


def test_config_and_file_give_the_same_network(tmp_path):
    options = {"output_channels": 3, "final_activation": "softmax", "name": "judge"}
    model = randomise(UNet(**SMALL, **options))
    again = UNet.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = photo(13, 6, batch=2)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    np.testing.assert_allclose(ops.convert_to_numpy(ops.sum(loaded(x), axis=-1)), 1, atol=1e-5)
    assert loaded.name == "judge"


def test_it_learns_and_its_normalization_keeps_up():
    """After a short training, inference is as good as training: the running statistics have arrived."""
    keras.utils.set_random_seed(0)
    x = photo(16, 16, batch=16)
    model = UNet(**SMALL)
    model.compile(keras.optimizers.Adam(1e-2), "mse")
    losses = model.fit(x, 1 - x, epochs=40, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < 0.3 * losses[0]
    assert model.evaluate(x, 1 - x, verbose=0) < 2 * losses[-1] + 1e-3


def test_narrowing_first_is_the_same_function():
    """A 1x1 convolution commutes with bilinear doubling, so the decoder narrows before it doubles."""
    coarse, fine = photo(5, 4).repeat(6, axis=-1), photo(9, 8)
    coarse = coarse * np.arange(1, 7, dtype="float32")
    narrow, up = layers.Conv2D(3, 1, use_bias=False), UpsampleLike()
    before, after = up([narrow(coarse), fine]), narrow(up([coarse, fine]))
    np.testing.assert_allclose(ops.convert_to_numpy(before), ops.convert_to_numpy(after), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"depth": 0}, "depth=0"),
        ({"initial_filters": 2.5}, "initial_filters=2.5"),
        ({"output_channels": 0}, "output_channels=0"),
        ({"input_shape": (32, 32)}, "fixed number of channels"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        UNet(**{**SMALL, **arguments})
    assert "Received: " in str(caught.value)


def test_one_image_without_its_batch_is_refused():
    with pytest.raises(ValueError, match="batches of images"):
        UNet(**SMALL)(np.zeros((8, 8, 1), "float32"))
