"""Arrays of other libraries, turned to Keras's axes."""

import math
from collections.abc import Callable

import numpy as np

# Kernels are (height, width, in, out) in Keras's convolutions, (in, out) in its dense layers.
FROM_TORCH = {4: ((2, 3, 1, 0), (2, 3, 0, 1)), 2: ((1, 0),)}  # convolution or depthwise; dense
FROM_KERAS = {4: ((0, 1, 2, 3), (0, 1, 3, 2))}  # the same; a grouped convolution that is a depthwise one
TORCH = ("official", "timm", "Hugging Face", "ACC-UNet")


def turned(shape: tuple, target: tuple, kind: str) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return the function that turns an array of `shape`, of a source of this kind, to `target`; None if none does."""
    if math.prod(shape) != math.prod(target):
        return None
    if len(target) == 1:  # GRN's are stored as (1, 1, 1, C)
        return (lambda array: array.reshape(target)) if max(shape, default=1) == target[0] else None
    if kind == "official" and sparse(shape, target):
        side = target[0]  # positions are counted column by column
        return lambda array: array.reshape(side, side, *shape[1:]).swapaxes(0, 1).reshape(target)
    torch = kind in TORCH
    if {len(shape), len(target)} == {2, 4}:
        return as_dense(shape, target, torch)
    orders = (FROM_TORCH if torch else FROM_KERAS).get(len(shape), (tuple(range(len(shape))),))
    order = next((order for order in orders if tuple(shape[axis] for axis in order) == target), None)
    return None if order is None else lambda array: array.transpose(order)


def sparse(shape: tuple, target: tuple) -> bool:
    """Return whether this is the kernel of a sparse convolution: (positions, in, out), or (positions, C) depthwise."""
    if len(target) != 4 or len(shape) not in (2, 3) or target[0] < 2 or shape[0] != target[0] * target[1]:
        return False
    channels = target[2:]
    return target[0] == target[1] and (shape[1:] in (channels, channels[:1]) or shape[1:] == (1, channels[0]))


def as_dense(shape: tuple, target: tuple, torch: bool) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return what turns a 1x1 convolution's kernel to that of the dense layer that computes the same, or back."""
    ends = shape[2:] if torch and len(shape) == 4 else shape[:2]
    flat = shape if len(shape) == 2 else shape[:2] if torch else shape[2:]
    wanted = target if len(target) == 2 else target[2:]
    if (len(shape) == 4 and ends != (1, 1)) or (len(target) == 4 and target[:2] != (1, 1)):
        return None
    if torch:
        return (lambda array: array.reshape(flat).T.reshape(target)) if flat[::-1] == wanted else None
    return (lambda array: array.reshape(target)) if flat == wanted else None
