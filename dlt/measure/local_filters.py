import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from dlt._check import check_images, fail
from dlt._precision import full_float32
from dlt.measure._gradients import input_gradient, layer_output
from dlt.measure._propagate import check_channels_last
from dlt.show import Table

ROWS_AT_ONCE = 64  # rows of the Jacobian that one backward pass computes


@dataclasses.dataclass(frozen=True, repr=False)
class LocalFilters(Table):
    """The weights with which a network sums up its input, at a few pixels of one image.

    Attributes:
        pixels: Tuple of `(row, column)`, or `(row, column, channel)`, of the output.
        filters: Float32 array of shape `(pixels, height, width, channels)`: a row of the Jacobian each.
        outputs: Tuple of floats, what the network gives at these pixels.
        sums: Tuple of floats, what the filters give: the sum of filter times image.
    """

    pixels: tuple
    filters: np.ndarray
    outputs: tuple
    sums: tuple

    @property
    def error(self) -> float:
        """Return how far the sums are from the outputs, the norm of the difference over that of the outputs."""
        return float(np.linalg.norm(np.subtract(self.sums, self.outputs)) / np.linalg.norm(self.outputs))

    def rows(self) -> list[tuple]:
        """Return a row per pixel."""
        found = zip(self.pixels, self.outputs, self.sums, strict=True)
        header = ("pixel", "output", "filter times image")
        return [header, *((pixel, f"{output:.5f}", f"{total:.5f}") for pixel, output, total in found)]

    def plot(self, radius: int = 8) -> Any:
        """Draw the filters around their pixels, each in its own scale; blue is negative and red positive."""
        from dlt.plot import images  # matplotlib is slow to import, and only figures need it

        pictures = {}
        for (row, column, *_), kernel in zip(self.pixels, self.filters, strict=True):
            padded = np.pad(kernel.mean(-1), radius)
            window = padded[row : row + 2 * radius + 1, column : column + 2 * radius + 1]
            pictures[f"({row}, {column})"] = window / (np.abs(window).max() or 1)
        return images(pictures, cmap="seismic", limits=(-1, 1))


@full_float32()
def local_filters(model: keras.Layer, image: np.ndarray, pixels: Sequence[tuple]) -> LocalFilters:
    """Return the linear filters that a network amounts to, at some pixels of one image.

    At every image a network has a derivative, the Jacobian J(x); its row for an output pixel says with which weight
    each input pixel counts there. For a network with `f(a x) = a f(x)`, Euler's theorem says that this is not only how
    the output changes but what it is: `f(x) = J(x) x`, exactly. `error` tells whether it holds for this one.

    Reference: Mohan et al. 2020, "Robust and interpretable blind image denoising via bias-free convolutional neural
    networks" (https://arxiv.org/abs/1906.05478).

    Args:
        model: A built Keras model or layer, image in, image out.
        image: Array of shape `(height, width, channels)`.
        pixels: Sequence of `(row, column)` of the output, for its first channel, or of `(row, column, channel)`.

    Returns:
        A `LocalFilters`.

    Raises:
        ValueError: If `image` is not an image or has its channels first, there are several outputs, the output is no
            map, or a pixel lies outside it.

    >>> import keras
    >>> blur = keras.Sequential([keras.Input((5, 5, 1)), keras.layers.AveragePooling2D(3, 1)])
    >>> found = local_filters(blur, np.ones((5, 5, 1)), [(1, 1)])
    >>> found.filters.shape, bool(np.allclose(found.filters[0, 1:4, 1:4], 1 / 9))
    ((1, 5, 5, 1), True)
    """
    image, output = one_image(model, image)
    full = tuple((*map(int, pixel), 0)[:3] for pixel in pixels)
    weights = np.zeros((len(full), *output.shape), "float32")
    for i, (pixel, asked) in enumerate(zip(full, pixels, strict=True)):
        if any(not 0 <= at < side for at, side in zip(pixel, output.shape, strict=True)):
            fail(
                "There is no such pixel.",
                f"(row, column) or (row, column, channel) within an output of shape {output.shape}",
                f"{tuple(asked)}",
                "Count from 0.",
            )
        weights[(i, *pixel)] = 1
    filters = rows_of_jacobian(model, image, weights)
    sums = np.einsum("nhwc,hwc->n", filters.astype("float64"), image)
    outputs = tuple(float(output[pixel]) for pixel in full)
    return LocalFilters(tuple(map(tuple, pixels)), filters, outputs, tuple(sums.tolist()))


@full_float32()
def jacobian(model: keras.Layer, image: np.ndarray) -> np.ndarray:
    """Return the whole Jacobian of a network at one image: what every output is made of.

    Its singular vectors are the patterns that the network keeps, its singular values how much of them.

    A row per output number and a column per input number, both in the order of `ravel()`. It has as many entries as
    the square of the image, so keep the image small: 32 x 32 grey pixels make a million, 64 x 64 make 17 million.

    Args:
        model: A built Keras model or layer, image in, image out.
        image: Array of shape `(height, width, channels)`.

    Returns:
        A float32 array of shape `(numbers of the output, numbers of the input)`.

    Raises:
        ValueError: If `image` is not an image or has its channels first, there are several outputs, or the output is no
            map.

    >>> import keras
    >>> double = keras.Sequential([keras.Input((2, 1, 1)), keras.layers.Rescaling(2.0)])
    >>> bool((jacobian(double, np.ones((2, 1, 1))) == 2 * np.eye(2)).all())
    True
    """
    image, output = one_image(model, image)
    rows = []
    for start in range(0, output.size, ROWS_AT_ONCE):
        count = min(ROWS_AT_ONCE, output.size - start)
        weights = np.eye(count, output.size, start, dtype="float32").reshape(count, *output.shape)
        rows.append(rows_of_jacobian(model, image, weights).reshape(count, -1))
    return np.concatenate(rows)


def one_image(model, image):
    """Return the image and the output of a model for it, both float32 and without the batch."""
    image = ops.convert_to_numpy(image).astype("float32")
    check_images("local_filters", (1, *image.shape))
    check_channels_last(model, image.shape)
    output = ops.convert_to_numpy(layer_output(model)(image[None]))[0]
    if output.ndim != 3:
        fail(
            f"{model.name} gives no map, so it has no filters.",
            "one output of shape (height, width, channels)",
            f"an output of shape {output.shape}",
            "For another output, use keras.Model(model.input, model.get_layer(name).output).",
        )
    return image, output


def rows_of_jacobian(model, image, weights):
    """Return the gradient at one image of each of several weighted sums of the output."""
    parts = [weights[i : i + ROWS_AT_ONCE] for i in range(0, len(weights), ROWS_AT_ONCE)]
    return np.concatenate([input_gradient(model, np.repeat(image[None], len(part), 0), part) for part in parts])
