"""Tensors of which only one thing is known: which input pixels each element depends on.

The answer is two whole numbers, the first and the last pixel seen along one axis of the image, so a tensor is two
arrays of them. As most elements agree (all channels of a pixel see the same), axes along which nothing differs are
kept at length 1, and NumPy's broadcasting does the rest.
"""

import dataclasses
import functools

import numpy as np

NOTHING = (1 << 30, -2)  # first and last of an element that sees no pixel: neutral under minimum and maximum
CONSTANT = (1 << 30, -1)  # of one that sees none either and is taken for other than zero: a weight, or zero plus one
NO_TAP = -(1 << 30)  # in a list of positions: none here, and none missing either
FEW = 2**14  # elements that are written out for the sake of zeros around a map, along an axis that is not the image's


@dataclasses.dataclass(frozen=True)
class Seen:
    """A tensor of which only this is known: the pixels, along one axis of the image, that each element depends on.

    Attributes:
        shape: Tuple of whole numbers, the tensor's shape.
        first: Integer array that broadcasts to `shape`: the first pixel an element depends on.
        last: Integer array like `first`: the last one.
        edge: Boolean array like `first`: whether an element has met the border of a map on the way, so that it may
            see less than others.
        whole: Whether a sum over the entire image went into it.
        loose: Whether an element may depend on less than `first` and `last` say.
        local: Whether sums over the entire image are left out: they see nothing then.
    """

    shape: tuple
    first: np.ndarray
    last: np.ndarray
    edge: np.ndarray
    whole: bool = False
    loose: bool = False
    local: bool = False

    def with_arrays(self, shape, first, last, edge, **changes):
        """Return a tensor of another shape and arrays that is otherwise like this one."""
        return dataclasses.replace(self, shape=tuple(shape), first=first, last=last, edge=edge, **changes)

    def along(self, move, shape):
        """Return the tensor after `move`, a function of an array, has rearranged its elements."""
        return self.with_arrays(shape, move(self.first), move(self.last), move(self.edge))

    def spread(self, *axes):
        """Return the tensor with some axes written out, even if nothing differs along them."""
        axes = [axis % len(self.shape) for axis in axes]
        sides = [n if i in axes else side for i, (n, side) in enumerate(zip(self.shape, self.first.shape, strict=True))]
        return self.along(lambda values: np.broadcast_to(values, sides), self.shape)

    def pressed(self):
        """Return the tensor with every axis at length 1 along which nothing differs."""
        seen = self
        for axis in range(len(self.shape)):
            one = (slice(None),) * axis + (slice(1),)
            arrays = seen.first, seen.last, seen.edge
            if seen.first.shape[axis] > 1 and all(np.all(values == values[one]) for values in arrays):
                seen = seen.along(lambda values, one=one: values[one], self.shape)
        return seen

    def masked(self, kept):
        """Return the tensor with elements that see nothing where the array `kept` is false."""
        first, last = np.where(kept, self.first, NOTHING[0]), np.where(kept, self.last, NOTHING[1])
        return self.with_arrays(self.shape, first, last, self.edge & kept).pressed()


def start(shape, axis, local=False):
    """Return the input image: every pixel sees itself."""
    pixels = np.arange(shape[axis], dtype="int32").reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return Seen(tuple(shape), pixels, pixels, pixels < 0, local=local)


def blind(shape, ends=CONSTANT):
    """Return a tensor that depends on no pixel."""
    first, last = (np.full([1] * len(shape), value, "int32") for value in ends)
    return Seen(tuple(shape), first, last, first < 0)


def join(parts, shape):
    """Return a tensor each of whose elements depends on the matching elements of all parts, which broadcast."""
    rank = len(shape)
    parts = [
        part.along(lambda values: values.reshape([1] * (rank - values.ndim) + [*values.shape]), ()) for part in parts
    ]
    first = functools.reduce(np.minimum, [part.first for part in parts])
    last = functools.reduce(np.maximum, [part.last for part in parts])
    edge = functools.reduce(np.logical_or, [part.edge for part in parts])
    flags = {name: any(getattr(part, name) for part in parts) for name in ("whole", "loose", "local")}
    return Seen(tuple(shape), first, last, edge, **flags)


def product(factors, shape):
    """Return a tensor each of whose elements is a product of elements of all factors.

    One that sees nothing may be zero, as those around a map that was padded, and lets nothing through then.
    """
    joined = join(factors, shape)
    doubt = any(np.any((x.last == NOTHING[1]) & (joined.first <= joined.last)) for x in factors)
    return dataclasses.replace(joined, loose=joined.loose or doubt)


def reduce(seen, axes, keepdims=True):
    """Return a tensor each of whose elements depends on everything along `axes`."""
    axes = tuple(axis % len(seen.shape) for axis in axes)
    first, last = seen.first.min(axes, keepdims=True), seen.last.max(axes, keepdims=True)
    one_answer = first.size < seen.first.size and np.all(first == first.min()) and np.all(last == last.max())
    edge = seen.edge.any(axes, keepdims=True) | one_answer
    shape = [1 if axis in axes else side for axis, side in enumerate(seen.shape)]
    if one_answer and seen.local:
        reduced = dataclasses.replace(blind(shape), loose=seen.loose, local=True)
    else:
        reduced = seen.with_arrays(shape, first, last, edge, whole=seen.whole or bool(one_answer))
    if keepdims:
        return reduced
    kept = [side for axis, side in enumerate(shape) if axis not in axes]
    return reduced.along(lambda values: np.squeeze(values, axes), kept)


def summed_up(seen, shape):
    """Return a tensor of some shape each of whose elements depends on everything in another."""
    return reduce(seen, range(len(seen.shape))).along(lambda values: values.reshape([1] * len(shape)), shape)


def look_up(seen, axis, taps):
    """Return a tensor whose element j along `axis` depends on the elements `taps[:, j]`.

    Taps below 0 or beyond the end read the zeros that padding puts around a map: they depend on nothing, and neither
    does an element that reads only them.
    """
    shape = [taps.shape[1] if i == axis else side for i, side in enumerate(seen.shape)]
    inside = (taps >= 0) & (taps < seen.shape[axis])
    if seen.first.shape[axis] == 1 < seen.shape[axis]:  # nothing differs along this axis
        if inside.any(axis=0).all() or seen.first.size * taps.shape[1] > FEW:
            return seen.along(lambda values: values, shape)
        seen = seen.spread(axis)  # but now it will: what reads only zeros sees nothing
    beyond = ~inside & (taps != NO_TAP)
    at = (slice(None),) * axis + (np.clip(taps, 0, seen.shape[axis] - 1),)
    inside, beyond = (x.reshape(*x.shape, *[1] * (len(shape) - axis - 1)) for x in (inside, beyond))
    first = np.where(inside, seen.first[at], NOTHING[0]).min(axis)
    last = np.where(inside, seen.last[at], NOTHING[1]).max(axis)
    edge = (beyond | (inside & seen.edge[at])).any(axis)
    return seen.with_arrays(shape, first, last, edge)


def taps_of(used):
    """Return taps from a matrix that says which output (row) reads which input (column).

    Why an output reads no more than it does, the matrix does not say; one that reads the first or last input counts
    as one at the border.
    """
    width = max(1, used.sum(axis=1).max())
    order = np.argsort(~used, axis=1, kind="stable")[:, :width]
    taps = np.where(np.take_along_axis(used, order, axis=1), order, NO_TAP)
    at_border = used[:, :1] | used[:, -1:]
    return np.hstack([taps, np.where(at_border, -1, NO_TAP)]).T
