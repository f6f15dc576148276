import dataclasses

import numpy as np
from keras import ops

from dlt._check import check_images, check_positive_int, fail
from dlt._precision import full_float32
from dlt.measure._table import Table
from dlt.measure.homogeneity import outputs_of


@dataclasses.dataclass(frozen=True, repr=False)
class TranslationError(Table):
    """How much an output changes, beyond moving along, when the picture moves.

    Attributes:
        shifts: Tuple of whole numbers, how far the picture moved, in pixels, down and to the right.
        errors: Tuple of floats, one per shift: `||f(T x) - T f(x)|| / ||T f(x)||`.
        stride: Whole number of input pixels per pixel of the output map; None where the output has no map.
    """

    shifts: tuple
    errors: tuple
    stride: int | None

    @property
    def error(self):
        """Return the largest error over the shifts."""
        return max(self.errors)

    def rows(self):
        """Return a row per shift."""
        kind = "output without a map" if self.stride is None else f"output stride {self.stride}"
        errors = zip(self.shifts, self.errors, strict=True)
        return [("shift in pixels", f"error ({kind})"), *((shift, f"{error:.1e}") for shift, error in errors)]

    def plot(self, **others):
        """Draw the error over the shift; `others`, label -> `TranslationError` of the same shifts, are drawn too."""
        from dlt.plot import curves  # matplotlib is slow to import, and only figures need it

        lines = {"translation error": self.errors, **{label: other.errors for label, other in others.items()}}
        return curves(lines, x=self.shifts, xlabel="shift in pixels", ylabel="relative error")


@full_float32()
def translation_error(model, images, shifts=(1, 2, 4, 8), margin=0):
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

    Returns:
        A `TranslationError`.

    Raises:
        ValueError: If `images` are no images, a shift is no positive whole number, or nothing is left to compare.

    >>> from keras import layers
    >>> images = np.random.default_rng(0).normal(size=(1, 32, 32, 3)).astype("float32")
    >>> translation_error(layers.Conv2D(4, 3, padding="valid"), images).error < 1e-5
    True
    """
    images = ops.convert_to_numpy(images)
    check_images("translation_error", images.shape)
    shifts = tuple(check_positive_int("shifts", shift) for shift in shifts)
    height, width = (side - max(shifts) for side in images.shape[1:3])
    if min(height, width) < 1:
        fail(
            "The images are too small to be moved this far.",
            "shifts that are smaller than both sides",
            f"shifts={shifts}, images of {images.shape[1]} x {images.shape[2]} pixels",
            "Pass larger images or smaller shifts.",
        )
    first, *moved = (outputs_of(model, images[:, d : d + height, d : d + width])[0] for d in (0, *shifts))
    stride = None
    if first.ndim == 4:
        stride = max(1, round(height / first.shape[1]))
        first, *moved = (y.repeat(stride, axis=1).repeat(stride, axis=2) for y in (first, *moved))
    return TranslationError(
        shifts, tuple(difference(first, y, d, margin) for d, y in zip(shifts, moved, strict=True)), stride
    )


def difference(first, moved, shift, margin):
    """Return the relative difference of two outputs where the windows they are of overlap."""
    if first.ndim == 4:
        first, moved = first[:, shift:, shift:], moved[:, : -shift or None, : -shift or None]
        inner = slice(margin, -margin or None)
        first, moved = first[:, inner, inner], moved[:, inner, inner]
    length = np.linalg.norm(first)
    if not length:
        fail(
            "Nothing is left to compare.",
            "outputs that overlap, and are not zero everywhere",
            f"shift={shift}, margin={margin}, overlap of shape {first.shape}",
            "Pass larger images, smaller shifts, or a smaller margin.",
        )
    return float(np.linalg.norm(moved - first) / length)
