"""f(x) = J(x) x where the scale is kept, not where it is broken; and Jacobians that are known."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from dlt.measure import jacobian, local_filters
from dlt.models import ConvUNextModel
from tests.helpers import randomise

SMALL = {"input_shape": (None, None, 1), "depth": 2, "initial_filters": 8, "blocks_per_level": 1}


def photo(height=12, width=9, channels=1):
    return np.random.default_rng(0).random((height, width, channels)).astype("float32")


def test_a_convolution_is_its_kernel_everywhere():
    conv = layers.Conv2D(2, 3, padding="same", use_bias=False)
    model = keras.Sequential([keras.Input((None, None, 1)), conv])
    found = local_filters(model, photo(), [(5, 4), (6, 3, 1), (0, 0)])
    kernel = ops.convert_to_numpy(conv.kernel)[:, :, 0]
    np.testing.assert_allclose(found.filters[0, 4:7, 3:6, 0], kernel[..., 0], atol=1e-6)
    np.testing.assert_allclose(found.filters[1, 5:8, 2:5, 0], kernel[..., 1], atol=1e-6)
    np.testing.assert_allclose(found.filters[2, :2, :2, 0], kernel[1:, 1:, 0], atol=1e-6)
    assert np.count_nonzero(found.filters[0]) == 9
    assert found.error < 1e-6


def test_the_jacobian_is_the_matrix_of_a_linear_model():
    model = keras.Sequential([keras.Input((None, None, 2)), layers.Conv2D(3, 3, strides=2, use_bias=False)])
    x = photo(7, 9, 2)
    matrix = jacobian(model, x)
    assert matrix.shape == (3 * 4 * 3, 7 * 9 * 2)
    np.testing.assert_allclose(matrix @ x.ravel(), ops.convert_to_numpy(model(x[None])).ravel(), atol=1e-5)
    other = photo(7, 9, 2)[::-1]
    np.testing.assert_allclose(matrix @ other.ravel(), ops.convert_to_numpy(model(other[None])).ravel(), atol=1e-5)


@pytest.mark.slow
def test_euler_holds_for_the_network_that_keeps_the_scale_and_fails_with_biases():
    x = photo()
    keeps = randomise(ConvUNextModel(**SMALL, scale_equivariant=True))
    result = jacobian(keeps, x) @ x.ravel()
    expected = ops.convert_to_numpy(keeps(x[None])).ravel()
    assert np.linalg.norm(result - expected) <= 1e-4 * np.linalg.norm(expected)
    pixels = [(0, 0), (5, 4), (11, 8)]
    assert local_filters(keeps, x, pixels).error <= 1e-4
    biased = randomise(ConvUNextModel(**SMALL, use_bias=True, normalization=None, activation="relu"))
    assert local_filters(biased, x, pixels).error > 0.05
    layer_norm = randomise(ConvUNextModel(**SMALL))
    assert local_filters(layer_norm, x, pixels).error > 0.05  # degree 0: J(x) x is 0


def test_shows_itself():
    model = keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(1, 3, padding="same", use_bias=False)])
    found = local_filters(model, photo(), [(0, 0), (5, 5)])
    assert "filter times image" in repr(found)
    assert [ax.get_title() for ax in found.plot(radius=3).axes] == ["(0, 0)", "(5, 5)"]


def test_bad_arguments():
    model = keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(1, 3)])
    with pytest.raises(ValueError, match="no such pixel"):
        local_filters(model, photo(), [(10, 0)])
    with pytest.raises(ValueError, match="batches of images"):
        local_filters(model, photo()[..., 0], [(0, 0)])
    with pytest.raises(ValueError, match="gives no map"):
        jacobian(keras.Sequential([keras.Input((None, None, 1)), layers.GlobalAveragePooling2D()]), photo())
