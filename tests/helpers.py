import math
import os
import pathlib

import keras
import numpy as np
import pytest
from keras import layers, ops

from dlt.models._model import Model

ROOT = pathlib.Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
GOLDENS = ROOT / "tests" / "goldens"
WHOLE = "DLT_WHOLE" in os.environ


def only_in_the_whole_suite():
    """Skip a test that takes long and has a likeness in every run; the weekly one leaves nothing out."""
    if not WHOLE:
        pytest.skip("with DLT_WHOLE=1 it runs, as it does every week")


def randomise(model, seed=0):
    """Give every weight a value that matters: at their initial values, gammas and betas hide a broken block."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        values = rng.normal(size=weight.shape)
        if len(weight.shape) > 1:
            values *= 1 / math.sqrt(math.prod(weight.shape[:-1]))
        else:
            values = 0.3 * values + (1 if "gamma" in weight.path or "scale" in weight.path else 0)
        if "variance" in weight.path:
            values = np.exp(values)
        weight.assign(values.astype("float32"))
    return model


def as_model(layer, shape):
    """Wrap a layer into a functional model on images of any size; a dense layer before it must get its gradients.

    `shape` is that of a batch the layer takes, or a list of shapes if it takes several tensors.
    """
    images = [keras.Input((None, None, one[-1])) for one in several(shape)]
    before = [layers.Dense(x.shape[-1], name=f"before_{i}")(x) for i, x in enumerate(images)]
    if isinstance(shape, list):
        return Model(images, layer(before))
    return Model(images[0], layer(before[0]))


# On JAX an operation that runs by itself is compiled by itself, which takes longer than to compile all of them at once;
# on TensorFlow it is the graph that takes long.
EAGERLY = keras.backend.backend() != "jax"


def several(shape):
    """Return a shape, or a list of shapes, as a list."""
    return shape if isinstance(shape, list) else [shape]


def float64(x):
    """Return a tensor of any float type as an array of float64."""
    return ops.convert_to_numpy(x).astype("float64")


# Without a switch that has to be set before anything else, JAX has no float64.
DOUBLE = pytest.param("float64", marks=pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX: no float64"))


def shared(path):
    """Return the path of a file beside the project, or skip the test where there is none."""
    if not (SHARED / path).exists():
        pytest.skip(f"needs {path}, which is not part of the project")
    return SHARED / path
