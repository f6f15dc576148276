"""Layers in every dtype, with a policy that comes late, and with Keras's other order of axes as the global default."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.helpers import DOUBLE, EAGERLY, as_model, float64, randomise, several
from tests.layers.test_keras_protocols import each_layer


def model_of(case, **kwargs):
    made = case.make(**kwargs)
    return made if isinstance(made, keras.Model) else as_model(made, case.shape)


def images(case):
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=shape).astype("float32") for shape in several(case.shape)]
    return arrays if isinstance(case.shape, list) else arrays[0]


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@each_layer
@pytest.mark.parametrize("policy", ["float16", "bfloat16", DOUBLE])
def test_a_pure_policy_trains_without_nan(case, policy):
    keras.config.set_dtype_policy(policy)
    model = model_of(case)
    x = images(case)
    before = [float64(weight) for weight in model.trainable_weights]
    assert {weight.dtype for weight in model.trainable_weights} <= {policy}
    model.compile(keras.optimizers.SGD(1e-2), "mse", run_eagerly=EAGERLY)
    shape = model.compute_output_shape([array.shape for array in x] if isinstance(x, list) else x.shape)
    assert np.isfinite(model.train_on_batch(x, np.ones(shape)))
    assert all(np.all(np.isfinite(float64(weight))) for weight in model.weights)
    assert any(np.any(float64(w) != old) for w, old in zip(model.trainable_weights, before, strict=True))


@each_layer
@pytest.mark.parametrize("deep", [False, True])
def test_a_policy_may_come_after_the_weights(case, deep):
    model = randomise(model_of(case))
    x = images(case)
    expected = ops.convert_to_numpy(model(x))
    for layer in model._flatten_layers(include_self=False, recursive=deep):
        layer.dtype_policy = keras.DTypePolicy("mixed_float16")
    again = float64(model(x))
    np.testing.assert_allclose(again, expected, rtol=0.05, atol=0.05 * np.abs(expected).max())
    assert not np.array_equal(again, expected) or case.name == "UpsampleLike"


@each_layer
def test_channels_stay_last_where_the_global_default_is_first(case, channels_first):
    model = randomise(model_of(case))
    x = images(case)
    keras.config.set_image_data_format("channels_last")
    expected = randomise(model_of(case))
    np.testing.assert_array_equal(ops.convert_to_numpy(model(x)), ops.convert_to_numpy(expected(x)))
