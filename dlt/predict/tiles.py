from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from dlt._arrays import check_image
from dlt._check import check_positive_int, fail
from dlt.predict._answer import answer_of, mirrored


def tiles(model: keras.Model, image: Any, tile: int = 256, overlap: int = 64, multiple: int = 16) -> np.ndarray:
    """Predict an image too large for the memory, tile by tile, overlapping and blended so that no seam is seen.

    At the edge of a tile a network sees zeros in place of the image. So of each overlap the outer quarter of both tiles
    counts nothing, and in between one tile fades into the other. The result is that of the whole image where the
    network looks no further than a quarter of the overlap to each side (`dlt.measure.receptive_field`); a network with
    global pooling, as GRN and squeeze-and-excitation have it, sees another image in every tile, and blending can only
    hide that.

    Args:
        model: Keras model with one output of the size of its input.
        image: Array of shape `(height, width, channels)`.
        tile: Whole number, height and width of a tile; a multiple of `multiple`.
        overlap: Whole number of pixels that neighbouring tiles share, less than `tile`; a multiple of `multiple`, or 0.
        multiple: Whole number that the sides of a tile have to be divisible by. Tiles also begin at multiples of it, so
            that pooling cuts them as it cuts the whole image.

    Returns:
        NumPy array of shape `(height, width, any)`.

    Raises:
        ValueError: If a size is out of range, `image` is none, or the network's output has another size than its input.
    """
    multiple = check_positive_int("multiple", multiple)
    if check_positive_int("tile", tile) % multiple or overlap not in range(0, tile, multiple):
        fail(
            "Invalid `tile` or `overlap`.",
            f"multiples of {multiple}, and 0 <= overlap < tile",
            f"tile={tile}, overlap={overlap}",
            "Pass for example tile=256, overlap=64.",
        )
    image, overlap = ops.convert_to_numpy(image), int(overlap)
    check_image("dlt.predict.tiles", image.shape)
    height, width = image.shape[:2]
    whole = mirrored(image[None], multiple)
    total: np.ndarray | None = None
    weights = np.zeros((1, *whole.shape[1:3], 1), "float32")
    for rows, row_weights in spans(whole.shape[1], tile, overlap):
        for columns, column_weights in spans(whole.shape[2], tile, overlap):
            weight = (row_weights[:, None] * column_weights)[None, ..., None]
            answer = answer_of(model, whole[:, rows, columns])
            if total is None:
                total = np.zeros((*weights.shape[:3], answer.shape[-1]), "float32")
            total[:, rows, columns] += weight * answer
            weights[:, rows, columns] += weight
    return (total / weights)[0, :height, :width]


def spans(size: int, tile: int, overlap: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield, along one axis, where each tile lies and how much each of its pixels counts."""
    quarter = overlap // 4
    fade = np.clip((np.arange(overlap) - quarter + 0.5) / max(overlap - 2 * quarter, 1), 0, 1)
    starts = range(0, max(size - overlap, 1), tile - overlap)
    for start in starts:
        weight = np.ones(min(tile, size - start), "float32")
        if start > 0:
            weight[:overlap] *= fade
        if start != starts[-1] and overlap:
            weight[-overlap:] *= fade[::-1]
        yield slice(start, start + len(weight)), weight
