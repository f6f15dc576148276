import dataclasses
from collections.abc import Callable, Sequence
from fractions import Fraction

import keras
import numpy as np
from keras import ops

from dlt._check import check_images, check_positive_int, fail
from dlt._precision import full_float32
from dlt.measure._propagate import check_channels_last
from dlt.measure.homogeneity import outputs_of
from dlt.measure.receptive_field import place
from dlt.show import Table

GROWTH = 576  # pixels


@dataclasses.dataclass(frozen=True, repr=False)
class TranslationError(Table):
    """How much an output changes, beyond moving along, when the picture moves.

    Attributes:
        shifts: Tuple of whole numbers, how far the picture moved, in pixels, down and to the right.
        errors: Tuple of floats, one per shift: `||f(T x) - T f(x)|| / ||T f(x)||`.
        stride: Number of input pixels per pixel of the output map, below 1 if that is the larger one; a pair, down and
            right, if they differ; None where the output has no map.
    """

    shifts: tuple
    errors: tuple
    stride: float | tuple[float, float] | None

    @property
    def error(self) -> float:
        """Return the largest error over the shifts."""
        return max(self.errors)

    def rows(self) -> list[tuple]:
        """Return a row per shift."""
        steps = " x ".join(f"{step:g}" for step in np.atleast_1d(self.stride if self.stride is not None else ()))
        kind = f"output stride {steps}" if steps else "output without a map"
        errors = zip(self.shifts, self.errors, strict=True)
        return [("shift in pixels", f"error ({kind})"), *((shift, f"{error:.1e}") for shift, error in errors)]

    def plot(self, **others):
        """Draw the error over the shift; `others`, label -> `TranslationError` of the same shifts, are drawn too."""
        from dlt.plot import curves  # matplotlib is slow to import, and only figures need it

        lines = {"translation error": self.errors, **{label: other.errors for label, other in others.items()}}
        return curves(lines, x=self.shifts, xlabel="shift in pixels", ylabel="relative error")


@full_float32()
def translation_error(
    model: Callable,
    images: np.ndarray,
    shifts: Sequence[int] = (1, 2, 4, 8),
    margin: int = 0,
    stride: float | tuple[float, float] | None = None,
) -> TranslationError:
    """Measure whether a network follows when the picture moves.

    Two windows are cut from each image, one of them moved by d pixels; so what enters at the border is real, and not
    zeros. A network whose output is a map should give the same map, moved by d pixels. Maps are compared at the
    resolution of the image (each value of a map of stride s covers s x s pixels), where both windows overlap; so a map
    of stride s cannot follow a shift by less than s, and that counts as an error. An output without a map, a class
    for example, should not change at all.

    What goes wrong, and how to tell: strides and pooling (errors at shifts that are not a multiple of the stride;
    Zhang 2019, https://arxiv.org/abs/1904.11486), padding at the border (gone with a large enough `margin`), and
    layers that know the position (at every shift).

    Args:
        model: A Keras model or layer with one output, or a function.
        images: Array of shape `(batch, height, width, channels)`. The network sees windows that are smaller by the
            largest shift.
        shifts: Positive whole numbers, in pixels.
        margin: Whole number of pixels, left out at each border of the overlap: half a receptive field hides padding.
        stride: How many pixels the input moves per pixel of the output map; a pair if that differs between height and
            width. None reads it off the exact receptive field, or off how the map grows with the image.

    Returns:
        A `TranslationError`.

    Raises:
        ValueError: If `images` are no images or have their channels first, a shift is no positive whole number, the
            network has several outputs or gives numbers that are not finite, the stride cannot be told, or nothing is
            left to compare.

    >>> from keras import layers
    >>> images = np.random.default_rng(0).normal(size=(1, 32, 32, 3)).astype("float32")
    >>> translation_error(layers.Conv2D(4, 3, padding="valid"), images).error < 1e-5
    True
    """
    images = ops.convert_to_numpy(images)
    check_images("translation_error", images.shape)
    check_channels_last(model, images.shape[1:])
    shifts = tuple(check_positive_int("shifts", shift) for shift in shifts)
    height, width = (side - max(shifts) for side in images.shape[1:3])
    if min(height, width) < 1:
        fail(
            "The images are too small to be moved this far.",
            "shifts that are smaller than both sides",
            f"shifts={shifts}, images of {images.shape[1]} x {images.shape[2]} pixels",
            "Pass larger images or smaller shifts.",
        )
    first, *moved = (one_of(outputs_of(model, images[:, d : d + height, d : d + width])) for d in (0, *shifts))
    if first.ndim != 4:
        return TranslationError(
            shifts, tuple(relative(first, y, d, margin) for d, y in zip(shifts, moved, strict=True)), None
        )
    steps = steps_of(model, (height, width, images.shape[3]), stride)
    pairs = [overlap(first, y, d, steps, margin) for d, y in zip(shifts, moved, strict=True)]
    errors = [relative(still, y, d, margin) for d, (still, y) in zip(shifts, pairs, strict=True)]
    rows, columns = (int(step) if step.denominator == 1 else float(step) for step in steps)
    return TranslationError(shifts, tuple(errors), rows if rows == columns else (rows, columns))


def one_of(outputs):
    """Return the only output of a network, if it is finite."""
    if len(outputs) != 1 or not np.isfinite(outputs[0]).all():
        fail(
            "Outputs cannot be compared.",
            "a network with one output, all numbers of which are finite",
            f"outputs of shapes {', '.join(str(y.shape) for y in outputs)}",
            "Pass a function that picks one output, and look for an overflow.",
        )
    return outputs[0]


class Function(keras.Layer):
    """A function as a layer, so that its graph can be read."""

    def __init__(self, function):
        super().__init__(name="function")
        self._function = lambda images: function(images)  # behind a function, a model is not tracked as a sublayer

    def call(self, images):
        """Return what the function gives."""
        return self._function(images)


def steps_of(model, shape, stride):
    """Return how many pixels of the image one of the map is, down and right, as fractions."""
    steps = (stride, stride) if stride is None or np.ndim(stride) == 0 else tuple(stride)
    if None in steps:
        field = place(model if isinstance(model, keras.Layer) else Function(model), None, shape)
        steps = field.stride if field and not field.at_most else (None, None)
    if None in steps:
        steps = growth(model, shape)
    if len(steps) != 2 or any(step is None or not 0 < step < np.inf for step in steps):
        fail(
            "How far the output should move cannot be told.",
            "a map that moves with the image, at a steady pace",
            f"stride={stride}, for images of shape {shape}",
            "Pass `stride`, the number of pixels of the image per pixel of the map.",
        )
    return tuple(Fraction(step).limit_denominator(1000) for step in steps)


def growth(model, shape):
    """Return by how many pixels an image has to grow for one more pixel of the map; None where that is not known."""
    traced, sides = Function(model), []
    for more in (0, GROWTH):
        image = keras.KerasTensor((1, shape[0] + more, shape[1] + more, shape[2]))
        try:
            sides.append(traced.compute_output_spec(image).shape[1:3])
        except Exception:  # a function fails on another size in any way it likes; then this is not the way to know
            return None, None
    return tuple(GROWTH / (large - small) if large > small else None for small, large in zip(*sides, strict=True))


def overlap(first, moved, shift, steps, margin):
    """Return two maps where the windows they are of overlap, at a resolution at which the shift is whole."""
    for axis, step in zip((1, 2), steps, strict=True):
        first, moved = (y.repeat(step.numerator, axis=axis) for y in (first, moved))
        by, cut = shift * step.denominator, margin * step.denominator
        n = first.shape[axis]
        first = first.take(range(by + cut, n - cut), axis=axis)
        moved = moved.take(range(cut, n - by - cut), axis=axis)
    return first, moved


def relative(first, moved, shift, margin):
    """Return the relative difference of two outputs."""
    length = np.linalg.norm(first)
    if not length:
        fail(
            "Nothing is left to compare.",
            "outputs that overlap, and are not zero everywhere",
            f"shift={shift}, margin={margin}, overlap of shape {first.shape}",
            "Pass larger images, smaller shifts, or a smaller margin.",
        )
    return float(np.linalg.norm(moved - first) / length)
