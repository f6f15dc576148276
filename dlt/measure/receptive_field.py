import dataclasses

import numpy as np

from dlt._check import fail
from dlt.measure._gradients import check_layer
from dlt.measure._propagate import propagate
from dlt.measure._table import Table

OPEN_SIDES = (64, 512, 4096)  # tried in turn for an open side, until the field fits in
MARGINS = (0, 576, 4608)  # added to sides that are fixed; multiples of 64 * 9, so that padding stays what it was


@dataclasses.dataclass(frozen=True)
class AxisField:
    """The receptive field along one axis of the image, in pixels.

    Attributes:
        first: Integer array, the first pixel that each output position sees; above `last` where it sees none.
        last: Integer array, the last one.
        side: Whole number, how long the image is.
        size: Whole number of pixels that an output sees, the most of all positions away from the border.
        stride: How many pixels the field moves from one output to the next; None if at no steady pace, or if no
            field lies inside the image.
        offset: Where the centre of output 0's field would lie without a border; pixel i has its centre at i.
        whole: Whether each output sees the image from end to end, however large it is.
        cut: Whether no field fits into the image, so that `size` is a lower bound.
    """

    first: np.ndarray
    last: np.ndarray
    side: int
    size: int
    stride: float | None
    offset: float | None
    whole: bool
    cut: bool

    def settled(self, side):
        """Return whether an image of this side is large enough to tell."""
        return self.stride is not None or (self.whole and side >= OPEN_SIDES[1])

    def row(self, name):
        """Return the axis as a row of a table."""
        size = "whole image" if self.whole else f"at least {self.size}" if self.cut else self.size
        return (name, size, *("-" if value is None else f"{value:g}" for value in (self.stride, self.offset)))


@dataclasses.dataclass(frozen=True, repr=False)
class ReceptiveField(Table):
    """Which input pixels an output can depend on.

    Attributes:
        height: `AxisField` of the vertical axis.
        width: `AxisField` of the horizontal axis.
        probed: Tuple of the paths of layers that were probed with numbers, because they could not be read.
    """

    height: AxisField
    width: AxisField
    probed: tuple

    @property
    def size(self):
        """Return height and width of the field, in pixels."""
        return self.height.size, self.width.size

    @property
    def stride(self):
        """Return how far the field moves from one output to the next, down and right, in pixels."""
        return self.height.stride, self.width.stride

    @property
    def offset(self):
        """Return where the centre of the first output's field would lie without a border, in pixels."""
        return self.height.offset, self.width.offset

    @property
    def whole(self):
        """Return whether every output sees the whole image."""
        return self.height.whole and self.width.whole

    def interval(self, row=None, column=None):
        """Return what one output sees: `((top, bottom), (left, right))`, both ends included; middle by default.

        An axis along which it sees nothing but padding is None.
        """
        found = []
        for axis, at in ((self.height, row), (self.width, column)):
            at = len(axis.first) // 2 if at is None else at
            first, last = int(axis.first[at]), int(axis.last[at])
            found.append((first, last) if first <= last else None)
        return tuple(found)

    def rows(self):
        """Return a row per axis, and what had to be probed."""
        probed = [(f"probed: {path}", "", "", "") for path in self.probed]
        return [("axis", "size", "stride", "offset"), self.height.row("height"), self.width.row("width"), *probed]

    def plot(self):
        """Return a figure of the image, with the field of the middle output in white."""
        from dlt.plot import images

        picture = np.zeros((self.height.side, self.width.side))
        if all(intervals := self.interval()):
            picture[tuple(slice(first, last + 1) for first, last in intervals)] = 1
        return images({f"{self.size[0]} x {self.size[1]} pixels": picture}, side=4, limits=(0, 1))


def receptive_field(model, layer=None, input_shape=None):
    """Compute exactly which input pixels an output of a model, or of a layer inside, can depend on.

    The model is run on symbolic tensors, down to single operations, and each operation is asked which of its inputs
    an output reads: a convolution its window, a sum over the map everything, an activation only its own position.
    For kernel k, stride s and dilation d, without branches, that is the recursion

    `size += (k - 1) d stride`, `stride *= s`,

    but branches, borders, upsampling and nested models come out right as well. The answer is what the wiring allows,
    whatever the weights. Padding with "same" puts an odd zero at the end and so depends on the size of the image:
    `interval` is for the image asked about.

    Args:
        model: A built Keras model with one input, `(batch, height, width, channels)`.
        layer: String, the name of a layer; inside others its path, `"block/norm"`. None means the model's output.
        input_shape: Shape of the image without the batch. None takes the model's own, and tries larger ones where it
            leaves sides open, or where its border cuts size, stride and offset short.

    Returns:
        A `ReceptiveField`.

    Raises:
        ValueError: If there is no such layer, the model has several outputs, the shape of its image is not known, or
            its `call` cannot be read.

    >>> import keras
    >>> model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(8, 3, strides=2, padding="same")])
    >>> receptive_field(model)
    axis    size  stride  offset
    height     3       2       1
    width      3       2       1
    """
    own = image_shape(model, input_shape)
    field = problem = None
    for side, margin in zip(OPEN_SIDES, MARGINS, strict=True):
        shape = [side if length is None else length + margin for length in own[:2]]
        try:
            found = field_on(model, layer, (*shape, own[2]))
        except NotImplementedError as error:  # too small an image, or one of a size that does not suit the model
            problem = error
            if None not in own and field is None:
                break
            continue
        field = found if None in own or field is None else with_numbers(field, found)
        if input_shape or found.probed or all(axis.settled(min(shape)) for axis in (found.height, found.width)):
            break
    if field is None:
        fail(
            f"{model.name} does not run on symbolic tensors of shape {own}.",
            "a model that computes with layers and keras.ops, and an image that is large enough",
            " ".join(str(problem).split())[:300],
            "Pass another `input_shape`, or use measured_receptive_field.",
        )
    return field


def with_numbers(field, larger):
    """Return a field with the numbers that a larger image gave, in place of those that its own border cut."""
    height, width = (
        dataclasses.replace(other, first=own.first, last=own.last, side=own.side)
        for own, other in ((field.height, larger.height), (field.width, larger.width))
    )
    return ReceptiveField(height, width, larger.probed)


def image_shape(model, input_shape):
    """Return the shape of a model's image without the batch, None where a side is open."""
    if input_shape is None:
        inputs = getattr(model, "inputs", None) or []
        input_shape = inputs[0].shape[1:] if len(inputs) == 1 else ()
    if len(input_shape) != 3 or input_shape[-1] is None:
        fail(
            f"{model.name} does not tell the shape of its image.",
            "a model with one input, (batch, height, width, channels), or `input_shape`",
            f"input_shape={tuple(input_shape)}",
            "Pass for example input_shape=(64, 64, 3).",
        )
    return tuple(input_shape)


def field_on(model, layer, shape):
    """Return the receptive field on an image of one size."""
    trace = propagate(model, (1, *shape))
    if layer is not None:
        seen = trace.layers[check_layer(layer, trace.layers)]
    elif len(trace.outputs) == 1:
        seen = trace.outputs[0]
    else:
        fail(
            f"{model.name} has {len(trace.outputs)} outputs.",
            "`layer`, the name of one",
            "layer=None",
            f"Pass one of its layers, for example layer={next(reversed(trace.layers))!r}.",
        )
    height, width = (axis_field(one, axis, shape[axis - 1]) for one, axis in zip(seen, (1, 2), strict=True))
    return ReceptiveField(height, width, tuple(trace.probed))


def axis_field(seen, axis, side):
    """Return the field along one axis; an output that is no map, such as class scores, is a single position."""
    rank = len(seen.shape)
    others = tuple(i for i in range(rank) if rank != 4 or i != axis)
    positions = seen.shape[axis] if rank == 4 else 1
    ends = seen.first.min(others), seen.last.max(others), seen.edge.any(others)
    first, last, edge = (np.broadcast_to(values.ravel(), positions) for values in ends)
    inside = ~edge & (first <= last)
    size = (last - first + 1)[inside if inside.any() else slice(None)]
    stride, offset = pace(first, last, inside)
    return AxisField(first, last, side, max(0, int(size.max())), stride, offset, seen.whole, not inside.any())


def pace(first, last, inside):
    """Return stride and offset of the fields that lie inside: after some outputs the same comes again, shifted."""
    at = np.flatnonzero(inside)
    if len(at) < 2:
        return None, None
    at = np.arange(at[0], at[-1] + 1)
    ends = np.where(first <= last, [first, last], np.nan)[:, at]
    for period in range(1, len(at) // 2 + 1):
        shifts = ends[:, period:] - ends[:, :-period]
        known = shifts[~np.isnan(shifts)]
        if known.size and np.all(known == known[0]):
            stride = known[0] / period
            centres = ends[:, :period].mean(axis=0) - stride * at[:period]
            return float(stride), float(np.nanmean(centres))
    return None, None
