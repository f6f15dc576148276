"""Each layer against its formula, written again in NumPy."""

import keras
import numpy as np
import pytest
import scipy.special
from keras import ops

from dlt.layers import (
    BiasFreeBatchNormalization,
    ConvNeXtV1Block,
    ConvNeXtV2Block,
    GlobalResponseNormalization,
    LayerScale,
    StochasticDepth,
)
from dlt.measure import homogeneity
from tests.helpers import randomise


def grn(x, gamma, beta, epsilon=1e-6):
    response = np.sqrt((x**2).sum((1, 2), keepdims=True))
    return gamma * (x * response / (response.mean(-1, keepdims=True) + epsilon)) + beta + x


def block(x, weights, v2):
    """One ConvNeXt block in float64, from the weights in the order in which Keras lists them."""
    weights = [ops.convert_to_numpy(weight).astype("float64") for weight in weights]
    (kernel, bias), (scale, offset), (w1, b1) = weights[:2], weights[2:4], weights[4:6]
    side = kernel.shape[0]
    padded = np.pad(x, ((0, 0), (side // 2,) * 2, (side // 2,) * 2, (0, 0)))
    height, width = x.shape[1:3]
    y = bias + sum(
        padded[:, i : i + height, j : j + width] * kernel[i, j, :, 0] for i in range(side) for j in range(side)
    )
    y = scale * (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-6) + offset
    y = y @ w1 + b1
    y = y * (1 + scipy.special.erf(y / np.sqrt(2))) / 2
    if v2:
        (gamma, beta), (w2, b2) = weights[6:8], weights[8:10]
        return x + grn(y, gamma, beta) @ w2 + b2
    (w2, b2), gamma = weights[6:8], weights[8]
    return x + gamma * (y @ w2 + b2)


@pytest.mark.parametrize("cls", [ConvNeXtV1Block, ConvNeXtV2Block])
@pytest.mark.parametrize("kernel_size", [3, 7])
def test_block_is_its_formula(cls, kernel_size, rng):
    x = rng.normal(size=(2, 9, 6, 4))
    layer = cls(kernel_size=kernel_size)
    layer.build(x.shape)
    randomise(layer)
    expected = block(x, layer.weights, v2=cls is ConvNeXtV2Block)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x.astype("float32"))), expected, rtol=1e-4, atol=1e-4)
    assert np.abs(expected - x).max() > 0.1  # the branch is not silent, so the comparison means something


def test_v1_block_starts_almost_as_the_identity_and_v2_does_not(rng):
    x = rng.normal(size=(1, 8, 8, 16)).astype("float32")
    v1, v2 = (np.abs(ops.convert_to_numpy(cls()(x)) - x).max() for cls in (ConvNeXtV1Block, ConvNeXtV2Block))
    assert v1 < 1e-5 < v2


def test_grn_is_its_formula(rng):
    x = rng.normal(size=(2, 5, 4, 3))
    layer = GlobalResponseNormalization()
    layer.build(x.shape)
    randomise(layer)
    gamma, beta = (ops.convert_to_numpy(weight) for weight in (layer.gamma, layer.beta))
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer(x.astype("float32"))), grn(x, gamma, beta), rtol=1e-4, atol=1e-5
    )


def test_grn_starts_as_the_identity(rng):
    x = rng.normal(size=(2, 5, 4, 3)).astype("float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(GlobalResponseNormalization()(x)), x)


def test_grn_of_nothing_is_nothing():
    layer = GlobalResponseNormalization()
    layer.build((None, 4, 4, 3))
    layer.gamma.assign(np.ones(3))
    assert np.all(ops.convert_to_numpy(layer(np.zeros((1, 4, 4, 3), "float32"))) == 0)


def test_grn_sums_squares_in_float32():
    x = np.full((1, 64, 64, 4), 30.0, "float32")  # 64 * 64 * 900 is far above float16's 65504
    layer = GlobalResponseNormalization(dtype="mixed_float16")
    layer.build(x.shape)
    layer.gamma.assign(np.ones(4))
    y = ops.convert_to_numpy(layer(x))
    assert y.dtype == np.float16
    np.testing.assert_allclose(y, 60, rtol=1e-2)
    with np.errstate(over="ignore"):
        assert np.isinf((x.astype("float16") ** 2).sum(dtype="float16"))  # the control: float16 alone overflows


def test_grn_wants_images():
    with pytest.raises(ValueError, match=r"shape \(batch, height, width, channels\)"):
        GlobalResponseNormalization()(np.zeros((2, 3), "float32"))


def test_layer_scale_multiplies_channels():
    layer = LayerScale(0.25)
    x = np.arange(12, dtype="float32").reshape(2, 2, 3)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(x)), 0.25 * x)
    layer.gamma.assign([0.0, 1.0, 2.0])
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(x)), x * [0, 1, 2])


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_stochastic_depth_drops_samples_and_keeps_the_expectation(rate):
    x = np.ones((4000, 2, 2, 3), "float32")
    y = ops.convert_to_numpy(StochasticDepth(rate, seed=0)(x, training=True))
    per_sample = y.reshape(len(y), -1)
    assert np.all(per_sample == per_sample[:, :1]), "a sample was dropped in part"
    kept = per_sample[:, 0] > 0
    error = 4 * np.sqrt(rate * (1 - rate) / len(y))  # four standard deviations of the mean
    assert abs(kept.mean() - (1 - rate)) < error
    assert abs(y.mean() - 1) < error / (1 - rate)


def test_stochastic_depth_does_nothing_at_inference(rng):
    x = rng.normal(size=(8, 2, 2, 3)).astype("float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(StochasticDepth(0.9)(x, training=False)), x)


def test_block_drops_its_branch_whole(rng):
    x = rng.normal(size=(64, 6, 6, 4)).astype("float32")
    layer = ConvNeXtV2Block(drop_path_rate=0.5)
    layer.build(x.shape)
    randomise(layer)
    changed = np.abs(ops.convert_to_numpy(layer(x, training=True)) - x).reshape(64, -1).max(1) > 0
    assert 10 < changed.sum() < 54


def test_kernels_get_the_regularizer_and_the_right_spread():
    layer = ConvNeXtV1Block(kernel_regularizer="l2")
    layer.build((None, 8, 8, 96))
    assert len(layer.losses) == 3  # depthwise and two dense kernels
    kernels = [ops.convert_to_numpy(w) for w in layer.weights if len(w.shape) > 1]
    for kernel in kernels:
        # a normal distribution cut at two deviations has 0.88 of its deviation left
        assert abs(kernel.std() / (0.88 * 0.02) - 1) < 0.05
    assert not np.array_equal(kernels[1].ravel(), kernels[2].ravel())
    assert keras.regularizers.serialize(layer.kernel_regularizer) == layer.get_config()["kernel_regularizer"]


class TestBiasFreeBatchNormalization:
    def test_training_divides_by_the_batch_and_inference_by_the_average(self, rng):
        x = (3 + 2 * rng.normal(size=(8, 5, 5, 3))).astype("float32")
        layer = BiasFreeBatchNormalization(momentum=0.9, epsilon=1e-6)
        variance = x.var((0, 1, 2))
        y = ops.convert_to_numpy(layer(x, training=True))
        np.testing.assert_allclose(y, x / np.sqrt(variance + 1e-6), rtol=1e-5)
        average = 0.9 + 0.1 * variance
        np.testing.assert_allclose(ops.convert_to_numpy(layer.moving_variance), average, rtol=1e-5)
        np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), x / np.sqrt(average + 1e-6), rtol=1e-5)

    def test_frozen_it_keeps_its_average(self, rng):
        x = rng.normal(size=(8, 5, 5, 3)).astype("float32")
        layer = BiasFreeBatchNormalization()
        layer.trainable = False
        np.testing.assert_array_equal(ops.convert_to_numpy(layer(x, training=True)), ops.convert_to_numpy(layer(x)))
        np.testing.assert_array_equal(ops.convert_to_numpy(layer.moving_variance), np.ones(3, "float32"))

    def test_keras_without_center_is_not_bias_free(self, rng):
        x = rng.normal(size=(8, 5, 5, 3)).astype("float32")
        ours, keras_own = BiasFreeBatchNormalization(), keras.layers.BatchNormalization(center=False)
        for layer in (ours, keras_own):
            layer(x + 2, training=True)
        errors = [np.abs(ops.convert_to_numpy(layer(2 * x) - 2 * layer(x))).max() for layer in (ours, keras_own)]
        assert errors[0] == 0
        assert errors[1] > 0.01

    def test_channels_must_be_known(self):
        with pytest.raises(ValueError, match="a fixed number of channels"):
            BiasFreeBatchNormalization()(keras.Input((8, None)))


@pytest.mark.parametrize("arguments", [{}, {"epsilon": 0, "use_bias": False}])
def test_grn_trains_with_a_silent_channel_and_a_black_image(arguments, rng):
    layer, dense = GlobalResponseNormalization(**arguments), keras.layers.Dense(3, use_bias=False)
    images = keras.Input((4, 4, 3))
    model = keras.Model(images, layer(ops.relu(dense(images))))
    randomise(layer)
    dense.kernel.assign([[1, -1, 1]] * 3)  # the second channel is below zero for every image
    x = rng.random(size=(2, 4, 4, 3)).astype("float32")
    x[1] = 0
    before = ops.convert_to_numpy(dense.kernel)
    model.compile("sgd", "mse")
    model.train_on_batch(x, np.ones_like(x))
    after = ops.convert_to_numpy(dense.kernel)
    assert np.isfinite(after).all()
    assert (after != before)[:, [0, 2]].all()


def test_grn_without_epsilon_and_beta_keeps_the_scale(rng):
    layer = GlobalResponseNormalization(epsilon=0, use_bias=False)
    x = rng.normal(size=(2, 6, 5, 4)).astype("float32")
    layer.build(x.shape)
    randomise(layer)
    assert [weight.name for weight in layer.weights] == ["gamma"]
    assert homogeneity(layer, x, scales=(1e-8, 1e-3, 1e3, 1e8)).equivariance_error < 1e-6
    official = GlobalResponseNormalization(use_bias=False)
    official.build(x.shape)
    randomise(official)
    assert homogeneity(official, x, scales=(1e-8, 1e-3)).equivariance_error > 1e-3
