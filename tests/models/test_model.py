"""What all models do beyond what Keras does."""

import keras
import numpy as np
import pytest

from dlt import models

SMALL = {
    "ConvNeXtV2": lambda: models.ConvNeXtV2((1,), (8,), num_classes=2, input_shape=(16, 16, 1)),
    "UNet": lambda: models.UNet((16, 16, 1), depth=1, initial_filters=4),
    "denoiser": lambda: models.create_convunext_denoiser(depth=2, initial_filters=8),
}


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="counts how often TensorFlow traces")
@pytest.mark.parametrize("name", SMALL)
def test_a_training_step_is_traced_once(name):
    ours = SMALL[name]()
    plain = keras.Model(ours.input, ours.output)
    assert (traces(ours), traces(plain)) == (1, 2)  # the control: what Keras does by itself
    assert (traces(ours, metrics=[keras.metrics.MeanSquaredError()]), traces(ours, metrics=["mse"])) == (1, 2)


@pytest.mark.parametrize("name", SMALL)
def test_only_training_needs_an_optimizer_with_variables(name):
    model = SMALL[name]()
    model.compile(jit_compile=False)
    assert not model.optimizer.built
    model.compile("adam", "mse")
    assert model.optimizer.built


def traces(model, metrics=None):
    """Return how often the loss is called from Python while a model is trained for three steps."""
    calls = []

    def loss(target, prediction):
        calls.append(target)
        return keras.ops.mean(keras.ops.square(prediction))

    model.compile("adam", loss, metrics=metrics, jit_compile=False)
    images = np.zeros((6, 16, 16, 1), "float32")
    model.fit(images, np.zeros(model(images).shape), batch_size=2, verbose=0)
    return len(calls)
