"""Functions whose degree is known by heart, functions that keep none, and networks drawn at random."""

import os

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

from dlt.layers import BiasFreeBatchNormalization, ConvNeXtV1Block, GlobalResponseNormalization
from dlt.measure import homogeneity, homogeneity_breakers
from tests.measure.random_scales import random_scales

KEEP = {  # maker of a layer on maps of 4 channels that keeps the scale
    "conv": lambda: layers.Conv2D(4, 3, padding="same", use_bias=False),
    "depthwise": lambda: layers.DepthwiseConv2D(3, padding="same", use_bias=False),
    "dilated": lambda: layers.Conv2D(4, 3, dilation_rate=2, padding="same", use_bias=False, activation="relu"),
    "dense": lambda: layers.Dense(4, use_bias=False),
    "relu": layers.ReLU,
    "leaky": layers.LeakyReLU,
    "max": lambda: layers.MaxPooling2D(2, strides=1, padding="same"),
    "average": lambda: layers.AveragePooling2D(2, strides=1, padding="same"),
    "bilinear": lambda: layers.UpSampling2D(2, interpolation="bilinear"),
    "bias-free norm": BiasFreeBatchNormalization,
}
BREAK = {  # maker -> words of the reason
    "bias": (lambda: layers.Conv2D(4, 3, padding="same"), "additive weight: bias"),
    "gelu": (lambda: layers.Activation("gelu"), "activation: gelu"),
    "silu": (lambda: layers.Conv2D(4, 1, use_bias=False, activation="silu"), "activation: silu"),
    "layer norm": (lambda: layers.LayerNormalization(center=False), "forgets the scale"),
    "batch norm": (lambda: layers.BatchNormalization(center=False), "additive weight: moving_mean"),
    "GRN": (GlobalResponseNormalization, "additive weight: beta"),
    "relu6": (lambda: layers.ReLU(max_value=1.0), "found by probing"),
    "rescaling": (lambda: layers.Rescaling(1 / 2, offset=-1.0), "found by probing"),
}


def batch(shape=(2, 8, 8, 4), seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def stack(makers):
    return keras.Sequential([keras.Input((8, 8, 4)), *(make() for make in makers)])


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(sorted(KEEP)), min_size=1, max_size=5))
def test_stacks_of_equivariant_layers_are_equivariant(names):
    model = stack([KEEP["conv"], *(KEEP[name] for name in names)])
    result = homogeneity(model, batch())
    assert result.equivariance_error <= 1e-5
    assert result.verdict == "equivariant"
    assert abs(result.degree - 1) < 1e-5
    assert result.invariance_error > 1
    assert homogeneity_breakers(model) == ()


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(sorted(KEEP)), max_size=2), st.sampled_from(sorted(BREAK)))
def test_one_breaker_anywhere_is_found_and_nothing_else(names, breaker):
    make, words = BREAK[breaker]
    model = stack([*(KEEP[name] for name in names), make, KEEP["conv"]])
    (found,) = homogeneity_breakers(model)
    assert found.path == model.layers[len(names)].name
    assert words in found.reason
    assert found.error > 1e-5


@pytest.mark.parametrize(
    ("function", "degree"), [(lambda x: 3 * x, 1), (np.square, 2), (np.sign, 0), (lambda x: x**3, 3), (np.abs, 1)]
)
def test_the_fitted_degree_is_the_degree(function, degree):
    result = homogeneity(lambda x: function(ops.convert_to_numpy(x)), batch())
    assert abs(result.degree - degree) < 1e-6
    assert result.verdict == {0: "invariant", 1: "equivariant"}.get(degree, "neither")


def test_errors_are_their_formulas():
    result = homogeneity(lambda x: x + 1, np.ones((1, 2, 2, 1), "float32"), scales=(0.5, 4))
    np.testing.assert_allclose(result.equivariance, [0.5 / 1, 3 / 8])  # |a + 1 - 2 a| / 2 a
    np.testing.assert_allclose(result.invariance, [0.5 / 2, 3 / 2])  # |a + 1 - 2| / 2
    assert result.equivariance_error == 0.5
    assert result.verdict == "neither"


def test_layer_norm_after_a_bias_free_stem_forgets_the_scale():
    """The error is |1 - a| / a: the claim that such a network is scale-equivariant is wrong."""
    model = stack([KEEP["conv"], lambda: layers.LayerNormalization(epsilon=1e-12, center=False), KEEP["conv"]])
    result = homogeneity(model, batch(), scales=(0.5, 2, 10))
    np.testing.assert_allclose(result.equivariance, [1.0, 0.5, 0.9], rtol=1e-3)
    assert result.invariance_error < 1e-4


def test_the_worst_of_several_outputs_counts():
    images = keras.Input((8, 8, 4))
    good = layers.ReLU()(images)
    model = keras.Model(images, [1000 * good, {"bad": layers.Activation("tanh")(images)}])
    assert homogeneity(model, batch()).equivariance_error > 0.1
    assert homogeneity(keras.Model(images, [good, 2 * good]), batch()).equivariance_error <= 1e-6


def test_several_inputs_are_scaled_together():
    inputs = [keras.Input((4,)), keras.Input((4,))]
    x = [batch((3, 4)), batch((3, 4), seed=1)]
    assert homogeneity(keras.Model(inputs, layers.Add()(inputs)), x).verdict == "equivariant"
    product = keras.Model(inputs, layers.Multiply()(inputs))
    assert abs(homogeneity(product, x).degree - 2) < 1e-5
    (found,) = homogeneity_breakers(product, x)
    assert found.reason == "found by probing: degree 2"


def test_squeeze_and_excitation_is_caught_at_its_gate():
    images = keras.Input((8, 8, 4))
    squeezed = layers.GlobalAveragePooling2D(keepdims=True)(images)
    gate = layers.Dense(4, use_bias=False, activation="sigmoid", name="gate")(squeezed)
    model = keras.Model(images, layers.Multiply(name="scale")([images, gate]))
    assert homogeneity(model, batch()).verdict == "neither"
    assert [found.path for found in homogeneity_breakers(model)] == ["gate", "scale"]


def test_training_leaves_a_bias_free_network_equivariant():
    model = stack([KEEP["conv"], KEEP["bias-free norm"], KEEP["relu"], KEEP["conv"]])
    model.compile("adam", "mse")
    model.fit(batch((16, 8, 8, 4)), batch((16, 8, 8, 4), seed=1), epochs=3, verbose=0)
    assert homogeneity(model, batch(seed=2)).equivariance_error <= 1e-5


@keras.saving.register_keras_serializable(package="tests")
class Compressed(layers.Layer):
    """A custom layer around a good one, whose own arithmetic is not homogeneous."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Conv2D(4, 1, use_bias=False, name="inner")

    def build(self, input_shape):
        self.inner.build(input_shape)

    def call(self, inputs):
        return ops.sqrt(ops.abs(self.inner(inputs)))


def test_inside_nested_models_and_unknown_layers():
    nested = keras.Sequential([keras.Input((8, 8, 4)), Compressed(name="odd"), layers.ReLU()], name="nested")
    images = keras.Input((8, 8, 4))
    model = keras.Model(images, ops.exp(nested(KEEP["conv"]()(images))))
    first, second = homogeneity_breakers(model)
    assert (first.path, first.kind) == ("nested/odd", "Compressed")
    assert abs(first.degree - 0.5) < 1e-3  # inner is not accused, and odd is judged alone
    assert second.kind == "Exp"


class Gelu(keras.Model):
    """Two good layers, and between them one that is none."""

    def __init__(self):
        super().__init__(name="between")
        self.first, self.second = layers.Dense(8, use_bias=False), layers.Dense(3, use_bias=False)

    def call(self, x):
        return self.second(ops.gelu(self.first(x)))


FUZZED = range(int(os.environ.get("DLT_FUZZ", 6)))  # more: DLT_FUZZ=500 pytest -k random_network


@pytest.mark.parametrize("seed", FUZZED)
def test_random_networks_break_the_scale_where_a_part_does(seed):
    model, compensated = random_scales(seed)
    x = batch((2, 6, 6, 4), seed)
    found = homogeneity_breakers(model, x)
    if homogeneity(model, x).verdict == "equivariant":
        assert found == () or compensated
    else:
        assert found


def test_arithmetic_before_a_child_is_seen():
    x = batch((2, 12))
    model = Gelu()
    assert homogeneity(model, x).verdict == "neither"
    assert [found.path for found in homogeneity_breakers(model, x)] == ["between"]
    tokens = keras.Input((6, 4))
    attention = layers.MultiHeadAttention(2, 3, use_bias=False, name="attention")
    (found,) = homogeneity_breakers(keras.Model(tokens, attention(tokens, tokens)))
    assert found.path.startswith("attention")


@pytest.mark.parametrize(
    ("function", "keeps"),
    [
        (lambda x, c: x - c, False),
        (ops.maximum, False),
        (ops.multiply, True),
        (ops.divide, True),
        (lambda x, c: ops.where(x > 0, x, x * c), True),
        (lambda x, c: ops.where(x > c, x, 0.1 * x), False),
    ],
)
def test_constants_among_the_arguments_do_not_scale(function, keeps):
    images = keras.Input((8, 8, 4))
    model = keras.Model(images, function(images, np.array([0.5, 0.4, 0.3, 0.2], "float32")))
    assert (homogeneity(model, batch()).verdict == "equivariant") == keeps
    assert (homogeneity_breakers(model, batch()) == ()) == keeps


@pytest.mark.parametrize("function", [ops.abs, lambda x: ops.relu(x), lambda x: ops.maximum(x, 0.1 * x)])
def test_homogeneous_functions_are_not_accused(function):
    for layer in (layers.Activation(function), layers.Dense(4, use_bias=False, activation=function)):
        assert homogeneity_breakers(keras.Sequential([keras.Input((8, 8, 4)), layer])) == ()


def tanh(x):
    return ops.relu(x)


def test_a_name_is_no_proof():
    def relu(x):
        return ops.maximum(x, 0.5)

    (found,) = homogeneity_breakers(keras.Sequential([keras.Input((4,)), layers.Activation(relu)]))
    assert found.reason == "activation: relu"
    assert homogeneity_breakers(keras.Sequential([keras.Input((4,)), layers.Activation(tanh)])) == ()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_is_not_taken_for_arithmetic(policy):
    keras.config.set_dtype_policy(policy)
    good = stack([KEEP["conv"], KEEP["relu"]])
    assert homogeneity_breakers(good) == ()
    assert [layer.dtype_policy.name for layer in good.layers] == [policy] * 2
    (found,) = homogeneity_breakers(stack([KEEP["conv"], lambda: layers.LayerNormalization(center=False, name="norm")]))
    assert found.path == "norm"


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_quantized_layers_are_probed(mode):
    model = keras.Sequential([keras.Input((16,)), layers.Dense(8, use_bias=False), layers.Dense(4, name="biased")])
    for layer in model.layers:
        layer.quantize(mode)
    assert [found.path for found in homogeneity_breakers(model)] == ["biased"]


def test_a_part_that_takes_another_path_is_found():
    class Fork(keras.Model):
        def __init__(self):
            super().__init__(name="fork")
            self.small, self.large = layers.Dense(4, use_bias=False), layers.Dense(4, use_bias=False)

        def build(self, shape):
            self.small.build(shape)
            self.large.build(shape)

        def call(self, x):
            return self.large(x) if float(ops.convert_to_numpy(ops.max(ops.abs(x)))) > 5 else self.small(x)

    x = batch((2, 4))
    model = Fork()
    assert homogeneity(model, x).verdict == "neither"
    (found,) = homogeneity_breakers(model, x)
    assert (found.path, found.error) == ("fork", np.inf)


class Sometimes(layers.Layer):
    """Bends its input if told to."""

    def call(self, x, bent=False):
        return ops.gelu(x) if bent else 2 * x


class Again(keras.Model):
    """Layers that keep the scale at their first call: it is a straight one, or one on numbers that are no input."""

    def __init__(self):
        super().__init__(name="again")
        self.sometimes, self.biased = Sometimes(name="sometimes"), layers.Dense(4, name="biased")

    def build(self, shape):
        self.biased.build(shape)

    def call(self, x):
        weights = ops.softmax(self.biased(ops.ones((1, 4))))
        return self.sometimes(self.sometimes(weights * self.biased(x)), bent=True)


def test_every_call_counts():
    model = Again()
    model(batch((2, 4)))
    assert homogeneity(model, batch((2, 4))).verdict == "neither"
    assert [found.path for found in homogeneity_breakers(model, batch((2, 4)))] == ["sometimes", "biased"]


def test_whole_numbers_have_no_scale():
    tokens = keras.Input((6,), dtype="int32")
    model = keras.Model(tokens, layers.Embedding(5, 3)(tokens))
    for measure in (homogeneity_breakers, lambda x: homogeneity(x, np.ones((1, 6)))):
        with pytest.raises(ValueError, match="takes whole numbers, which have no scale") as caught:
            measure(model)
        assert "after the embedding" in str(caught.value)


def test_a_block_is_not_accused_of_what_its_child_does():
    block = ConvNeXtV1Block(activation="gelu", use_bias=False, normalization=None, name="block")
    (found,) = homogeneity_breakers(keras.Sequential([keras.Input((8, 8, 4)), block]))
    assert found.path.startswith("block/")
    assert found.reason == "activation: gelu"


def test_zero_biases_are_found_and_left_as_they_were():
    model = stack([BREAK["bias"][0], BREAK["GRN"][0]])
    before = [ops.convert_to_numpy(weight) for weight in model.weights]
    assert homogeneity(model, batch()).verdict == "equivariant"  # so far: all biases are zero
    assert len(homogeneity_breakers(model)) == 2
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), old)


def test_results_show_themselves():
    result = homogeneity(stack([KEEP["relu"], BREAK["gelu"][0]]), batch())
    assert "neither, degree" in repr(result)
    assert "<table " in result._repr_html_()
    assert [line.get_label() for line in result.plot(other=result).axes[0].lines][-1] == "other, equivariance"
    assert "activation: gelu" in repr(homogeneity_breakers(stack([BREAK["gelu"][0]])))


@pytest.mark.parametrize("scales", [(), (1,), (0.5, 0), (-1, 2), ("a",), (float("nan"),), (True,)])
def test_bad_scales(scales):
    with pytest.raises(ValueError, match="at least one of them not 1"):
        homogeneity(layers.ReLU(), batch(), scales=scales)


def test_nothing_to_compare():
    with pytest.raises(ValueError, match="not zero everywhere"):
        homogeneity(lambda x: 0 * x, batch())
    with pytest.raises(ValueError, match="finite at every scale"):
        homogeneity(lambda x: np.full_like(x, np.inf), batch())
