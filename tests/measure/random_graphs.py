"""Random networks of some fifty kinds of step, and what their outputs see, found by changing rows and columns.

As a script: python -m tests.measure.random_graphs FIRST LAST, the range of seeds.
"""

import collections
import functools
import sys

import keras
import numpy as np
from keras import layers, ops

from dlt.measure import receptive_field
from tests.helpers import randomise

SIDES = (4, 28)  # of maps that a step may take or leave
CHANNELS = 12
KINDS = {}
TORCH = keras.backend.backend() == "torch"  # has no Lanczos, and normalizes only along the last axes


def kind(function):
    """Register a kind of step: a function of a random generator and a map, which gives a map, or None."""
    KINDS[function.__name__] = function
    return function


def pick(rng, *choices):
    return choices[int(rng.integers(len(choices)))]


def sides(x):
    return x.shape[1:3]


@kind
def convolution(rng, x):
    stride, kernel = int(rng.integers(1, 4)), (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
    dilation = int(rng.integers(1, 4)) if stride == 1 else 1
    return layers.Conv2D(3, kernel, stride, pick(rng, "same", "valid"), dilation_rate=dilation)(x)


@kind
def groups(rng, x):
    x = layers.Concatenate()([x, layers.Conv2D(x.shape[-1], 3, padding="same")(x)])
    return layers.Conv2D(2 * x.shape[-1], 3, padding="same", groups=2)(x)[..., :3]


@kind
def depthwise(rng, x):
    return layers.DepthwiseConv2D(pick(rng, 2, 3, (5, 1)), pick(rng, 1, 2), "same", depth_multiplier=pick(rng, 1, 2))(x)


@kind
def separable(rng, x):
    return layers.SeparableConv2D(3, pick(rng, 3, (1, 4)), pick(rng, 1, 2), pick(rng, "same", "valid"))(x)


@kind
def transposed(rng, x):
    stride = pick(rng, 1, 2, 3)
    more = pick(rng, None, 0, 1) if stride > 1 else None
    kernel = pick(rng, 2, 3, 4)
    padding = pick(rng, "same", "valid")
    if more is not None and kernel < stride:
        return None
    if (more, kernel % 2, padding) == (0, 0, "same"):
        return None  # Keras builds this layer, but TensorFlow does not run it
    return layers.Conv2DTranspose(2, kernel, stride, padding, output_padding=more)(x)


@kind
def one_axis(rng, x):
    convolve = layers.Conv1D(3, pick(rng, 2, 3), padding=pick(rng, "same", "causal"))
    return layers.TimeDistributed(convolve)(x)


@kind
def pooling(rng, x):
    pool = pick(rng, layers.MaxPooling2D, layers.AveragePooling2D)
    return pool(pick(rng, 2, 3), pick(rng, 1, 2), pick(rng, "same", "valid"))(x)


@kind
def adaptive(rng, x):
    size = tuple(int(rng.integers(2, side + 1)) for side in sides(x))
    return pick(rng, layers.AdaptiveAveragePooling2D, layers.AdaptiveMaxPooling2D)(size)(x)


@kind
def global_gate(rng, x):
    pool = pick(rng, layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)
    return x * ops.sigmoid(layers.Dense(x.shape[-1])(pool(keepdims=True)(x)))


@kind
def upsampling(rng, x):
    return layers.UpSampling2D(pick(rng, 2, (1, 3)), interpolation=pick(rng, "nearest", "bilinear"))(x)


@kind
def resize(rng, x):
    size = tuple(int(rng.integers(3, 2 * side)) for side in sides(x))
    how = pick(rng, "nearest", "bilinear", "bicubic", *(() if TORCH else ("lanczos3", "lanczos5")))
    return ops.image.resize(x, size, how, antialias=pick(rng, True, False))


@kind
def padding(rng, x):
    return layers.ZeroPadding2D(tuple(tuple(map(int, rng.integers(0, 4, 2))) for _ in range(2)))(x)


@kind
def mirrored_padding(rng, x):
    widths = [(0, 0), *(tuple(map(int, rng.integers(1, 3, 2))) for _ in range(2)), (0, 0)]
    return ops.pad(x, widths, pick(rng, "reflect", "symmetric"))


@kind
def cropping(rng, x):
    return layers.Cropping2D(tuple(tuple(map(int, rng.integers(0, 3, 2))) for _ in range(2)))(x)


@kind
def slicing(rng, x):
    return x[:, pick(rng, 0, 1) :: pick(rng, 1, 2), : -pick(rng, 1, 2)]


@kind
def residual(rng, x):
    return layers.Add()([x, layers.Conv2D(x.shape[-1], 3, padding="same", dilation_rate=pick(rng, 1, 2))(x)])


@kind
def concatenation(rng, x):
    return layers.Concatenate()([layers.Conv2D(2, pick(rng, 3, 5), padding="same")(x), x])


@kind
def side_by_side(rng, x):
    return ops.concatenate([x, ops.flip(x, 1)], axis=pick(rng, 1, 2))


@kind
def context(rng, x):
    pooled = ops.mean(x, axis=(1, 2), keepdims=True)
    return ops.concatenate([x, pooled + ops.zeros_like(x)], axis=-1)


@kind
def roll(rng, x):
    return ops.roll(x, int(rng.integers(-5, 6)), pick(rng, 1, 2, 3))


@kind
def roll_both(rng, x):
    return ops.roll(x, (int(rng.integers(-3, 4)), int(rng.integers(-3, 4))), (1, 2))


@kind
def flip(rng, x):
    return ops.flip(x, pick(rng, 1, 2, 3))


@kind
def stack(rng, x):
    axis = pick(rng, 1, 2, 3, 4)
    stacked = ops.stack([x, layers.Conv2D(x.shape[-1], 3, padding="same")(x)], axis=axis)
    return pick(
        rng, lambda y: ops.sum(y, axis), lambda y: ops.take(y, 1, axis), lambda y: ops.unstack(y, axis=axis)[0]
    )(stacked)


@kind
def swapaxes(rng, x):
    return ops.swapaxes(x, 1, pick(rng, 2, 3))


@kind
def channels_first(rng, x):
    moved = pick(rng, lambda y: ops.moveaxis(y, -1, 1), lambda y: ops.transpose(y, (0, 3, 1, 2)))(x)
    if keras.backend.backend() == "tensorflow":  # its convolutions on a CPU know channels_last only
        return ops.moveaxis(ops.average_pool(moved, 2, 1, "same", data_format="channels_first") + moved, 1, -1)
    return ops.moveaxis(layers.Conv2D(3, 3, padding="same", data_format="channels_first")(moved), 1, -1)


@kind
def take(rng, x):
    axis = pick(rng, 1, 2, 3)
    return ops.take(x, rng.permutation(x.shape[axis])[: max(3, x.shape[axis] - 1)], axis=axis)


@kind
def mixing(rng, x):
    letter = pick(rng, "h", "w", "c")
    return layers.EinsumDense(f"bhwc,{letter}k->{'bhwc'.replace(letter, 'k')}", x.shape[1:])(x)


@kind
def einsum(rng, x):
    return ops.einsum("bhwc,bhwd->bhwd", x, ops.sigmoid(layers.Conv2D(3, 3, padding="same")(x)))


@kind
def patches(rng, x):
    size = pick(rng, 2, 3)
    found = ops.image.extract_patches(x, size, pick(rng, 1, size), 1, pick(rng, "same", "valid"))
    return found if rng.random() < 0.5 else ops.take(found, rng.permutation(found.shape[-1])[:4], axis=-1)


@kind
def layer_normalization(rng, x):
    axis = pick(rng, 1, 2, 3, (1, 2), (2, 3))
    return layers.LayerNormalization(axis=3 if TORCH and axis not in (3, (2, 3)) else axis)(x)  # of the last axes


@kind
def batch_normalization(rng, x):
    return layers.BatchNormalization(axis=pick(rng, 1, 2, 3))(x)


@kind
def group_normalization(rng, x):
    return layers.GroupNormalization(pick(rng, 1, -1))(x)


@kind
def unit_normalization(rng, x):
    return layers.UnitNormalization(axis=pick(rng, 1, 2, 3))(x)


@kind
def softmax(rng, x):
    return x + ops.softmax(x, axis=pick(rng, 1, 2, 3))


@kind
def attention(rng, x):
    _, h, w, c = x.shape
    rows = rng.random() < 0.5
    tokens = ops.reshape(x, (-1, w, c)) if rows else ops.reshape(x, (-1, h * w, c))
    return ops.reshape(layers.MultiHeadAttention(2, 2)(tokens, tokens), (-1, h, w, c)) + (0 if rows else x)


@kind
def causal_attention(rng, x):
    _, h, w, c = x.shape
    tokens = ops.reshape(x, (-1, h * w, c))
    return ops.reshape(layers.MultiHeadAttention(1, 2)(tokens, tokens, use_causal_mask=True), (-1, h, w, c))


@kind
def masked(rng, x):
    kept = rng.random((x.shape[1], x.shape[2], 1)) < 0.7
    other = layers.Conv2D(x.shape[-1], 3, padding="same")(x)
    return pick(rng, lambda: ops.where(kept, x, other), lambda: x * kept.astype("float32"))()


@kind
def chosen(rng, x):
    return ops.where(x > ops.mean(x, axis=pick(rng, 1, 2, 3), keepdims=True), x, 0.5 * x)


@kind
def cumulative(rng, x):
    return ops.cumsum(x, axis=pick(rng, 1, 2, 3)) / 5


@kind
def sort(rng, x):
    return ops.sort(x, axis=pick(rng, 1, 2, 3))


@kind
def largest(rng, x):
    return ops.top_k(x, 2)[0] if rng.random() < 0.5 else x + ops.max(x, axis=pick(rng, 1, 2), keepdims=True)


@kind
def pixel_shuffle(rng, x):
    return ops.depth_to_space(layers.Conv2D(8, 3, padding="same")(x), 2)


@kind
def pixel_unshuffle(rng, x):
    _, h, w, c = x.shape
    if h % 2 or w % 2:
        return None
    if rng.random() < 0.5:
        return ops.space_to_depth(x, 2)
    cut = ops.transpose(ops.reshape(x, (-1, h // 2, 2, w // 2, 2, c)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(cut, (-1, h // 2, w // 2, 4 * c))


@kind
def folded(rng, x):
    _, h, w, c = x.shape
    return ops.reshape(x, (-1, h // 2, 2 * w, c)) if h % 2 == 0 else None


@kind
def permuted(rng, x):
    matrix = np.eye(x.shape[-1], dtype="float32")[rng.permutation(x.shape[-1])]
    return ops.matmul(x, matrix)


@kind
def tile(rng, x):
    return ops.tile(x, pick(rng, (1, 2, 1, 1), (1, 1, 2, 1), (1, 1, 1, 2)))


@kind
def repeat(rng, x):
    return ops.repeat(x, 2, axis=pick(rng, 1, 2, 3))


@kind
def activation(rng, x):
    return layers.Activation(pick(rng, "gelu", "hard_swish", "mish", "elu", "softsign", "leaky_relu", "tanh"))(x)


@kind
def gated(rng, x):
    return ops.glu(layers.Dense(4)(x), axis=-1)


@kind
def at_random(rng, x):
    return pick(
        rng, layers.RandomFlip(), layers.RandomContrast(0.2), layers.Dropout(0.5), layers.GaussianNoise(1.0),
        layers.SpatialDropout2D(0.5),
    )(x)  # fmt: skip


@kind
def coordinates(rng, x):
    grid = ops.broadcast_to(np.linspace(-1, 1, x.shape[1], dtype="float32")[None, :, None, None], (1, *x.shape[1:]))
    return ops.concatenate([x, x * grid], axis=-1) + np.ones((x.shape[1], 1, 1), "float32")


@kind
def recurrent(rng, x):
    if rng.random() < 0.5:
        return layers.ConvLSTM2D(2, 3, padding="same")(ops.expand_dims(x, 1))
    return layers.TimeDistributed(layers.LSTM(2, return_sequences=True))(x)


@kind
def difference(rng, x):
    return ops.diff(x, axis=pick(rng, 1, 2))


@kind
def blur(rng, x):
    return ops.image.gaussian_blur(x, (3, 3), (1.0, 1.0), data_format="channels_last")


@kind
def rotated(rng, x):
    return ops.rot90(x, pick(rng, 1, 2, 3), axes=(1, 2))


@kind
def triangle(rng, x):
    return ops.swapaxes(ops.tril(ops.swapaxes(x, 1, 3)), 1, 3)


@kind
def quantile(rng, x):
    return x + ops.median(x, axis=pick(rng, 1, 2), keepdims=True)


@kind
def volume(rng, x):
    return layers.Conv3D(2, (2, 3, 3), padding="same")(ops.stack([x, ops.flip(x, 2)], axis=1))[:, 1]


def graph(seed, most=5):
    """Return a random network and the kinds of its steps; a step that leaves too small or large a map is left out."""
    rng = np.random.default_rng(seed)
    x = images = keras.Input((int(rng.integers(9, 21)), int(rng.integers(9, 21)), 2))
    names = []
    for name in rng.choice(list(KINDS), int(rng.integers(2, most + 1))):
        y = KINDS[name](rng, x)
        if y is not None and all(SIDES[0] <= s <= SIDES[1] for s in sides(y)) and y.shape[-1] <= 4 * CHANNELS:
            x, names = (y if y.shape[-1] <= CHANNELS else y[..., :: y.shape[-1] // 4]), [*names, str(name)]
    return randomise(keras.Model(images, x), seed), names


def changes(model, draws, seed=0):
    """Yield which output rows depend on which rows of the image, and the same for columns, as more draws show it."""
    rng, shape = np.random.default_rng(seed), model.input_shape[1:]
    found = [False, False]
    jax = keras.backend.backend() == "jax"  # compiles each loop anew at every call, unless the whole model is compiled
    run = model.predict_on_batch if jax else functools.partial(model, training=False)
    for draw in range(draws):
        images = np.repeat(rng.normal(size=(1, *shape)), 2 + sum(shape[:2]), axis=0)
        for i in range(sum(shape[:2])):
            at = (i + 1, i) if i < shape[0] else (i + 1, slice(None), i - shape[0])
            images[at] = rng.normal(size=images[at].shape) * (1, -1000, 30, 1)[draw % 4]
        y = ops.convert_to_numpy(run(ops.convert_to_tensor(images, dtype=model.inputs[0].dtype)))
        y = y[:-1]  # the last image is one more copy: what is left over from whole vectors is rounded otherwise
        moved = np.abs(y[1:] - y[:1]) > 1e-11 * np.abs(y[:1]).max()
        found[0] = found[0] | moved[: shape[0]].any((2, 3)).T
        found[1] = found[1] | moved[shape[0] :].any((1, 3)).T
        yield found


def ends(used, side):
    """Return the first and the last column that is true in each row of a matrix; `side` and -1 where none is."""
    some = used.any(axis=1)
    return np.where(some, used.argmax(axis=1), side), np.where(some, side - 1 - used[:, ::-1].argmax(axis=1), -1)


def judge(axis, used):
    """Return how one axis of a field compares with the truth, and both where they differ."""
    sees = axis.first <= axis.last
    low, high = np.where(sees, axis.first, axis.side), np.where(sees, axis.last, -1)
    first, last = ends(used, axis.side)
    if np.array_equal(low, first) and np.array_equal(high, last):
        return "exact", ""
    said, true = ([*zip(a.tolist(), b.tolist(), strict=True)] for a, b in ((low, high), (first, last)))
    inside = np.all(low <= first) and np.all(high >= last)
    return "at most" if axis.at_most and inside else "silent", f"\n  said {said}\n  true {true}"


def verdict(seed, draws=40):
    """Return how the exact field of a random network compares with the truth, and a description.

    "exact"; "at most" where it says so and the truth lies inside; else "silent", a fault. Rectifiers and maxima pass
    on only part of a change, so there are more draws as long as something is missing; four times as many before a fault
    is called one, since a normalization may take a gate away up to rounding, unless a draw closes it.
    """
    model, names = graph(seed)
    field = receptive_field(model, input_shape=model.input_shape[1:])
    text = f"seed {seed}: {model.input_shape[1:]} {names} probed {field.probed} not followed {field.unknown}"
    for number, used in enumerate(changes(model, 4 * draws), 1):
        found = [judge(axis, matrix) for axis, matrix in zip((field.height, field.width), used, strict=True)]
        answers = {answer for answer, _ in found}
        if answers == {"exact"} or (number >= draws and "silent" not in answers):
            break
    worst = max((answer for answer, _ in found), key=["exact", "at most", "silent"].index)
    return worst, text + "".join(more for _, more in found)


def main(first, last):
    counts = collections.Counter()
    for seed in range(first, last):
        found, text = verdict(seed)
        counts[found] += 1
        if found != "exact":
            print(found, text, flush=True)
        keras.backend.clear_session()
        if (seed + 1) % 10 == 0 or seed + 1 == last:
            print(
                keras.backend.backend(),
                f"graphs {first} to {seed} of {len(KINDS)} kinds of step:",
                dict(counts),
                flush=True,
            )


if __name__ == "__main__":
    keras.config.set_floatx("float64")
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)
    main(*map(int, sys.argv[1:3]))
