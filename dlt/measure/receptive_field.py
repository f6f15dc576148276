import dataclasses
import math

import keras

from dlt._check import fail
from dlt.measure._field import OPEN_SIDES, AxisField, ReceptiveField, axis_field
from dlt.measure._gradients import check_layer, check_one_input
from dlt.measure._pace import repeats
from dlt.measure._probe import MOST
from dlt.measure._propagate import propagate

__all__ = ["AxisField", "ReceptiveField", "receptive_field"]

MARGINS = (0, 576, 4608)  # added to sides that are fixed: at least that much, and whole strides of all maps inside


def receptive_field(model: keras.Layer, layer: str | None = None, input_shape: tuple | None = None) -> ReceptiveField:
    """Compute exactly which input pixels an output of a model, or of a layer inside, can depend on.

    The model is run on symbolic tensors, down to single operations, and each operation is asked which of its inputs
    an output reads: a convolution its window, a sum over the map everything, an activation only its own position.
    For kernel k, stride s and dilation d, without branches, that is the recursion

    `size += (k - 1) d stride`, `stride *= s`,

    but branches, borders, upsampling and nested models come out right as well. The answer is what the wiring allows at
    inference, whatever the weights: a kernel counts whole, also where a mask multiplies it by zero. Padding with "same"
    puts an odd zero at the end and so depends on the size of the image: `interval` is for the image asked about.

    What cannot be read is run on numbers: pixels are changed, and what moves depends on them. Such layers are listed
    under `probed`. Where that leaves a doubt (differences of the size of a rounding error, random numbers), or is not
    possible, the answer is "at most" (`at_most`): never less than the truth.

    Args:
        model: A built Keras model with one input, `(batch, height, width, channels)`.
        layer: String, the name of a layer; inside others its path, `"block/norm"`. None means the model's output.
        input_shape: Shape of the image without the batch. None takes the model's own, and tries larger ones where it
            leaves sides open, or where its border cuts size, stride and offset short.

    Returns:
        A `ReceptiveField`.

    Raises:
        ValueError: If there is no such layer or there are several, the model has several inputs or outputs, the shape
            of its image is not known, the image has its channels first, or the model's `call` cannot be read.

    >>> import keras
    >>> model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(8, 3, strides=2, padding="same")])
    >>> receptive_field(model)
    axis    size  stride  offset
    height     3       2       1
    width      3       2       1
    """
    own = image_shape(model, input_shape)
    field, problem = search(model, layer, own, MARGINS[: 1 if input_shape else None])
    if field is None:
        fail(
            f"{model.name} does not run on symbolic tensors of shape {own}.",
            "a model that computes with layers and keras.ops, and an image that is large enough",
            " ".join(str(problem).split())[:300],
            "Pass another `input_shape`, or use measured_receptive_field.",
        )
    return field


def place(model: keras.Layer, layer: str | None, shape: tuple) -> ReceptiveField | None:
    """Return what outputs see apart from sums over the entire image, and so where in the image they have their place.

    None where the model cannot be read.
    """
    return search(model, layer, tuple(shape), MARGINS[:2], local=True)[0]


def search(model, layer, own, margins, local=False):
    """Return the field on the model's own image, with the numbers of larger ones where that one is too small.

    If no image gives one, it is None; the last error comes with it.
    """
    field = problem = None
    for side, margin in zip(OPEN_SIDES, margins, strict=False):
        try:
            found, added = read(model, layer, own, side, margin, local, MOST if field is None else MOST // 4)
        except NotImplementedError as error:  # too small an image, or one of a size that does not suit the model
            problem = error
            if None not in own and field is None:
                break
            continue
        if field and (set(found.unknown) > set(field.unknown) or stays(field, found, added)):
            break  # too large to be probed, or of a fixed size inside: nothing to be learned from larger images
        field = combined(field, found, own, added) if field else found
        if found.height.settled and found.width.settled:
            break
    return field, problem


def stays(field, found, margins):
    """Return whether an output has as many positions as on a smaller image, more than one."""
    pairs = zip(margins, (field.height, field.width), (found.height, found.width), strict=True)
    return any(margin and 1 < len(one.first) == len(other.first) for margin, one, other in pairs)


def read(model, layer, own, side, margin, local, most):
    """Return the field on one image, and how much larger than the model's own its sides are.

    The sides that are open get a length, the others a margin: so many strides that all padding stays what it was.
    """
    margins = [0 if length is None else margin for length in own[:2]]
    for _ in range(2):  # not for ever: a map that always gets the same size has another stride each time
        shape = [side if length is None else length + more for length, more in zip(own[:2], margins, strict=True)]
        trace = propagate(model, (1, *shape, own[2]), local, most)
        periods = repeats(trace)
        rounded = [math.ceil(more / period) * period for more, period in zip(margins, periods, strict=True)]
        if rounded == margins or max(rounded) > 2 * MARGINS[-1]:
            break
        margins = rounded
    return field_of(trace, model, layer, shape, periods), margins


def combined(field, found, own, margins):
    """Return a field with the numbers that a larger image gave, where the model's own image was too small to tell."""
    axes = [
        larger if length is None else beyond(axis, larger, margin)
        for axis, larger, length, margin in zip(
            (field.height, field.width), (found.height, found.width), own[:2], margins, strict=True
        )
    ]
    return ReceptiveField(*axes, found.probed, found.unknown)


def beyond(own, larger, margin):
    """Return the field along an axis with the numbers of a larger image, if that one only continues it."""
    if own.settled:
        return own
    if larger.whole:
        return dataclasses.replace(own, whole=own.whole or own.cut, at_most=own.at_most or larger.at_most)
    if larger.stride is None or (len(larger.first) - len(own.first)) * larger.stride != margin:
        return own  # a map of fixed size, for example
    start = slice(len(own.first))
    same = (own.first == larger.first[start]) & (own.last == larger.last[start])
    if not same[own.inside].all():
        return own
    return dataclasses.replace(larger, first=own.first, last=own.last, side=own.side, inside=own.inside)


def image_shape(model, input_shape):
    """Return the shape of a model's image without the batch, None where a side is open."""
    inputs = getattr(model, "inputs", None) or []
    check_one_input(model, inputs)
    if input_shape is None:
        input_shape = inputs[0].shape[1:] if inputs else ()
    if len(input_shape) != 3 or input_shape[-1] is None:
        fail(
            f"{model.name} does not tell the shape of its image.",
            "a model with one input, (batch, height, width, channels), or `input_shape`",
            f"input_shape={tuple(input_shape)}",
            "Pass for example input_shape=(64, 64, 3).",
        )
    return tuple(input_shape)


def field_of(trace, model, layer, shape, periods):
    """Return the receptive field of an output that a walk through a model has found."""
    if layer is not None:
        pair = trace.layers[check_layer(layer, trace.layers, trace.ambiguous)]
    elif len(trace.outputs) == 1:
        pair = trace.outputs[0]
    else:
        fail(
            f"{model.name} has {len(trace.outputs)} outputs.",
            "`layer`, the name of one",
            "layer=None",
            f"Pass one of its layers, for example layer={next(reversed(trace.layers), 'conv')!r}.",
        )
    axes = (axis_field(pair, which, shape[which], periods[which]) for which in (0, 1))
    return ReceptiveField(*axes, tuple(trace.probed), tuple(trace.unknown))
