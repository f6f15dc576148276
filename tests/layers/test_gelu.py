"""The GELU of the blocks: Keras's, written with an operation that every converter knows."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from dlt import layers
from dlt.layers._gelu import gelu
from tests.helpers import DOUBLE, float64

EPSILON = {"float16": 2**-10, "bfloat16": 2**-7, "float32": 2**-23, "float64": 2**-52}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", DOUBLE])
def test_gelu_is_exact_to_float_rounding_and_so_that_of_keras(dtype):
    x = ops.cast(np.linspace(-6, 6, 2001, dtype="float32"), dtype)
    exact = np.array([value * math.erfc(-value / math.sqrt(2)) / 2 for value in float64(x)])
    rounding = EPSILON[dtype] * np.maximum(1, np.abs(float64(x)))
    assert np.all(np.abs(float64(gelu(x)) - exact) <= 4 * rounding)
    if dtype != "float64":  # there, TensorFlow's own is off by 5e-9
        assert np.all(np.abs(float64(gelu(x)) - float64(keras.activations.gelu(x))) <= 4 * rounding)


@pytest.mark.parametrize("block", [layers.ConvNeXtV1Block, layers.ConvNeXtV2Block])
def test_blocks_compute_it_and_still_say_gelu(block):
    expected = keras.activations.gelu if keras.backend.backend() == "torch" else gelu
    for activation in ("gelu", keras.activations.gelu):
        made = block(activation=activation)
        made.build((None, 8, 8, 4))
        assert next(layer for layer in made.branch if layer.name == "gelu").activation is expected
        assert made.get_config()["activation"] == "gelu"
