import os

import keras
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from keras import layers, ops

from dlt.measure import macs, parameters
from dlt.models import ConvNeXtV1, ConvNeXtV2
from tests.measure.products import multiply_adds
from tests.measure.random_products import Steps, random_products


def model_of(*stack, shape=(12, 10, 6)):
    return keras.Sequential([keras.Input(shape), *stack])


KNOWN = [
    (layers.Dense(5), 12 * 10 * 6 * 5),
    (layers.Conv2D(5, 3, padding="same"), 12 * 10 * 9 * 6 * 5),
    (layers.Conv2D(5, 3), 10 * 8 * 9 * 6 * 5),
    (layers.Conv2D(5, 3, strides=2, padding="same"), 6 * 5 * 9 * 6 * 5),
    (layers.Conv2D(6, 3, dilation_rate=2), 8 * 6 * 9 * 6 * 6),
    (layers.DepthwiseConv2D(7, padding="same"), 12 * 10 * 49 * 6),
    (layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), 12 * 10 * 9 * 12),
    (layers.SeparableConv2D(5, 3, padding="same"), 12 * 10 * (9 * 6 + 6 * 5)),
    (layers.Conv2DTranspose(5, 2, strides=2), 12 * 10 * 4 * 6 * 5),
    (layers.EinsumDense("abcd,de->abce", (12, 10, 7)), 12 * 10 * 6 * 7),
    (layers.EinsumDense("...x,xy->...y", 7), 12 * 10 * 6 * 7),
    (layers.MaxPooling2D(), 0),
    (layers.BatchNormalization(), 0),
    (layers.PReLU(), 0),
]


@pytest.mark.parametrize(("layer", "expected"), KNOWN, ids=lambda v: getattr(v, "name", ""))
def test_known_answers(layer, expected):
    result = macs(model_of(layer))
    assert result.total == expected
    assert result.uncounted == ()


def test_one_dimensional_and_three_dimensional_convolutions():
    assert macs(model_of(layers.Conv1D(4, 3, padding="same"), shape=(9, 2))).total == 9 * 3 * 2 * 4
    assert macs(model_of(layers.Conv3D(4, 3, padding="same"), shape=(3, 4, 5, 2))).total == 60 * 27 * 2 * 4


def test_grouped_convolution():
    model = model_of(layers.Conv2D(6, 3, groups=3, padding="same"))
    assert macs(model).total == 12 * 10 * 9 * 2 * 6


@settings(max_examples=15, deadline=None)
@given(
    stack=st.lists(
        st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 3), st.booleans()), min_size=1, max_size=3
    ),
    side=st.integers(16, 24),
)
def test_any_chain_of_convolutions(stack, side):
    model, shape, expected = keras.Sequential([keras.Input((side, side, 3))]), side, 0
    channels = 3
    for filters, kernel, stride, same in stack:
        shape = -(-shape // stride) if same else (shape - kernel) // stride + 1
        assume(shape >= 1)
        model.add(layers.Conv2D(filters, kernel, stride, padding="same" if same else "valid"))
        expected += shape * shape * kernel * kernel * channels * filters
        channels = filters
    assert macs(model).total == expected


def test_layers_called_twice_count_twice_and_nested_models_count():
    dense = layers.Dense(6, name="shared")
    inner = model_of(dense)
    images = keras.Input((12, 10, 6))
    model = keras.Model(images, layers.Add()([inner(dense(images)), inner(images)]))
    assert macs(model).total == 3 * 12 * 10 * 6 * 6
    assert parameters(model).total == 6 * 6 + 6


def test_subclassed_models_are_followed_inside():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.stack = layers.Dense(4), [layers.Dense(4) for _ in range(2)]

        def call(self, x):
            x = self.first(x)
            for layer in self.stack:
                x = layer(x) + x
            return x

    net = Net()
    net(np.zeros((1, 8, 8, 3)))
    assert macs(net, (8, 8, 3)).total == 64 * (3 * 4 + 4 * 4 * 2)


def test_several_inputs():
    left, right = keras.Input((4, 4, 2)), keras.Input((4, 4, 3))
    joined = layers.Concatenate()([left, right])
    assert macs(keras.Model([left, right], layers.Dense(7)(joined))).total == 16 * 5 * 7


class Mystery(layers.Layer):
    """A layer that goes past keras.ops with its matrix."""

    def build(self, input_shape):
        self.matrix = self.add_weight(shape=(input_shape[-1], 4))

    def call(self, x):
        return sum(x[..., i : i + 1] * self.matrix[i] for i in range(x.shape[-1]))


class Until(layers.Layer):
    """A layer that repeats another as often as its data say."""

    def build(self, input_shape):
        self.dense = layers.Dense(input_shape[-1])
        self.dense.build(input_shape)

    def call(self, x):
        return ops.while_loop(lambda y: ops.sum(y) < 9, lambda y: (self.dense(y),), (x,))[0]

    def compute_output_shape(self, input_shape):
        return input_shape


def test_what_is_not_known_is_said():
    result = macs(model_of(Mystery(name="mystery"), layers.Dense(2)))
    assert result.uncounted == ("mystery",)
    assert result.total == 12 * 10 * 4 * 2
    assert "not counted" in repr(result)
    if keras.backend.backend() != "torch":  # which may run such a loop for ever on data of its own choice
        assert macs(model_of(Until(name="until"))).uncounted[0].startswith("until/dense")
    x = keras.Input((3, 3))
    for outputs in (ops.einsum("bij,bjk,bkl->bil", x, x, x), ops.inv(x)):
        model = keras.Model(x, outputs)
        assert macs(model).uncounted == (model.operations[-1].name,)


class Left(layers.Layer):
    """Multiplies with an array, no weight, from the left: past keras.ops, by the operator of the backend's tensors."""

    def call(self, x):
        return np.ones((5, 8), "float32") @ x


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch multiplies no NumPy arrays")
def test_an_array_on_the_left_counts():
    result = macs(keras.Sequential([keras.Input((8, 4)), Left()]))
    assert (result.total, result.uncounted) == (5 * 8 * 4, ())


def test_attention_counts_its_products():
    tokens = keras.Input((5, 8))
    projections, products = 4 * 5 * 8 * 8, 2 * 2 * 5 * 5 * 4
    result = macs(keras.Model(tokens, layers.MultiHeadAttention(2, 4)(tokens, tokens)))
    assert (result.total, result.uncounted) == (projections + products, ())
    assert macs(keras.Model(tokens, layers.Attention()([tokens, tokens]))).total == 2 * 5 * 5 * 8
    assert macs(keras.Model(tokens, layers.Dot(axes=2)([tokens, tokens]))).total == 5 * 5 * 8


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_quantized_layers_count_as_before(mode):
    model = model_of(layers.Dense(8), layers.EinsumDense("bhwc,cd->bhwd", (12, 10, 4)))
    before = macs(model).total
    for layer in model.layers:
        layer.quantize(mode)
    assert (macs(model).total, macs(model).uncounted) == (before, ())


def test_recurrent_layers_count_every_step():
    own, fused, both = layers.RNN(Steps(6)), layers.LSTM(6), layers.Bidirectional(layers.GRU(6))
    assert macs(model_of(own, shape=(10, 4))).total == 10 * (4 * 6 + 6 * 6)
    assert macs(model_of(fused, shape=(10, 4))).total == 10 * 4 * (4 * 6 + 6 * 6)
    assert macs(model_of(both, shape=(10, 4))).total == 2 * 10 * 3 * (4 * 6 + 6 * 6)
    stacked = layers.RNN([layers.SimpleRNNCell(6), Steps(5)])
    assert macs(model_of(stacked, shape=(10, 4))).total == 10 * (4 * 6 + 6 * 6 + 6 * 5 + 5 * 5)


def test_of_branches_the_most_expensive_counts():
    class Either(layers.Layer):
        def build(self, input_shape):
            self.cheap, self.dear = layers.Dense(input_shape[-1]), layers.Conv2D(6, 3, padding="same", name="dear")
            self.cheap.build(input_shape)
            self.dear.build(input_shape)

        def call(self, x):
            return ops.cond(ops.sum(x) > 0, lambda: self.cheap(x), lambda: self.dear(x))

        def compute_output_shape(self, input_shape):
            return input_shape

    assert macs(model_of(Either(name="either"))).per_layer == {"either/dear": 12 * 10 * 9 * 6 * 6}


def test_equal_names_do_not_collide():
    class Twins(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.second = layers.Dense(4, name="twin"), layers.Dense(5, name="twin")

        def call(self, x):
            return self.second(self.first(x))

    twins = Twins()
    twins(np.zeros((1, 3)))
    assert macs(twins, (3,)).per_layer == {"twin": 3 * 4, "twin (2)": 4 * 5}


FUZZED = range(int(os.environ.get("DLT_FUZZ", 6)))  # more: DLT_FUZZ=500 pytest -k random_network


@pytest.mark.parametrize("seed", FUZZED)
def test_random_networks_cost_what_the_backend_says(seed):
    model = random_products(seed)
    result = macs(model)
    assert result.total == multiply_adds(model, model.input_shape[1:])
    assert result.uncounted == ()


def test_open_shapes_are_asked_for():
    model = ConvNeXtV2(depths=(1, 1, 1, 1), dims=(4, 4, 4, 4), input_shape=(None, None, 3))
    with pytest.raises(ValueError, match="does not fix the shape") as caught:
        macs(model)
    assert "input_shape=None" in str(caught.value)
    assert macs(model, (64, 64, 3)).total < macs(model, (128, 128, 3)).total


def test_measuring_leaves_the_model_as_it_was():
    model = ConvNeXtV1(depths=(1, 1, 1, 1), dims=(4, 4, 4, 4), input_shape=(32, 32, 3))
    x = np.random.default_rng(0).normal(size=(1, 32, 32, 3))
    before, config = model.predict(x, verbose=0), model.get_config()
    macs(model)
    assert all("call" not in vars(layer) for layer in model._flatten_layers())
    np.testing.assert_array_equal(model.predict(x, verbose=0), before)
    assert model.get_config() == config


def test_a_trace_that_is_begun_anew_counts_once():
    """On PyTorch Keras cannot split a tensor without data at given places, and begins again with data."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 1)(inputs)
    x = keras.layers.Lambda(lambda x: keras.ops.split(x, [1], axis=-1)[1], output_shape=(8, 8, 3))(x)
    assert macs(keras.Model(inputs, x)).total == 8 * 8 * 3 * 4


@pytest.mark.slow
def test_table_adds_up():
    result = macs(ConvNeXtV2.from_variant("atto"))
    assert sum(result.per_layer.values()) == result.total
    assert "547.332" in repr(result)
    assert result._repr_html_().count("<tr>") == len(result.rows())


PUBLISHED = {  # multiply-adds in 10^9 and who says so: torchvision's model pages, timm's results, TF-Slim's FLOPs / 2
    "VGG16": (15.4703, "torchvision 15.47"),
    "VGG19": (19.6321, "timm 19.63"),
    "ResNet50": (3.8580, "torchvision 4.089, with three 1 x 1 convolutions (0.2312) before their stride, not after"),
    "ResNet50V2": (3.4823, "TF-Slim 6.96 / 2"),
    "InceptionV3": (5.713, "timm 5.73, with norms"),
    "Xception": (8.357, "timm 8.40, with norms"),
    "MobileNet": (0.5687, "timm 0.58, with norms"),
    "MobileNetV2": (0.3008, "timm 0.31, with norms"),
    "EfficientNetB0": (0.386, "torchvision 0.39"),
    "ConvNeXtTiny": (4.456, "torchvision 4.46"),
}


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="they cost the same everywhere, and build slowly")
@pytest.mark.parametrize("name", PUBLISHED)
def test_networks_cost_what_is_published(name, monkeypatch):
    zeros = keras.initializers.Zeros()  # only sizes matter: random numbers take long
    for initializer in (keras.initializers.VarianceScaling, keras.initializers.TruncatedNormal):
        monkeypatch.setattr(initializer, "__call__", lambda _, shape, dtype=None: zeros(shape, dtype))
    result = macs(getattr(keras.applications, name)(weights=None))
    expected, _ = PUBLISHED[name]
    assert round(result.giga, len(str(expected).partition(".")[2])) == expected
    assert result.uncounted == ()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="compares with TensorFlow's profiler")
@pytest.mark.parametrize(("cls", "variant"), [(ConvNeXtV1, "tiny"), (ConvNeXtV2, "atto")])
def test_tensorflow_profiler_counts_the_same(cls, variant):
    """TensorFlow counts two operations per multiply-add, and elementwise work besides; so compare products only."""
    import tensorflow as tf

    model = cls.from_variant(variant)
    graph = tf.function(lambda x: model(x)).get_concrete_function(tf.TensorSpec((1, 224, 224, 3))).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder(tf.compat.v1.profiler.ProfileOptionBuilder.float_operation())
    options = options.with_empty_output().order_by("float_ops").account_displayed_op_only(True)
    products = options.with_node_names(
        show_name_regexes=[".*(Conv2D|MatMul|depthwise|convolution|Tensordot).*"]
    ).build()
    tree = tf.compat.v1.profiler.profile(graph, options=products, cmd="scope")
    counted = products_of(tree, graph)
    assert counted == 2 * macs(model).total


def products_of(node, graph):
    kinds = {operation.name: operation.type for operation in graph.get_operations()}
    own = (
        node.float_ops if kinds.get(node.name) in ("Conv2D", "MatMul", "DepthwiseConv2dNative", "BatchMatMulV2") else 0
    )
    return own + sum(products_of(child, graph) for child in node.children)
