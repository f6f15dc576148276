"""Rules for operations that only move elements: slices, flips, stacks, reshapes, ..."""

import math

import keras
import numpy as np
from keras import ops

from dlt.measure._seen import CONSTANT, NOTHING, Seen, blind, join, look_up, reduce
from dlt.measure._windows import has_zeros, per_axis

MOST = 2**25  # elements that are written out one by one


def as_seen(x):
    """Return an argument as `Seen`: weights and arrays of numbers see nothing."""
    if isinstance(x, Seen):
        return x
    return blind(np.shape(x) if not hasattr(x, "shape") else x.shape, NOTHING if has_zeros(x) else CONSTANT)


def repeat(op, shape, x):
    """Repeat: nearest upsampling."""
    if not isinstance(op.repeats, int) or op.axis is None:
        raise NotImplementedError
    axis = op.axis % len(x.shape)
    return look_up(x, axis, np.arange(shape[axis])[None] // op.repeats)


def pad(op, shape, x, constant_values=None):
    """Pad: zeros see nothing, reflections see what they reflect."""
    if isinstance(constant_values, Seen):
        raise NotImplementedError
    widths = list(op.pad_width) * (len(shape) if len(op.pad_width) == 1 else 1)
    for axis, width in enumerate(widths):
        if any(width):
            x = look_up(x, axis, pad_numbers(x.shape[axis], width, op.mode)[None])
    return x


def pad_numbers(side, width, mode):
    """Return which element stands where after padding, -1 for none: Keras's "symmetric" is another one on PyTorch."""
    numbers = np.arange(side)
    if mode == "constant":
        return np.pad(numbers, width, constant_values=-1)
    return ops.convert_to_numpy(ops.pad(numbers, [width], mode)).astype("int64")


def get_item(op, shape, x, key):
    """GetItem with slices and whole numbers: crops."""
    key = list(key) if isinstance(key, (tuple, list)) else [key]
    if not all(item is None or item is Ellipsis or isinstance(item, (int, slice)) for item in key):
        return selection(op, shape, x, tuple(key))
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
    return chain([as_seen(part) for part in parts], op.axis % len(shape), shape)


def chain(parts, axis, shape):
    """Return tensors one after the other along an axis."""
    parts = [part.spread(axis) for part in parts]
    sides = list(np.broadcast_shapes(*([*p.first.shape[:axis], 1, *p.first.shape[axis + 1 :]] for p in parts)))

    def arrays(name):
        values = [getattr(part, name) for part in parts]
        return np.concatenate(
            [np.broadcast_to(v, [*sides[:axis], v.shape[axis], *sides[axis + 1 :]]) for v in values], axis
        )

    flags = join([part.along(lambda values: values.ravel()[:1], ()) for part in parts], (1,))
    return flags.with_arrays(shape, *map(arrays, ("first", "last", "edge"))).pressed()


def stack(op, shape, parts):
    """Stack: the same along a new axis."""
    axis = op.axis % len(shape)
    sides = [1 if i == axis else side for i, side in enumerate(shape)]
    parts = [as_seen(part).along(lambda values: np.expand_dims(values, axis), sides) for part in parts]
    return chain(parts, axis, shape)


def split(op, shape, x, index):
    """Split: piece number `index`."""
    x = x.spread(op.axis)
    return x.along(lambda values: np.split(values, op.indices_or_sections, op.axis)[index], shape)


def unstack(op, shape, x, index):
    """Unstack: slice number `index`."""
    x = x.spread(op.axis)
    return x.along(lambda values: np.take(values, index, op.axis), shape)


def reshape(op, shape, x, *more):
    """Reshape: axes that are split or merged are written out if anything differs along them."""
    sides = []
    for axes, new_sides in matching_axes(x.shape, shape):
        if all(x.first.shape[axis] == 1 for axis in axes):
            sides += [1] * len(new_sides)
        else:
            x = x.spread(*axes)
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


def transpose(op, shape, x):
    """Transpose."""
    return x.along(lambda values: np.transpose(values, op.axes), shape)


def swapaxes(op, shape, x):
    """Swapaxes."""
    return x.along(lambda values: np.swapaxes(values, op.axis1, op.axis2), shape)


def moveaxis(op, shape, x):
    """Moveaxis."""
    return x.along(lambda values: np.moveaxis(values, op.source, op.destination), shape)


def flip(op, shape, x):
    """Flip: an axis along which nothing differs stays as it is."""
    return x.along(lambda values: np.flip(values, op.axis), shape)


def roll(op, shape, x):
    """Roll: what goes out at one end comes in at the other, and there the border is met."""
    if op.axis is None:
        raise NotImplementedError
    axes = per_axis(op.axis, 1)
    for axis, shift in zip(axes, per_axis(op.shift, len(axes)), strict=True):
        n = x.first.shape[axis]
        at = (np.arange(n) - shift).reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))])
        x = x.along(lambda values, shift=shift, axis=axis: np.roll(values, shift, axis), shape)
        if n > 1:
            x = x.with_arrays(shape, x.first, x.last, x.edge | (at % n != at))
    return x


def tile(op, shape, x):
    """Tile: copies side by side."""
    if len(per_axis(op.repeats, 1)) != len(x.shape):
        raise NotImplementedError
    for axis, count in enumerate(op.repeats):
        x = look_up(x, axis, np.tile(np.arange(x.shape[axis]), count)[None])
    return x


def take(op, shape, x, indices):
    """Take: constant indices move elements, computed ones may point at any of them."""
    if op.axis is None or not (isinstance(indices, Seen) or isinstance(x, Seen)):
        raise NotImplementedError
    axis = op.axis % len(x.shape)
    if not isinstance(indices, (Seen, keras.KerasTensor)):
        at = ops.convert_to_numpy(indices)
        found = look_up(x, axis, at.reshape(1, -1) % x.shape[axis])
        return found.along(lambda values: spread_out(values, axis, at.shape), shape)
    parts = []
    if isinstance(x, Seen):
        after = tuple(range(axis + 1, axis + len(indices.shape)))
        parts.append(reduce(x, [axis]).along(lambda values: np.expand_dims(values, after), shape))
    if isinstance(indices, Seen):
        right = len(x.shape) - axis - 1
        parts.append(indices.along(lambda values: values.reshape(*values.shape, *[1] * right), shape))
    return join(parts, shape)


def spread_out(values, axis, sides):
    """Return an array one axis of which becomes several; of length 1 if nothing differs along it."""
    sides = sides if values.shape[axis] > 1 or math.prod(sides) == 1 else [1] * len(sides)
    return values.reshape(*values.shape[:axis], *sides, *values.shape[axis + 1 :])


def selection(op, shape, x, *more):
    """Whatever copies elements or puts zeros: it tells by moving their numbers, counted from 1.

    Where zeros are put, a map ends.
    """
    if any(isinstance(value, (Seen, keras.KerasTensor)) for value in keras.tree.flatten(more)):
        raise NotImplementedError
    count = math.prod(x.shape)
    if max(count, math.prod(shape)) > MOST:
        raise NotImplementedError
    numbers = np.arange(1, count + 1, dtype="int32").reshape(x.shape)
    source = ops.convert_to_numpy(op.call(ops.convert_to_tensor(numbers), *more)).astype("int64")
    x = x.spread(*range(len(x.shape)))

    def gather(values, empty):
        return np.concatenate([[empty], values.reshape(count)])[source]

    arrays = gather(x.first, NOTHING[0]), gather(x.last, NOTHING[1]), gather(x.edge, True)
    return x.with_arrays(source.shape, *arrays).pressed()  # (Keras says the shape of Rot90 wrongly)
