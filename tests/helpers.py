import math
import pathlib

import keras
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
GOLDENS = ROOT / "tests" / "goldens"


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


def as_model(layer, channels):
    """Wrap a layer into a functional model on images of any size; a dense layer before it must get its gradients."""
    images = keras.Input((None, None, channels))
    return keras.Model(images, layer(keras.layers.Dense(channels, name="before")(images)))


def shared(path):
    """Return the path of a file beside the project, or skip the test where there is none."""
    if not (SHARED / path).exists():
        pytest.skip(f"needs {path}, which is not part of the project")
    return SHARED / path
