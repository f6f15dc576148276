import keras
import numpy as np
import pytest
from keras import layers, ops

import dlt
from dlt.measure import effective_receptive_field
from dlt.measure._gradients import input_gradient, layer_output
from tests.helpers import randomise


def linear(rng, kernel):
    """Return a network that is one fixed convolution, and its kernel."""
    layer = layers.Conv2D(1, len(kernel), padding="same", use_bias=False)
    model = keras.Sequential([keras.Input((15, 15, 1)), layer])
    layer.set_weights([np.asarray(kernel, "float32")[..., None, None]])
    return model


def test_the_gradient_of_a_convolution_is_its_kernel(rng):
    kernel = rng.normal(size=(3, 3))
    weights = np.zeros((1, 15, 15, 1))
    weights[0, 7, 7] = 2
    gradient = input_gradient(linear(rng, kernel), rng.normal(size=(1, 15, 15, 1)), weights)
    np.testing.assert_allclose(gradient[0, 6:9, 6:9, 0], 2 * kernel, rtol=1e-5)
    assert np.count_nonzero(gradient) == 9


def test_the_gradient_agrees_with_finite_differences(rng):
    stack = [layers.Conv2D(4, 3, activation="gelu"), layers.BatchNormalization(), layers.Dropout(0.5)]
    model = randomise(keras.Sequential([keras.Input((8, 8, 2)), *stack, layers.Flatten(), layers.Dense(3)]))
    x, weights = rng.normal(size=(2, 8, 8, 2)), rng.normal(size=(2, 3))
    direction = rng.normal(size=x.shape)
    up, down = (weights * ops.convert_to_numpy(model(x + step * direction)) for step in (1e-2, -1e-2))
    slope = (up.sum() - down.sum()) / 2e-2
    assert np.sum(input_gradient(model, x, weights) * direction) == pytest.approx(slope, rel=1e-2)


def test_images_of_a_batch_are_separate_and_nothing_is_trained(rng):
    model = randomise(keras.Sequential([keras.Input((8, 8, 2)), layers.Conv2D(3, 3), layers.BatchNormalization()]))
    before = model.get_weights()
    x, weights = rng.normal(size=(2, 8, 8, 2)), rng.normal(size=(2, 6, 6, 3))
    weights[1] = 0
    gradient = input_gradient(model, x, weights)
    assert np.any(gradient[0])
    assert not np.any(gradient[1])
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert getattr(model, "optimizer", None) is None


def test_small_gradients_keep_their_digits(rng):
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Rescaling(1e-20, offset=1.0)])
    gradient = input_gradient(model, np.full((1, 4, 4, 1), 1e3), np.ones((1, 4, 4, 1)))
    np.testing.assert_allclose(gradient, 1e-20, rtol=1e-5)


def test_mixed_precision(rng):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = randomise(keras.Sequential([keras.Input((8, 8, 2)), layers.Conv2D(3, 3, padding="same")]))
    gradient = input_gradient(model, rng.normal(size=(1, 8, 8, 2)), np.ones((1, 8, 8, 3)))
    assert gradient.dtype == "float32"
    assert np.all(gradient != 0)


def test_layers_inside(rng):
    model = randomise(keras.Sequential([keras.Input((8, 8, 2)), dlt.layers.ConvNeXtV1Block(name="block")]))
    x = rng.normal(size=(1, 8, 8, 2)).astype("float32")
    inside, again = (
        ops.convert_to_numpy(f(x)) for f in (layer_output(model, "block/depthwise"), model.layers[0].branch[0])
    )
    np.testing.assert_allclose(inside, again, rtol=1e-6)
    assert input_gradient(model, x, np.ones((1, 8, 8, 8)), layer="block/expand").shape == x.shape
    with pytest.raises(ValueError, match="There is no layer of this name"):
        layer_output(model, "blocks")


def test_a_mean_spreads_its_influence_evenly(rng):
    model = linear(rng, np.ones((5, 5)))
    result = effective_receptive_field(model, rng.normal(size=(3, 15, 15, 1)))
    np.testing.assert_allclose(result.influence[5:10, 5:10], 1 / 25, rtol=1e-5)
    assert result.influence.sum() == pytest.approx(1)
    assert result.centre == (7, 7)
    assert result.radius == pytest.approx(np.hypot(2, 2))
    assert result.radius_of(0.5) == pytest.approx(2)  # 13 of 25 pixels lie within 2


def test_a_stack_looks_less_far_than_it_could(rng):
    """Twenty means of 3 x 3: a Gaussian of deviation sqrt(20 * 2 / 3) per axis, in a field of 41 x 41."""
    stack = [layers.AveragePooling2D(3, 1, padding="same") for _ in range(20)]
    model = keras.Sequential([keras.Input((61, 61, 1)), *stack])
    result = effective_receptive_field(model, rng.normal(size=(1, 61, 61, 1)))
    expected = np.sqrt(20 * 2 / 3) * np.sqrt(-2 * np.log(0.05))  # the radius that holds 95 % of a Gaussian
    assert result.radius == pytest.approx(expected, rel=0.05)
    assert result.radius < 20
    rows = np.arange(61) - 30
    variance = np.sum(result.influence.sum(axis=1) * rows**2)
    assert variance == pytest.approx(20 * 2 / 3, rel=1e-4)
    assert result.spread == pytest.approx(np.sqrt(2 * 20 * 2 / 3), rel=1e-4)  # both axes


def test_an_identity_looks_at_one_pixel(rng):
    model = keras.Sequential([keras.Input((9, 9, 2)), layers.Activation("gelu")])
    assert effective_receptive_field(model, rng.normal(size=(2, 9, 9, 2))).radius == 0


def test_class_scores_and_layers(rng):
    stack = [layers.Conv2D(4, 3, padding="same", name="conv"), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    model = randomise(keras.Sequential([keras.Input((16, 16, 1)), *stack]))
    images = rng.normal(size=(2, 16, 16, 1))
    assert effective_receptive_field(model, images).radius > 6
    assert effective_receptive_field(model, images, layer="conv").radius <= np.hypot(1, 1) + 1


def test_no_influence_is_an_error(rng):
    model = keras.Sequential([keras.Input((9, 9, 1)), layers.Rescaling(0.0)])
    with pytest.raises(ValueError, match="No pixel has an influence"):
        effective_receptive_field(model, rng.normal(size=(1, 9, 9, 1)))
    with pytest.raises(ValueError, match="works on batches of images"):
        effective_receptive_field(model, np.zeros((9, 9)))


def test_results_show_themselves(rng):
    model = linear(rng, np.ones((3, 3)))
    for result in (
        effective_receptive_field(model, rng.normal(size=(1, 15, 15, 1))),
        dlt.measure.receptive_field(model),
        dlt.measure.measured_receptive_field(model, draws=1),
    ):
        assert "<table " in result._repr_html_()
        assert result.plot().axes[0].images
