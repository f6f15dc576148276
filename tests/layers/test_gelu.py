"""The GELU of the blocks: Keras's, written with an operation that every converter knows."""

import keras
import numpy as np
import pytest
from keras import ops

from dlt import layers
from dlt.layers._gelu import gelu

EPSILON = {"float16": 2**-10, "bfloat16": 2**-7, "float32": 2**-23, "float64": 2**-52}


@pytest.mark.parametrize("dtype", EPSILON)
def test_gelu_is_that_of_keras_to_float_rounding(dtype):
    x = ops.cast(np.linspace(-6, 6, 2001), dtype)
    ours, theirs = (ops.convert_to_numpy(ops.cast(f(x), "float64")) for f in (gelu, keras.activations.gelu))
    size = np.maximum(1, np.abs(ops.convert_to_numpy(ops.cast(x, "float64"))))
    assert np.all(np.abs(ours - theirs) <= 8 * EPSILON[dtype] * size)
    assert np.ptp(theirs) > 6 - 1e-2


@pytest.mark.parametrize("block", [layers.ConvNeXtV1Block, layers.ConvNeXtV2Block])
def test_blocks_compute_it_and_still_say_gelu(block):
    for activation in ("gelu", keras.activations.gelu):
        made = block(activation=activation)
        made.build((None, 8, 8, 4))
        assert next(layer for layer in made.branch if layer.name == "gelu").activation is gelu
        assert made.get_config()["activation"] == "gelu"
