"""Multiply-adds of the functions of Keras's backend that multiply and sum, from the shapes they get and give."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np


def shape(x: Any) -> tuple:
    """Return the shape of a tensor, a variable, an array or a number."""
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def size(x: Any) -> int:
    """Return how many numbers a tensor holds."""
    return math.prod(shape(x))


def of_matmul(outputs, x1, x2, **_):
    """Every output sums over the last axis of the first factor; a number times an array sums nothing."""
    return size(outputs) * shape(x1)[-1] if shape(x1) and shape(x2) else 0


def of_tensordot(outputs, x1, x2, **_):
    """The factors hold a c and b c numbers, the product a b, so the product of all three is (a b c)^2."""
    return math.isqrt(size(x1) * size(x2) * size(outputs))


def of_einsum(_outputs, subscripts, operands, **_):
    """Every combination of the labels is one multiply-add; None for three factors or more, whose order is not ours."""
    if len(operands) != 2:
        return 0 if len(operands) == 1 else None
    sides = {}
    for labels, operand in zip(subscripts.replace(" ", "").partition("->")[0].split(","), operands, strict=True):
        before, dots, after = labels.partition("...")
        middle = len(shape(operand)) - len(before) - len(after)
        free = [f"dots {middle - i}" for i in range(middle)] if dots else []  # counted from the right, as broadcast
        for label, side in zip([*before, *free, *after], shape(operand), strict=True):
            sides[label] = max(side, sides.get(label, 1))
    return math.prod(sides.values())


def of_conv(outputs, kernel, **_):
    """Every output sums over one filter, (spatial sides, input channels of its group)."""
    return size(outputs) * math.prod(shape(kernel)[:-1])


def of_depthwise_conv(outputs, kernel, **_):
    """Every output sums over the window of one channel."""
    return size(outputs) * math.prod(shape(kernel)[:-2])


def of_conv_transpose(_outputs, inputs, kernel, **_):
    """Every input is spread over (spatial sides, output channels)."""
    return size(inputs) * math.prod(shape(kernel)[:-1])


def of_separable_conv(outputs, depthwise_kernel, pointwise_kernel, **_):
    """Every position applies both kernels once."""
    return size(outputs) // shape(pointwise_kernel)[-1] * (size(depthwise_kernel) + size(pointwise_kernel))


def of_attention(_outputs, query, key, value, **_):
    """Queries meet keys (B, S, heads, dim), and the weights found meet values."""
    batch, steps, heads, width = shape(query)
    return batch * steps * heads * shape(key)[1] * (width + shape(value)[-1])


def unknown(*_, **__):
    """Their multiply-adds depend on the algorithm."""


# Module of the backend -> name of its function -> multiply-adds of one call.
PRODUCTS: dict[str, dict[str, Callable]] = {
    "numpy": {
        "matmul": of_matmul,
        "dot": of_matmul,
        "inner": of_matmul,
        "vdot": lambda outputs, x1, **_: size(x1),
        "tensordot": of_tensordot,
        "einsum": of_einsum,
        "correlate": unknown,
    },
    "nn": {
        "conv": of_conv,
        "depthwise_conv": of_depthwise_conv,
        "separable_conv": of_separable_conv,
        "conv_transpose": of_conv_transpose,
        "dot_product_attention": of_attention,
    },
    "linalg": dict.fromkeys(
        [
            "cholesky",
            "cholesky_inverse",
            "det",
            "eig",
            "eigh",
            "inv",
            "lu_factor",
            "lstsq",
            "matrix_rank",
            "pinv",
            "qr",
            "solve",
            "solve_triangular",
            "svd",
        ],
        unknown,
    ),
    "math": dict.fromkeys(["fft", "fft2", "ifft2", "rfft", "irfft", "stft", "istft", "cdist", "logdet"], unknown),
}


def first(nest):
    """Return the shape of the first tensor of a nest."""
    return shape(keras.tree.flatten(nest)[0])


def difference(lower, upper):
    """Return the steps from `lower` to `upper`, None where they are not plain numbers."""
    plain = all(isinstance(bound, int | np.integer) for bound in (lower, upper))
    return max(int(upper) - int(lower), 0) if plain else None


# Name -> (name of the body, number of steps from the arguments; None is not known).
LOOPS: dict[str, tuple[str, Callable]] = {
    "rnn": ("step_function", lambda inputs, time_major=False, **_: first(inputs)[0 if time_major else 1]),
    "fori_loop": ("body_fun", lambda lower, upper, **_: difference(lower, upper)),
    "while_loop": ("body", unknown),
    "scan": ("f", lambda xs=None, length=None, **_: first(xs)[0] if length is None else int(length)),
    "map": ("f", lambda xs, **_: first(xs)[0]),
    "vectorized_map": ("function", lambda elements, **_: first(elements)[0]),
}
BRANCHES = {"cond": ("true_fn", "false_fn"), "switch": ("branches",)}
FUSED = ("lstm", "gru")  # whole layers in one call; without them, Keras goes step by step
