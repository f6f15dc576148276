import dataclasses

import keras
import numpy as np
from keras import ops

from dlt._check import check_positive_int, fail
from dlt.measure._gradients import input_gradient, layer_output, middle, random_weights
from dlt.measure._propagate import check_channels_last
from dlt.measure.receptive_field import image_shape
from dlt.show import Table

OPEN_SIDES = (32, 64, 128, 256)  # tried in turn for an open side, until the field fits in
PIXELS_AT_ONCE = 2**16  # images per gradient: as many as make up this


@dataclasses.dataclass(frozen=True, repr=False)
class MeasuredReceptiveField(Table):
    """Which input pixels have changed one output.

    Attributes:
        pixels: Boolean array of the image's height and width, True for each pixel that has.
        position: `(row, column)` of the output; None if the output is no map.
    """

    pixels: np.ndarray
    position: tuple | None

    def interval(self) -> tuple:
        """Return `((top, bottom), (left, right))`, both ends included; an axis without any pixel is None."""
        seen = (np.flatnonzero(self.pixels.any(axis)) for axis in (1, 0))
        return tuple((int(at[0]), int(at[-1])) if len(at) else None for at in seen)

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width of the rectangle around all pixels that count."""
        height, width = (ends[1] - ends[0] + 1 if ends else 0 for ends in self.interval())
        return height, width

    @property
    def cut(self) -> bool:
        """Return whether the field touches the border, and may go on beyond it."""
        sides = zip(self.interval(), self.pixels.shape, strict=True)
        return any(ends is not None and (ends[0] == 0 or ends[1] == side - 1) for ends, side in sides)

    def rows(self) -> list[tuple]:
        """Return a row per axis, and the number of pixels."""
        rows = [
            (name, size, *(ends or ("-", "-")))
            for name, size, ends in zip(("height", "width"), self.size, self.interval(), strict=True)
        ]
        return [("axis", "size", "first", "last"), *rows, ("pixels", int(self.pixels.sum()), "", "")]

    def plot(self):
        """Return a figure of the image, with the pixels that count in white."""
        from dlt.plot import images

        return images({f"{self.size[0]} x {self.size[1]} pixels": self.pixels}, side=4, limits=(0, 1))


def measured_receptive_field(
    model: keras.Layer,
    layer: str | None = None,
    input_shape: tuple | None = None,
    position: tuple[int, int] | None = None,
    draws: int = 16,
    seed: int = 0,
) -> MeasuredReceptiveField:
    """Find out by trying which input pixels change an output of a model, of any kind, or of a layer inside.

    For random images, the output at one position is differentiated with respect to every pixel: a pixel counts once
    its derivative is not zero. Moving pixels and comparing outputs would be the obvious way, but it misses the rim of
    deep fields, whose influence is smaller than the rounding error of the output; a derivative of 1e-30 is still not
    zero. ReLU and max pooling pass on only part of the pixels of one image, hence the several draws.

    What comes out is a lower bound, and about these very weights: a factor that is zero, such as a fresh gamma, hides
    whatever lies behind it. And on a GPU, convolutions computed through transforms (Winograd, FFT) can smear rounding
    errors over neighbours.

    Args:
        model: A built Keras model with one input, `(batch, height, width, channels)`.
        layer: String, the name of a layer; inside others its path, `"block/norm"`. None means the model's output.
        input_shape: Shape of the image without the batch. None takes the model's own; where that leaves sides open,
            larger and larger ones are tried until the field fits in.
        position: `(row, column)` of the output; None takes the middle.
        draws: Whole number of random images. Without ReLU and max pooling, two are enough.
        seed: Whole number, for the images.

    Returns:
        A `MeasuredReceptiveField`.

    Raises:
        ValueError: If the shape of the image is not known or it has its channels first, there is no such layer or there
            are several, it has several outputs, or derivatives are not finite, or zero although the output depends on
            the image.

    >>> import keras
    >>> model = keras.Sequential([keras.Input((9, 9, 1)), keras.layers.Conv2D(4, 3, padding="same", dilation_rate=2)])
    >>> measured_receptive_field(model)
    axis    size  first  last
    height     5      2     6
    width      5      2     6
    pixels     9
    """
    check_positive_int("draws", draws)
    height, width, channels = image_shape(model, input_shape)
    for side in OPEN_SIDES:
        field = probe((height or side, width or side, channels), model, layer, position, draws, seed)
        if not field.cut or None not in (height, width):
            break
    return field


def probe(shape, model, layer, position, draws, seed):
    """Return the measured field on images of one size."""
    rng = np.random.default_rng(seed)
    check_channels_last(model, shape)
    output_shape = layer_output(model, layer)(np.zeros((1, *shape), "float32")).shape[1:]
    position = (position or middle(output_shape)) if len(output_shape) == 3 else None
    batch = max(1, PIXELS_AT_ONCE // (shape[0] * shape[1]))
    pixels = np.zeros(shape[:2], bool)
    for start in range(0, draws, batch):
        images = rng.normal(size=(min(batch, draws - start), *shape))
        weights = random_weights(rng, len(images), output_shape, position)
        gradient = input_gradient(model, images, weights, layer)
        if not np.isfinite(gradient).all():
            fail(
                f"Derivatives of {model.name} are not finite.",
                "finite ones",
                f"layer={layer!r}",
                "Look for a division by zero or an overflow, or ask for an earlier `layer`.",
            )
        pixels |= (gradient != 0).any(axis=(0, 3))
    if not pixels.any():
        check_constant(model, layer, position, 100 * rng.normal(size=(2, *shape)))
    return MeasuredReceptiveField(pixels, position)


def check_constant(model, layer, position, images):
    """Raise if two images give different outputs at a position all derivatives of which are zero."""
    one, other = ops.convert_to_numpy(layer_output(model, layer)(images.astype("float32")))
    if not np.array_equal(one[position or ...], other[position or ...]):
        fail(
            f"Derivatives of {model.name} are all zero, although its output depends on the image.",
            "a model without steps such as round, sign or argmax, whose derivative is zero",
            f"layer={layer!r}",
            "Use receptive_field, or ask for an earlier `layer`.",
        )
