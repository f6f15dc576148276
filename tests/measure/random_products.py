"""Networks drawn at random, of everything that multiplies."""

import keras
import numpy as np
from keras import layers, ops

SIDE, CHANNELS = 6, 4


class Steps(layers.Layer):
    """A cell of one's own, of layers: two products a step."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.state_size = units
        self.here, self.before = layers.Dense(units), layers.Dense(units)

    def build(self, input_shape):
        self.here.build(input_shape)
        self.before.build((None, self.state_size))

    def call(self, x, states):
        state = ops.tanh(self.here(x) + self.before(states[0]))
        return state, [state]


class Own(layers.Layer):
    """A layer of one's own around two others, that computes in one of many ways."""

    def __init__(self, way, **kwargs):
        super().__init__(**kwargs)
        self.way = way
        self.dense, self.other = layers.Dense(CHANNELS), layers.Dense(CHANNELS)

    def build(self, input_shape):
        self.dense.build((None, CHANNELS))
        self.other.build((None, CHANNELS))

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, x):
        rows = ops.reshape(x, (-1, SIDE * SIDE, CHANNELS))
        return ops.reshape(WAYS[self.way](self, rows), (-1, SIDE, SIDE, CHANNELS))


def fold(layer, x):
    """A scan over pixels that carries a sum."""

    def step(carry, pixel):
        carry = layer.dense(pixel) + carry
        return carry, layer.other(carry)

    return ops.transpose(ops.scan(step, x[:, 0], ops.transpose(x, (1, 0, 2)))[1], (1, 0, 2))


WAYS = {
    "operator": lambda layer, x: x @ ops.convert_to_tensor(layer.dense.kernel),
    "operator on a variable": lambda layer, x: x @ layer.dense.kernel,
    "matmul": lambda layer, x: ops.matmul(x, layer.dense.kernel),
    "dot": lambda layer, x: ops.dot(x, layer.dense.kernel),
    "tensordot": lambda layer, x: ops.tensordot(x, layer.dense.kernel, axes=1),
    "einsum": lambda layer, x: ops.einsum("btc,cd->btd", x, layer.dense.kernel),
    "einsum with dots": lambda layer, x: ops.einsum("...c,cd->...d", x, layer.dense.kernel),
    "attention by hand": lambda _, x: ops.matmul(ops.softmax(ops.matmul(x, ops.transpose(x, (0, 2, 1)))), x),
    "loop": lambda layer, x: ops.fori_loop(0, 5, lambda _, y: layer.dense(y) / 2, x),
    "loop of loops": lambda layer, x: ops.fori_loop(
        0, 2, lambda _, y: ops.fori_loop(0, 3, lambda _, z: layer.dense(z) / 2, y), x
    ),
    "scan": fold,
    "map": lambda layer, x: ops.transpose(ops.map(layer.dense, ops.transpose(x, (1, 0, 2))), (1, 0, 2)),
    "vectorized map": lambda layer, x: ops.vectorized_map(lambda y: ops.matmul(y, layer.dense.kernel), x),
    "branches": lambda layer, x: ops.cond(ops.sum(x) > 0, lambda: layer.dense(x), lambda: layer.other(x)),
}
ALONE = {  # maker of a layer on maps (SIDE, SIDE, CHANNELS) that returns a map of any size
    "conv": lambda: layers.Conv2D(5, 3, strides=2, padding="same"),
    "valid": lambda: layers.Conv2D(5, 3),
    "dilated": lambda: layers.Conv2D(4, 2, dilation_rate=2),
    "grouped": lambda: layers.Conv2D(8, 3, groups=2, padding="same"),
    "depthwise": lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
    "separable": lambda: layers.SeparableConv2D(5, 3, padding="same"),
    "transposed": lambda: layers.Conv2DTranspose(3, 3, strides=2, padding="same"),
    "dense": lambda: layers.Dense(7),
    "einsum dense": lambda: layers.EinsumDense("bhwc,cd->bhwd", (SIDE, SIDE, 6)),
    "batch norm": layers.BatchNormalization,
    "layer norm": layers.LayerNormalization,
    "pool": lambda: layers.MaxPooling2D(2),
    "spectral": lambda: layers.SpectralNormalization(layers.Conv2D(3, 1)),
    "lstm on maps": lambda: keras.Sequential([layers.Reshape((SIDE, SIDE, CHANNELS, 1)), layers.ConvLSTM2D(2, 2)]),
}
SEQUENCES = {  # the same on sequences (SIDE * SIDE, CHANNELS)
    "conv 1d": lambda: layers.Conv1D(5, 3, padding="causal"),
    "simple": lambda: layers.SimpleRNN(3),
    "lstm": lambda: layers.LSTM(3, return_sequences=True),
    "gru": lambda: layers.GRU(3),
    "both ways": lambda: layers.Bidirectional(layers.LSTM(2)),
    "own cell": lambda: layers.RNN(Steps(3)),
    "stacked cells": lambda: layers.RNN([layers.GRUCell(3), Steps(2)]),
    "unrolled": lambda: layers.RNN(Steps(3), unroll=True),
    "each": lambda: layers.TimeDistributed(layers.Dense(3)),
}


def own(rng, x):
    """Return a layer of one's own on a map."""
    return Own(rng.choice(list(WAYS)))(x)


def alone(rng, x):
    """Return a layer of Keras on a map."""
    return layers.Flatten()(ALONE[rng.choice(list(ALONE))]()(x))


def sequence(rng, x):
    """Return a layer of Keras on a sequence."""
    return layers.Flatten()(SEQUENCES[rng.choice(list(SEQUENCES))]()(layers.Reshape((SIDE * SIDE, CHANNELS))(x)))


def attention(rng, x):
    """Return attention between pixels."""
    x = layers.Reshape((SIDE * SIDE, CHANNELS))(x)
    kind = rng.integers(4)
    if kind == 0:
        return layers.MultiHeadAttention(2, 3)(x, x)
    if kind == 1:
        return layers.GroupQueryAttention(2, 4, 2)(x, x)
    if kind == 2:
        return layers.Attention()([x, x])
    return layers.Dot(axes=(2, 2))([x, x])


def bare(rng, x):
    """Return an operation of the graph itself, with a constant."""
    constant = rng.normal(size=(CHANNELS, 3)).astype("float32")
    kernel = rng.normal(size=(3, 3, CHANNELS, 2)).astype("float32")
    return (
        lambda: ops.matmul(x, constant),
        lambda: ops.tensordot(x, constant, axes=([3], [0])),
        lambda: ops.einsum("bhwc,cd->bhwd", x, constant),
        lambda: ops.einsum("bhwc,bhwd->bcd", x, x),
        lambda: ops.conv(x, kernel, padding="same"),
        lambda: ops.depthwise_conv(x, kernel),
        lambda: x @ constant,
    )[rng.integers(7)]()


def random_products(seed):
    """Return a model that draws its parts, shares some of them, nests them, and forks."""
    rng = np.random.default_rng(seed)
    inputs = keras.Input((SIDE, SIDE, CHANNELS))
    shared, x, outputs = layers.Dense(CHANNELS), inputs, []
    for _ in range(rng.integers(2, 6)):
        step = (own, alone, sequence, attention, bare)[rng.integers(5)]
        outputs.append(layers.Flatten()(step(rng, x)))
        if rng.random() < 0.4:
            x = shared(x)
        if rng.random() < 0.3:
            inner = keras.Input((SIDE, SIDE, CHANNELS))
            x = keras.Model(inner, own(rng, layers.Conv2D(CHANNELS, 3, padding="same")(inner)))(x)
    return keras.Model(inputs, layers.Dense(2)(layers.Concatenate()(outputs)))
