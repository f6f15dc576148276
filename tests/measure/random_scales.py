"""Networks drawn at random, of steps that keep the scale of their input and now and then one that does not."""

import keras
import numpy as np
from keras import layers, ops

from tests.helpers import randomise

SIDE, CHANNELS = 6, 4
CONSTANT = np.array([0.5, 0.4, 0.3, 0.2], "float32")


class Around(layers.Layer):
    """A layer of one's own with arithmetic before and after a good one."""

    def __init__(self, before, after, **kwargs):
        super().__init__(**kwargs)
        self.before, self.after = before, after
        self.inner = layers.Dense(CHANNELS, use_bias=False)

    def build(self, input_shape):
        self.inner.build(input_shape)

    def call(self, x):
        return self.after(self.inner(self.before(x)))

    def compute_output_shape(self, input_shape):
        return input_shape


def same(x):
    return x


def halved(x):
    return ops.where(x > 0, x, 0.5 * x)


KEEP = [
    lambda x: layers.Conv2D(CHANNELS, 3, padding="same", use_bias=False)(x),
    lambda x: layers.Conv2D(CHANNELS, 1, use_bias=False, activation=ops.abs)(x),
    lambda x: layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x),
    lambda x: layers.Dense(CHANNELS, use_bias=False, activation="leaky_relu")(x),
    lambda x: layers.LeakyReLU()(x),
    lambda x: layers.MaxPooling2D(2, 1, "same")(x),
    lambda x: layers.Add()([x, layers.Dense(CHANNELS, use_bias=False)(x)]),
    lambda x: layers.Activation(halved)(x),
    lambda x: x * CONSTANT,
    lambda x: x / CONSTANT,
    lambda x: ops.maximum(x, 0.1 * x),
    lambda x: ops.where(x > 0, x, x * CONSTANT),
    lambda x: ops.sqrt(ops.square(x) + ops.square(x)),
    lambda x: ops.flip(x, axis=1) + ops.mean(x, axis=(1, 2), keepdims=True),
    lambda x: Around(halved, ops.abs)(x),
    lambda x: Around(same, lambda x: x - ops.mean(x, axis=-1, keepdims=True))(x),
]
BREAK = [
    lambda x: layers.Conv2D(CHANNELS, 3, padding="same")(x),
    lambda x: layers.Dense(CHANNELS, use_bias=False, activation="gelu")(x),
    lambda x: layers.LayerNormalization(center=False)(x),
    lambda x: layers.BatchNormalization(center=False)(x),
    lambda x: layers.ReLU(max_value=0.1)(x),
    lambda x: layers.Rescaling(2.0, offset=-1.0)(x),
    lambda x: x - CONSTANT,
    lambda x: ops.maximum(x, CONSTANT),
    lambda x: ops.where(x > CONSTANT, x, -x),
    lambda x: ops.tanh(x),
    lambda x: x * x,
    lambda x: layers.Multiply()([x, layers.Dense(CHANNELS, use_bias=False, activation="sigmoid")(x)]),
    lambda x: layers.Activation(lambda x: ops.maximum(x, 0.2))(x),
    lambda x: Around(ops.gelu, same)(x),
    lambda x: Around(same, ops.tanh)(x),
    lambda x: Around(lambda x: x + 1.0, same)(x),
    lambda x: layers.Reshape((SIDE, SIDE, CHANNELS))(attention(layers.Reshape((SIDE * SIDE, CHANNELS))(x))),
]
COMPENSATED = (12,)  # of KEEP: squares and a root, each of which breaks degree 1 alone


def attention(x):
    return layers.MultiHeadAttention(2, 2, use_bias=False)(x, x)


def random_scales(seed):
    """Return a model with random weights, and whether parts of it make up for each other."""
    rng = np.random.default_rng(seed)
    x = inputs = keras.Input((SIDE, SIDE, CHANNELS))
    breaks, compensated = rng.random() < 0.5, False
    steps = int(rng.integers(2, 7))
    at = int(rng.integers(steps))
    for step in range(steps):
        if breaks and step == at:
            x = BREAK[rng.integers(len(BREAK))](x)
            continue
        kind = int(rng.integers(len(KEEP)))
        compensated |= kind in COMPENSATED
        if rng.random() < 0.2:
            inner = keras.Input((SIDE, SIDE, CHANNELS))
            x = keras.Model(inner, KEEP[kind](inner))(x)
        else:
            x = KEEP[kind](x)
    model = keras.Model(inputs, x)
    randomise(model, seed)
    return model, compensated
