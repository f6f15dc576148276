"""Networks small enough to add up by hand."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from dlt.layers import ConvNeXtV2Block
from dlt.measure import activation_memory

MAP = 4 * 8 * 8  # bytes of one float32 channel of 8 x 8 pixels


def chain(*widths):
    convolutions = [layers.Conv2D(width, 1, name=f"conv_{i}") for i, width in enumerate(widths)]
    return keras.Sequential([keras.Input((8, 8, 3)), *convolutions])


def test_a_chain_frees_what_it_has_used():
    memory = activation_memory(chain(16, 8, 4))
    assert memory.per_layer == {"conv_0": 16 * MAP, "conv_1": 8 * MAP, "conv_2": 4 * MAP}
    assert memory.total == (3 + 16 + 8 + 4) * MAP
    assert (memory.peak, memory.peak_at) == ((16 + 8) * MAP, "conv_1")  # the input is gone by then


def test_a_skip_connection_keeps_its_map():
    images = keras.Input((8, 8, 3))
    skipped = layers.Conv2D(16, 1, name="before")(images)
    inside = layers.Conv2D(8, 1, name="second")(layers.Conv2D(8, 1, name="first")(skipped))
    joined = layers.Concatenate(name="join")([inside, skipped])
    memory = activation_memory(keras.Model(images, joined))
    assert (memory.peak, memory.peak_at) == ((16 + 8 + 24) * MAP, "join")
    plain = activation_memory(keras.Model(images, inside))
    assert plain.peak == (16 + 8) * MAP


def test_pooling_and_batch():
    model = keras.Sequential([keras.Input((None, None, 3)), layers.MaxPooling2D(2, name="pool")])
    assert activation_memory(model, (8, 8, 3), batch_size=5).per_layer == {"pool": 5 * 3 * MAP // 4}


def test_inside_blocks_and_nested_models():
    nested = keras.Sequential([keras.Input((8, 8, 4)), ConvNeXtV2Block(name="block")], name="nested")
    images = keras.Input((8, 8, 4))
    memory = activation_memory(keras.Model(images, nested(images)))
    assert memory.per_layer["nested/block/expand"] == 16 * MAP
    assert memory.peak == (4 + 16 + 16) * MAP  # the block's input waits for the sum
    assert activation_memory(nested).peak == memory.peak


def test_mixed_precision_halves_the_maps():
    keras.config.set_dtype_policy("mixed_float16")
    memory = activation_memory(chain(16, 8))
    assert memory.per_layer == {"conv_0": 8 * MAP, "conv_1": 4 * MAP}
    assert memory.total == (3 + 8 + 4) * MAP  # the image itself came in float32


def test_a_layer_alone_and_two_inputs():
    assert activation_memory(layers.Conv2D(2, 1, name="alone"), (8, 8, 3)).per_layer == {"alone": 2 * MAP}
    inputs = [keras.Input((8, 8, 3)), keras.Input((8, 8, 3))]
    assert activation_memory(keras.Model(inputs, layers.Add()(inputs))).peak == 9 * MAP


def test_maps_are_freed_in_the_order_in_which_keras_runs():
    """Keras runs layers of one depth together, so both wide maps are alive at once."""
    images = keras.Input((8, 8, 1))
    wide = [layers.Conv2D(64, 1, name=f"wide_{i}")(images) for i in (1, 2)]
    model = keras.Model(images, layers.Add()([layers.Conv2D(1, 1)(x) for x in wide]))
    memory, ran = activation_memory(model), []
    for layer in model.layers[1:]:
        layer.call = (lambda call, name: lambda *args: (ran.append(name), call(*args))[1])(layer.call, layer.name)
    model(np.zeros((1, 8, 8, 1)))
    assert list(memory.per_layer) == ran
    assert memory.peak == (1 + 64 + 64) * MAP


class Scaled(layers.Layer):
    """A layer whose own arithmetic follows that of another."""

    def build(self, input_shape):
        self.inner = layers.Conv2D(4, 1, name="inner")
        self.inner.build(input_shape)
        self.gamma = self.add_weight(shape=(4,))

    def call(self, inputs):
        return ops.multiply(self.inner(inputs), self.gamma)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 4)


def test_real_dtypes():
    keras.config.set_dtype_policy("mixed_float16")
    memory = activation_memory(keras.Sequential([keras.Input((8, 8, 3)), Scaled(name="scaled")]))
    assert set(memory.per_layer.values()) == {2 * MAP}
    keras.config.set_dtype_policy("float32")
    images = keras.Input((8, 8, 4))
    assert activation_memory(keras.Model(images, ops.cast(images, "float8_e4m3fn"))).total == (4 + 1) * MAP
    assert activation_memory(keras.Model(images, ops.cast(images, "float32") + 1)).total == (4 + 4) * MAP


def test_attention_counts_as_one_where_its_sides_are_unknown():
    tokens = keras.Input((10, 8))
    memory = activation_memory(keras.Model(tokens, layers.MultiHeadAttention(2, 4, name="attention")(tokens, tokens)))
    assert memory.total == 2 * 4 * 10 * 8
    assert memory.uncounted == ("attention",)
    assert memory.rows()[-1] == ("maps inside attention", "not counted")


def by_hand(x):
    """Attention of which Keras sees each operation, so that its map, 10 x 10, counts."""
    return ops.matmul(ops.softmax(ops.matmul(x, ops.swapaxes(x, 1, 2))), x)


SEQUENCES = {  # what runs on tokens (10, 8), and whether it hides maps
    "GroupQueryAttention": (lambda x: layers.GroupQueryAttention(4, 4, 2, name="it")(x, x), True),
    "Attention": (lambda x: layers.Attention(name="it")([x, x]), True),
    "AdditiveAttention": (lambda x: layers.AdditiveAttention(name="it")([x, x]), True),
    "LSTM": (lambda x: layers.LSTM(8, return_sequences=True, name="it")(x), True),
    "Bidirectional": (lambda x: layers.Bidirectional(layers.GRU(4, return_sequences=True), name="it")(x), True),
    "by hand": (by_hand, False),
    "Dense": (layers.Dense(8), False),
    "ConvNeXtV2Block": (lambda x: layers.Reshape((10, 8))(ConvNeXtV2Block()(layers.Reshape((5, 2, 8))(x))), False),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_maps_that_are_not_seen_are_said(name):
    make, hidden = SEQUENCES[name]
    tokens = keras.Input((10, 8))
    memory = activation_memory(keras.Model(tokens, make(tokens)))
    assert bool(memory.uncounted) == hidden
    if name == "by hand":
        assert max(memory.per_layer.values()) == 4 * 10 * 10


def test_fused_attention_is_said():
    heads = keras.Input((10, 2, 4))
    memory = activation_memory(keras.Model(heads, ops.dot_product_attention(heads, heads, heads)))
    assert len(memory.uncounted) == 1


class Inside(layers.Layer):
    """Runs a wide layer and a narrow one inside a loop or a branch."""

    def __init__(self, around):
        super().__init__(name="inside")
        self.around, self.wide, self.narrow = around, layers.Dense(100), layers.Dense(4)

    def build(self, shape):
        self.wide.build(shape)
        self.narrow.build((*shape[:-1], 100))

    def call(self, x):
        return self.around(lambda y: self.narrow(self.wide(y)), x)


AROUND = {
    "fori_loop": lambda f, x: ops.fori_loop(0, 3, lambda i, y: f(y), x),
    "while_loop": lambda f, x: ops.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, f(y)), (0, x))[1],
    "map": lambda f, x: ops.map(f, x),
    "cond": lambda f, x: ops.cond(ops.sum(x) > 0, lambda: f(x), lambda: x),
    "switch": lambda f, x: ops.switch(ops.cast(ops.sum(x) > 0, "int32"), [lambda y: y, f], x),
}


@pytest.mark.parametrize("name", AROUND)
def test_loops_and_branches_are_said(name):
    (hidden,) = activation_memory(keras.Sequential([keras.Input((6, 4)), Inside(AROUND[name])])).uncounted
    assert hidden.startswith("inside")
    bare = keras.Input((6, 4))
    loop = keras.Model(bare, ops.fori_loop(0, 3, lambda i, y: y + ops.mean(ops.repeat(y, 9, axis=1)), bare))
    assert len(activation_memory(loop).uncounted) == 1


def test_what_has_no_known_size_is_an_error():
    images = keras.Input((4, 4, 1))
    model = keras.Model(images, Boxless(name="found")(images))
    with pytest.raises(ValueError, match="size of a map is unknown: that of found") as caught:
        activation_memory(model)
    assert "compute_output_shape" in str(caught.value)


class Boxless(layers.Layer):
    """A layer whose output is as long as its data say."""

    def call(self, inputs):
        return inputs

    def compute_output_shape(self, input_shape):
        return (input_shape[0], None)


class Closed(layers.Layer):
    """A layer that contains another, and whose call refuses symbolic tensors."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Conv2D(64, 1)

    def build(self, input_shape):
        self.inner.build(input_shape)

    def call(self, inputs):
        return ops.convert_to_tensor(ops.convert_to_numpy(inputs))

    def compute_output_shape(self, input_shape):
        return input_shape

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, inputs.dtype)


def test_what_cannot_be_followed_counts_as_one():
    images = keras.Input((8, 8, 3))
    model = keras.Model(images, Closed(name="closed")(images))
    memory = activation_memory(model)
    assert memory.per_layer == {"closed": 3 * MAP}
    assert memory.uncounted == ("closed",)


def test_it_leaves_the_model_as_it_was_and_shows_itself():
    model = chain(16, 8)
    nodes = [len(layer._inbound_nodes) for layer in model.layers]
    memory = activation_memory(model)
    assert memory.uncounted == ()
    assert [len(layer._inbound_nodes) for layer in model.layers] == nodes
    assert "peak at inference (conv_1)" in repr(memory)
    assert memory.plot().axes[0].get_ylabel() == "output in MiB"


class HalfWay(layers.Layer):
    """A layer that calls another, and then refuses symbolic tensors."""

    def __init__(self):
        super().__init__()
        self.inner = layers.Conv2D(3, 1)

    def build(self, input_shape):
        self.inner.build(input_shape)

    def call(self, inputs):
        inside = self.inner(inputs)
        if isinstance(inside, keras.KerasTensor):
            raise TypeError("no symbols")
        return inside


def test_no_nodes_are_left_behind():
    images = keras.Input((8, 8, 3))
    inner = keras.Sequential([keras.Input((8, 8, 3)), HalfWay(), ConvNeXtV2Block()])
    model = keras.Model(images, HalfWay()(inner(images)) + 1)
    parts = {id(part): part for layer in model._flatten_layers() for part in (layer, *getattr(layer, "operations", ()))}

    def nodes():
        return [(len(part._inbound_nodes), len(part._outbound_nodes)) for part in parts.values()]

    before = nodes()
    assert activation_memory(model).uncounted
    assert nodes() == before


def test_bad_arguments():
    with pytest.raises(ValueError, match="batch_size=0"):
        activation_memory(chain(4), batch_size=0)
    with pytest.raises(ValueError, match="does not fix the shape"):
        activation_memory(keras.Sequential([keras.Input((None, 8, 3)), layers.ReLU()]))
