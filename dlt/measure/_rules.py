"""What each operation of Keras does to "which input pixels does this element see?": one rule per kind of operation.

A rule is `rule(op, shape, *arguments) -> Seen`: the operation with its settings, the shape of its output, and what it
was called on, tensors as `Seen` and everything else as it was. All arithmetic is exact. An operation without a rule,
or whose rule raises NotImplementedError, is probed.
"""

import dataclasses
import functools

import keras
import numpy as np
from keras import ops

from dlt.measure import _moves as moves
from dlt.measure import _windows as windows
from dlt.measure._seen import NOTHING, Seen, blind, join, look_up, product, reduce, taps_of
from dlt.measure._windows import has_zeros, per_axis


def seen_in(structure):
    """Return all `Seen` in a nested structure."""
    return [x for x in keras.tree.flatten(structure) if isinstance(x, Seen)]


def pointwise(op, shape, *args, **kwargs):
    """Activations, sums, ...: element by element; constants see nothing."""
    return join(seen_in((args, kwargs)), shape)


def multiply(op, shape, *factors):
    """Multiply: element by element; a constant zero lets nothing through."""
    zeros = [ops.convert_to_numpy(x) != 0 for x in factors if has_zeros(x)]
    joined = product(seen_in(factors), shape)
    return joined.masked(functools.reduce(np.logical_and, zeros)) if zeros else joined


def quotient(op, shape, *arguments):
    """Divide, Power, ...: element by element; nothing divided by something is nothing."""
    return product(seen_in(arguments), shape)


def where(op, shape, condition, *choices):
    """Where: of two choices a constant condition takes one; without choices it gives positions, as Nonzero."""
    if not choices or choices[0] is None:
        raise NotImplementedError
    if isinstance(condition, Seen) or not hasattr(condition, "shape") or isinstance(condition, keras.KerasTensor):
        return join(seen_in((condition, choices)), shape)
    taken = ops.convert_to_numpy(condition).astype(bool)
    parts = [
        join([x], shape).masked(kept) for x, kept in zip(choices, (taken, ~taken), strict=True) if isinstance(x, Seen)
    ]
    return join(parts, shape)


def gated(op, shape, x):
    """Glu: one half of the channels times a gate from the other."""
    halves = np.split(np.arange(x.shape[op.axis]), 2)
    return product([look_up(x, op.axis % len(shape), half[None]) for half in halves], shape)


def one_hot(op, shape, x):
    """OneHot: a new axis."""
    axis = op.axis % len(shape)
    return x.along(lambda values: np.expand_dims(values, axis), shape)


def multi_hot(op, shape, x):
    """MultiHot: OneHot, and the largest along the first axis after the batch."""
    axis = op.axis % (len(x.shape) + 1)
    sides = [*x.shape[:axis], op.num_classes, *x.shape[axis:]]
    hot = x.along(lambda values: np.expand_dims(values, axis), sides)
    return reduce(hot, [min(1, len(x.shape) - 1)], keepdims=False)


def batch_normalization(layer, shape, x, training=None, mask=None):
    """BatchNormalization: element by element, unless it is told to train: then by statistics of the batch."""
    if training:
        return windowless(x, [axis for axis in range(len(shape)) if axis != layer.axis % len(shape)], shape)
    return dataclasses.replace(x, shape=tuple(shape))


def normalized(op, shape, x, *statistics):
    """BatchNorm: element by element, by statistics that may depend on the image as well."""
    if seen_in(statistics) and op.axis % len(shape) != len(shape) - 1:
        raise NotImplementedError
    return join(seen_in((x, statistics)), shape)


def windowless(x, axes, shape):
    """Return a tensor of which each element depends on all others along some axes."""
    return dataclasses.replace(reduce(x, axes), shape=tuple(shape))


def ones(op, shape, *arguments):
    """OnesLike uses the shape alone."""
    return blind(shape)


def zeros(op, shape, *arguments):
    """ZerosLike and its kin use the shape alone."""
    return blind(shape, NOTHING)


def filled(op, shape, x, fill_value):
    """FullLike uses the shape of one tensor and the number, or the numbers, of another."""
    return pointwise(op, shape, fill_value) if isinstance(fill_value, Seen) else zeros(op, shape)


def reduction(op, shape, x, *more, **settings):
    """Mean, Sum, Max, Moments, ...: everything along some axes."""
    axes = getattr(op, "axis", None) if hasattr(op, "axis") else op.axes
    axes = range(len(x.shape)) if axes is None else per_axis(axes, 1)
    found = reduce(x, axes, getattr(op, "keepdims", False))
    if len(found.shape) != len(shape) or seen_in((more, settings)):
        raise NotImplementedError
    return found


def normalization(op, shape, x, *more, **settings):
    """Softmax, LayerNorm, Sort, ...: each element depends on all others along some axes."""
    if (op.axis is None and len(shape) != len(x.shape)) or seen_in((more, settings)):
        raise NotImplementedError
    return windowless(x, range(len(shape)) if op.axis is None else per_axis(op.axis, 1), shape)


def top(op, shape, x):
    """TopK: each of the largest was chosen among all."""
    return windowless(x, [-1], shape)


def cumulative(op, shape, x):
    """Cumsum, Cumprod: everything up to here; how far that goes back, the border decides."""
    if op.axis is None:
        raise NotImplementedError
    axis = op.axis % len(shape)
    first, last = np.minimum.accumulate(x.first, axis), np.maximum.accumulate(x.last, axis)
    return x.with_arrays(shape, first, last, x.edge | (x.first.shape[axis] > 1))


def einsum(op, shape, *operands):
    """Einsum: sums over the letters that the output lacks, products element by element."""
    inputs, arrow, output = op.subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if not arrow or "..." in op.subscripts or any(map(has_zeros, operands)):
        raise NotImplementedError
    if any(len(set(term)) != len(term) for term in terms):
        raise NotImplementedError  # a diagonal
    pairs = zip(terms, operands, strict=True)
    return product([arrange(x, term, output) for term, x in pairs if isinstance(x, Seen)], shape)


def arrange(x, term, output):
    """Return a tensor with its axes `term` in the order of `output`; axes that are not there are summed over."""
    summed = [axis for axis, letter in enumerate(term) if letter not in output]
    x, kept = reduce(x, summed, keepdims=False), [letter for letter in term if letter in output]
    order = [kept.index(letter) for letter in output if letter in kept]
    missing = [axis for axis, letter in enumerate(output) if letter not in kept]
    return x.along(lambda values: np.expand_dims(values.transpose(order), missing), x.shape)


def matmul(op, shape, left, right):
    """Matmul: sums over the last axis of one and the last but one of the other."""
    if min(len(left.shape), len(right.shape)) < 2 or has_zeros(left):
        raise NotImplementedError
    if has_zeros(right):
        if len(right.shape) != 2:
            raise NotImplementedError
        x = left.spread(-1)
        return look_up(x, len(shape) - 1, taps_of(ops.convert_to_numpy(right).T != 0))
    parts = [reduce(x, [axis]) for x, axis in ((left, -1), (right, -2)) if isinstance(x, Seen)]
    return product(parts, shape)


def tensordot(op, shape, left, right):
    """Tensordot, Dot: sums over some axes of both, and then the axes of one after those of the other."""
    axes = getattr(op, "axes", ([-1], [-2])) if min(len(np.shape(left)), len(np.shape(right))) > 1 else None
    if axes is None or has_zeros(left) or has_zeros(right):
        raise NotImplementedError
    if isinstance(axes, int):
        axes = range(len(left.shape) - axes, len(left.shape)), range(axes)
    parts = []
    for x, summed, before in ((left, axes[0], False), (right, axes[1], True)):
        if isinstance(x, Seen):
            part = reduce(x, per_axis(summed, 1), keepdims=False)
            new = range(len(shape) - len(part.shape)) if before else range(len(part.shape), len(shape))
            parts.append(part.along(lambda values, new=new: np.expand_dims(values, tuple(new)), shape))
    return product(parts, shape)


def attention(op, shape, query, key, value, *more, **settings):
    """DotProductAttention: a token asks with itself and reads all others; a mask is tried."""
    masks = [x for x in (*more, *settings.values()) if hasattr(x, "shape")]
    if masks or op.is_causal or query.shape[2] != key.shape[2]:
        raise NotImplementedError
    axes = ((query, [3]), (key, [1, 3]), (value, [1]))
    return product([reduce(x, over) for x, over in axes if isinstance(x, Seen)], shape)


POINTWISE = (
    "Abs Absolute Add Angle Arccos Arccosh Arcsin Arcsinh Arctan Arctan2 Arctanh BitwiseInvert BitwiseNot BitwiseOr "
    "BitwiseXor BroadcastTo Cast Cbrt Ceil Celu Clip Conj Conjugate ConvertToTensor Copy Cos Cosh Deg2rad Elu Equal "
    "Erf Erfc Erfinv Exp Exp2 Expm1 Fabs Floor Fmax Fmin Gelu Greater GreaterEqual HardShrink HardSigmoid HardSilu "
    "HardTanh Heaviside Hypot Imag Isclose Isfinite Isinf Isnan LeakyRelu Less LessEqual Log Log10 Log1p Log2 "
    "LogSigmoid Logaddexp Logaddexp2 LogicalNot LogicalOr LogicalXor Maximum Minimum NanToNum Negative NotEqual "
    "Rad2deg Real Reciprocal ReLU Relu Relu6 Round Rsqrt SaturateCast Selu Sigmoid Sign Signbit Silu Sin Sinc Sinh "
    "SoftShrink Softplus Softsign SparsePlus SparseSigmoid Sqrt Square Squareplus StopGradient Subtract Tan Tanh "
    "TanhShrink Threshold Trunc"
)
QUOTIENTS = "BitwiseAnd Divide DivideNoNan FloorDivide Fmod LogicalAnd Mod Power TrueDivide"
REDUCTIONS = (
    "All Amax Amin Any Argmax Argmin CountNonzero Logsumexp Max Mean Median Min Moments Norm Percentile Prod Ptp "
    "Quantile Std Sum Var"
)
NORMALIZATIONS = "Argsort LayerNorm LogSoftmax Normalize RMSNorm Softmax Sort Sparsemax"
SELECTIONS = "CropImages DepthToSpace Diagonal Fliplr Flipud PadImages Rot90 SpaceToDepth Slice TakeAlongAxis Tril Triu"
UNTRACED = "AlphaDropout Dropout GaussianDropout GaussianNoise Normalization Rescaling"  # layers, element by element
SEVERAL = (moves.split, moves.unstack)  # rules that are told which of the outputs is meant
JOINING = (  # rules for several tensors at once; the others know of the first argument only
    *(pointwise, multiply, quotient, where, normalized, filled, zeros, ones, einsum, matmul, tensordot, attention),
    *(moves.concatenate, moves.stack, moves.take),
    *(windows.convolution, windows.transposed, windows.depthwise),
)

RULES = {
    **dict.fromkeys(POINTWISE.split(), pointwise),
    **dict.fromkeys(QUOTIENTS.split(), quotient),
    **dict.fromkeys(REDUCTIONS.split(), reduction),
    **dict.fromkeys(NORMALIZATIONS.split(), normalization),
    **dict.fromkeys(SELECTIONS.split(), moves.selection),
    **dict.fromkeys(("EmptyLike", "ZerosLike"), zeros),
    "OnesLike": ones,
    **dict.fromkeys(("Conv", "SeparableConv"), windows.convolution),
    **dict.fromkeys(("AveragePool", "MaxPool"), windows.pooling),
    **dict.fromkeys(("AdaptiveAveragePool", "AdaptiveMaxPool"), windows.adaptive),
    **dict.fromkeys(("Cumprod", "Cumsum"), cumulative),
    **dict.fromkeys(("Dot", "Tensordot"), tensordot),
    **dict.fromkeys(("ExpandDims", "Ravel", "Reshape", "Squeeze"), moves.reshape),
    **dict.fromkeys(UNTRACED.split(), pointwise),
    "BatchNorm": normalized,
    "BatchNormalization": batch_normalization,
    "Concatenate": moves.concatenate,
    "Conv2D": windows.grouped,
    "ConvTranspose": windows.transposed,
    "DepthwiseConv": windows.depthwise,
    "DotProductAttention": attention,
    "Einsum": einsum,
    "ExtractPatches": windows.patches,
    "Flip": moves.flip,
    "FullLike": filled,
    "GetItem": moves.get_item,
    "Glu": gated,
    "Matmul": matmul,
    "Moveaxis": moves.moveaxis,
    "MultiHot": multi_hot,
    "Multiply": multiply,
    "OneHot": one_hot,
    "Pad": moves.pad,
    "Repeat": moves.repeat,
    "Resize": windows.resize,
    "Roll": moves.roll,
    "Split": moves.split,
    "Stack": moves.stack,
    "Swapaxes": moves.swapaxes,
    "Take": moves.take,
    "Tile": moves.tile,
    "TopK": top,
    "Transpose": moves.transpose,
    "Unstack": moves.unstack,
    "Where": where,
}
