"""Does a part of a model alone keep the scale? Its outputs at each scale, compared."""

import dataclasses
import math
from collections.abc import Iterable

import keras
import numpy as np
from keras import ops

from dlt.measure._visits import OtherPath, Visit, differ, is_float, probe, reference
from dlt.measure.homogeneity import TOLERANCE, Homogeneity, compare

ROUNDING = {"float16": 4e-3, "bfloat16": 3e-2}  # four units in the last place


def tolerance(each: Visit) -> float:
    """Return the largest error that rounding explains: more in a part that answers in half precision."""
    dtypes = {keras.backend.standardize_dtype(y.dtype) for y in keras.tree.flatten(each.reply) if is_float(y)}
    return max([TOLERANCE, *(ROUNDING.get(dtype, 0.0) for dtype in dtypes)])


def verdict(each: Visit, scales: tuple, crop: bool = False) -> Homogeneity:
    """Return the `Homogeneity` of a part alone: of its outputs or, if they keep the scale, what it gives a child."""
    if crop:
        small = cropped(each)
        before, after = affine(small, scales) if is_affine(each.part) else probed(small, scales)
        result = of_outputs(before, after, scales)
        if math.isfinite(result.degree):
            return result
    try:
        probes = zip(*[probe(each, a) for a in scales], strict=True)
    except OtherPath:
        return Homogeneity(scales, (math.inf,), (math.inf,), math.nan)
    own, *given = (of_outputs(before, after, scales) for before, after in zip(reference(each), probes, strict=True))
    if own.equivariance_error > tolerance(each):
        return own
    return max([own, *given], key=lambda result: result.equivariance_error)


def probed(each: Visit, scales: tuple) -> tuple[list, list]:
    """Return the outputs of a part alone, and its outputs at each scale."""
    return probe(each, 1.0)[0], [probe(each, a)[0] for a in scales]


def is_affine(part: keras.Operation) -> bool:
    """Return whether a part is a product with a matrix or kernel plus a bias on the last axis, and nothing else."""
    linear = getattr(part, "activation", None) is keras.activations.linear
    return linear and getattr(part, "data_format", "") != "channels_first"


def affine(each: Visit, scales: tuple) -> tuple[list, list]:
    """Return the same as `probed` of a product plus a bias: `a (f(x) - b) + b`. Compiling a convolution takes long."""
    y, bias = (ops.convert_to_numpy(ops.cast(x, "float32")) for x in (each.reply, each.part.bias))
    return [y], [[np.float32(a) * (y - bias) + bias] for a in scales]


def of_outputs(before: list, after: Iterable, scales: tuple) -> Homogeneity:
    """Return the `Homogeneity` of outputs, of which floating-point numbers must scale and all others stay.

    Zeros that stay zeros keep the scale; numbers that a float cannot hold do not.
    """
    after, floats = list(after), [index for index, y in enumerate(before) if is_float(y)]
    chosen = [as_arrays(outputs, floats) for outputs in [before, *after]]
    others = [index for index, y in enumerate(before) if hasattr(y, "shape") and index not in floats]
    moved = any(differ(before[index], outputs[index]) for outputs in after for index in others)
    finite = all(np.isfinite(y).all() for outputs in chosen for y in outputs)
    nonzero = [index for index, y in enumerate(chosen[0]) if y.any()]
    raised = any(y.any() for outputs in chosen for index, y in enumerate(outputs) if index not in nonzero)
    if finite and not raised and not moved and nonzero:
        first, *rest = [[outputs[index] for index in nonzero] for outputs in chosen]
        return compare(first, rest, scales)
    error = math.inf if moved or raised or not finite else 0.0
    return Homogeneity(scales, (error,), (error,), math.nan)


def as_arrays(outputs: list, which: list) -> list:
    """Return some of the outputs as arrays of float64."""
    return [ops.convert_to_numpy(ops.cast(outputs[index], "float32")).astype("float64") for index in which]


def cropped(each: Visit) -> Visit:
    """Return a visit on the middle of its maps: a convolution, a dense layer or a norm does the same everywhere."""
    window = getattr(each.part, "kernel_size", ()), getattr(each.part, "dilation_rate", ())
    side = 4 + max((size * rate for size, rate in zip(*map(np.atleast_1d, window), strict=False)), default=0)

    def crop(x):
        if not is_float(x) or len(x.shape) != 4 or getattr(each.part, "data_format", "") == "channels_first":
            return x
        rows, columns = (slice((n - min(n, side)) // 2, (n + min(n, side)) // 2) for n in x.shape[1:3])
        return x[:, rows, columns]

    given, reply = (keras.tree.map_structure(crop, nest) for nest in (each.given, each.reply))
    return dataclasses.replace(each, given=given, reply=reply)
