"""What each operation of Keras does to "which input pixels does this element see?": one rule per kind of operation.

A rule is `rule(op, shape, *arguments) -> Seen`: the operation with its settings, the shape of its output, and what it
was called on, tensors as `Seen` and everything else as it was. All arithmetic is exact. An operation without a rule,
or whose rule raises NotImplementedError, is probed.
"""

import dataclasses
import math

import keras
import numpy as np
from keras import ops

from dlt.measure._seen import NO_TAP, Seen, blind, join, look_up, reduce, taps_of


def spatial_axes(op, rank):
    """Return the axes of a tensor over which windows slide."""
    data_format = op.data_format or keras.config.image_data_format()
    return range(2, rank) if data_format == "channels_first" else range(1, rank - 1)


def channel_axis(op, rank):
    """Return the one axis that is neither the batch nor slid over."""
    return ({*range(1, rank)} - {*spatial_axes(op, rank)}).pop()


def per_axis(value, count):
    """Return an argument as a tuple with one number per axis."""
    return (value,) * count if isinstance(value, int) else tuple(value)


def slide(op, shape, x, size, stride, dilation, taps):
    """Look through windows along every spatial axis; `taps` tells what each output reads along one of them."""
    axes = spatial_axes(op, len(shape))
    for i, axis in enumerate(axes):
        k, s, d = (per_axis(value, len(axes))[i] for value in (size, stride, dilation))
        x = look_up(x, axis, taps(op, x.shape[axis], shape[axis], k, s, d))
    return dataclasses.replace(x, shape=tuple(shape))


def window_taps(op, n_in, n_out, k, s, d):
    """Return what output j of a window reads: j s + t d - padding, for its taps t = 0 .. k - 1."""
    overhang = (n_out - 1) * s + (k - 1) * d + 1 - n_in
    left = max(overhang, 0) // 2 if op.padding == "same" else 0  # an odd pixel goes to the right
    return np.arange(n_out) * s - left + np.arange(k)[:, None] * d


def stamp_taps(op, n_in, n_out, k, s, d):
    """Return what output j of a transposed convolution reads: every i whose stamp, i s + t d - padding, hits j."""
    side, left = (k - 1) * d + 1, 0
    if op.padding == "same":
        if op.output_padding is not None:
            raise NotImplementedError
        overlap = s + side - 2
        left = side - 1 - min(overlap - overlap // 2, side - 1)
    at = np.arange(n_out) + left - np.arange(k)[:, None] * d
    return np.where(at % s == 0, at // s, NO_TAP)


def convolution(op, shape, x, kernel, *more, taps=window_taps):
    """Conv, SeparableConv: windows, and sums over channels."""
    channel = channel_axis(op, len(shape))
    if x.first.shape[channel] > 1 and taps is window_taps and kernel.shape[-2] != x.shape[channel]:
        raise NotImplementedError  # groups of channels that see different pixels
    summed = reduce(x, [channel])
    if not x.whole:  # a sum over channels is none over the image
        summed = dataclasses.replace(summed, whole=False, edge=x.edge.any(channel, keepdims=True))
    return slide(op, shape, summed, kernel.shape[: len(shape) - 2], op.strides, op.dilation_rate, taps)


def grouped(layer, shape, x):
    """Conv2D as a layer, for the one case that Keras cannot trace: groups."""
    return convolution(layer, shape, x, layer.kernel)


def transposed(op, shape, x, kernel):
    """ConvTranspose: stamps that overlap."""
    return convolution(op, shape, x, kernel, taps=stamp_taps)


def depthwise(op, shape, x, kernel):
    """DepthwiseConv: windows, each channel for itself."""
    if x.first.shape[channel_axis(op, len(shape))] > 1 and kernel.shape[-1] > 1:
        raise NotImplementedError  # outputs of one channel lie side by side
    return slide(op, shape, x, kernel.shape[:-2], op.strides, op.dilation_rate, window_taps)


def pooling(op, shape, x):
    """MaxPool, AveragePool: windows, each channel for itself."""
    return slide(op, shape, x, op.pool_size, op.strides or op.pool_size, 1, window_taps)


def resize(op, shape, x):
    """Resize is linear in its input, so what it does to the identity matrix tells what it reads."""
    if op.crop_to_aspect_ratio or op.pad_to_aspect_ratio:
        raise NotImplementedError
    for axis in spatial_axes(op, len(shape)):
        if x.first.shape[axis] > 1 or x.shape[axis] == 1:
            identity = np.eye(x.shape[axis], dtype="float32")[None, :, None, :]
            weights = ops.image.resize(
                identity, (shape[axis], 1), op.interpolation, op.antialias, data_format="channels_last"
            )
            used = np.abs(ops.convert_to_numpy(weights)[0, :, 0, :]) > 1e-5  # PyTorch has 1e-8 where 0 is meant
            x = look_up(x, axis, taps_of(used))
    return dataclasses.replace(x, shape=tuple(shape))


def repeat(op, shape, x):
    """Repeat: nearest upsampling."""
    if not isinstance(op.repeats, int) or op.axis is None:
        raise NotImplementedError
    axis = op.axis % len(x.shape)
    return look_up(x, axis, np.arange(shape[axis])[None] // op.repeats)


def pad(op, shape, x, constant_values=None):
    """Pad: zeros see nothing, reflections see what they reflect."""
    widths = list(op.pad_width) * (len(shape) if len(op.pad_width) == 1 else 1)
    fill = {"constant_values": -1} if op.mode == "constant" else {}
    for axis, width in enumerate(widths):
        if any(width):
            x = look_up(x, axis, np.pad(np.arange(x.shape[axis]), width, op.mode, **fill)[None])
    return x


def get_item(op, shape, x, key):
    """GetItem with slices and whole numbers: crops."""
    key = list(key) if isinstance(key, (tuple, list)) else [key]
    if not all(item is None or item is Ellipsis or isinstance(item, (int, slice)) for item in key):
        raise NotImplementedError
    named = sum(item is not None and item is not Ellipsis for item in key)
    where = key.index(Ellipsis) if Ellipsis in key else len(key)
    key[where : where + 1] = [slice(None)] * (len(x.shape) - named)
    sides = iter(x.first.shape)
    for i, item in enumerate(key):
        if item is not None and next(sides) == 1:
            key[i] = 0 if isinstance(item, int) else slice(None)
    return x.along(lambda values: values[tuple(key)], shape)


def concatenate(op, shape, parts):
    """Concatenate: each element keeps what it saw."""
    axis = op.axis % len(shape)
    parts = [part.spread(axis) for part in parts]
    sides = list(np.broadcast_shapes(*([*p.first.shape[:axis], 1, *p.first.shape[axis + 1 :]] for p in parts)))

    def chain(arrays):
        sides_of = [[*sides[:axis], array.shape[axis], *sides[axis + 1 :]] for array in arrays]
        return np.concatenate([np.broadcast_to(a, to) for a, to in zip(arrays, sides_of, strict=True)], axis)

    arrays = zip(*((part.first, part.last, part.edge) for part in parts), strict=True)
    return Seen(tuple(shape), *map(chain, arrays), any(part.whole for part in parts))


def split(op, shape, x, index):
    """Split: piece number `index`."""
    x = x.spread(op.axis)
    return x.along(lambda values: np.split(values, op.indices_or_sections, op.axis)[index], shape)


def reshape(op, shape, x, *more):
    """Reshape: axes that are split or merged are written out if anything differs along them."""
    sides = []
    for axes, new_sides in matching_axes(x.shape, shape):
        if all(x.first.shape[axis] == 1 for axis in axes):
            sides += [1] * len(new_sides)
        else:
            for axis in axes:
                x = x.spread(axis)
            sides += new_sides
    return x.along(lambda values: values.reshape(sides), shape)


def matching_axes(old, new):
    """Yield (axes of the old shape, sides of the new) that hold the same elements, in the smallest groups."""
    i = j = 0
    while i < len(old) or j < len(new):
        axes, sides = [*range(i, min(i + 1, len(old)))], [*new[j : j + 1]]
        while (count := math.prod(old[axis] for axis in axes)) != math.prod(sides):
            if count < math.prod(sides):
                axes.append(i + len(axes))
            else:
                sides.append(new[j + len(sides)])
        yield axes, sides
        i, j = i + len(axes), j + len(sides)


def einsum(op, shape, *operands):
    """Einsum: sums over the letters that the output lacks, products element by element."""
    inputs, _, output = op.subscripts.replace(" ", "").partition("->")
    if not output or "..." in op.subscripts:
        raise NotImplementedError
    terms = zip(inputs.split(","), operands, strict=True)
    parts = [arrange(x, term, output) for term, x in terms if isinstance(x, Seen)]
    return join(parts, shape)


def arrange(x, term, output):
    """Return a tensor with its axes `term` in the order of `output`; axes that are not there are summed over."""
    summed = [axis for axis, letter in enumerate(term) if letter not in output]
    x, kept = reduce(x, summed, keepdims=False), [letter for letter in term if letter in output]
    order = [kept.index(letter) for letter in output if letter in kept]
    missing = [axis for axis, letter in enumerate(output) if letter not in kept]
    return x.along(lambda values: np.expand_dims(values.transpose(order), missing), x.shape)


def matmul(op, shape, left, right):
    """Matmul: sums over the last axis of one and the last but one of the other."""
    if min(len(left.shape), len(right.shape)) < 2:
        raise NotImplementedError
    parts = [reduce(x, [axis]) for x, axis in ((left, -1), (right, -2)) if isinstance(x, Seen)]
    return join(parts, shape)


def attention(op, shape, query, key, value, *more, **settings):
    """DotProductAttention: a token asks with itself and reads all others."""
    return join([query, *(reduce(x, [1]) for x in (key, value))], shape)


def pointwise(op, shape, *args, **kwargs):
    """Activations, sums, products: element by element; constants see nothing."""
    return join([x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, Seen)], shape)


def unseen(op, shape, *arguments):
    """OnesLike and its kin use the shape alone."""
    return blind(shape)


def reduction(op, shape, x, *more):
    """Mean, Sum, Max, Moments, ...: everything along some axes."""
    axes = getattr(op, "axis", None) if hasattr(op, "axis") else op.axes
    return reduce(x, range(len(x.shape)) if axes is None else per_axis(axes, 1), getattr(op, "keepdims", False))


def normalization(op, shape, x, *more):
    """Softmax, LayerNorm, ...: each element depends on all others along some axes."""
    axes = range(len(shape)) if op.axis is None else per_axis(op.axis, 1)
    return dataclasses.replace(reduce(x, axes), shape=tuple(shape))


def transpose(op, shape, x):
    """Transpose."""
    return x.along(lambda values: np.transpose(values, op.axes), shape)


POINTWISE = (
    "Abs Absolute Add Arctan BatchNorm BroadcastTo Cast Celu Clip ConvertToTensor Copy Cos Divide DivideNoNan Elu "
    "Equal Erf Exp Expm1 FloorDivide Gelu Greater GreaterEqual HardSigmoid HardSilu HardTanh Heaviside LeakyRelu "
    "Less LessEqual Log Log10 Log1p Log2 LogSigmoid Logaddexp LogicalAnd LogicalNot LogicalOr Maximum Minimum Mod "
    "Multiply NanToNum Negative NotEqual Power Reciprocal ReLU Relu Relu6 Round Rsqrt Selu Sigmoid Sign Silu Sin "
    "Softplus Softsign Sqrt Square Squareplus StopGradient Subtract Tanh TanhShrink TrueDivide Where"
)
REDUCTIONS = "All Amax Amin Any CountNonzero Logsumexp Max Mean Min Moments Norm Prod Std Sum Var"
NORMALIZATIONS = "LayerNorm LogSoftmax Normalize RMSNorm Softmax"

RULES = {
    **dict.fromkeys(POINTWISE.split(), pointwise),
    **dict.fromkeys(REDUCTIONS.split(), reduction),
    **dict.fromkeys(NORMALIZATIONS.split(), normalization),
    **dict.fromkeys(("EmptyLike", "FullLike", "OnesLike", "ZerosLike"), unseen),
    **dict.fromkeys(("Conv", "SeparableConv"), convolution),
    **dict.fromkeys(("AveragePool", "MaxPool"), pooling),
    **dict.fromkeys(("ExpandDims", "Reshape", "Squeeze"), reshape),
    **dict.fromkeys(("BatchNormalization", "Normalization", "Rescaling"), pointwise),  # layers that do not trace
    "Concatenate": concatenate,
    "Conv2D": grouped,
    "ConvTranspose": transposed,
    "DepthwiseConv": depthwise,
    "DotProductAttention": attention,
    "Einsum": einsum,
    "GetItem": get_item,
    "Matmul": matmul,
    "Pad": pad,
    "Repeat": repeat,
    "Resize": resize,
    "Split": split,
    "Transpose": transpose,
}
