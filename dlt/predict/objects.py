from typing import Any

import numpy as np
import skimage.measure
from keras import ops

from dlt._arrays import WHITE, check_image, is_float, lies_between
from dlt._check import check_fraction, check_positive_int, fail


def objects(probabilities: Any, threshold: float = 0.5, min_area: int = 1) -> np.ndarray:
    """Return the objects in a predicted mask: its connected parts, numbered 1, 2, ...

    Parts that touch at a corner only are apart. Two nuclei that the mask merges are one object: so train on masks
    without the `dlt.data.borders` between them.

    Args:
        probabilities: Array of shape `(height, width, 1)`: probabilities, or a mask of booleans, of 0 and 1, or (as
            uint8) of 0 and 255.
        threshold: Float in [0, 1); what is above it belongs to an object.
        min_area: Whole number of pixels; smaller parts are taken for dirt.

    Returns:
        int32 array of shape `(height, width, 1)`.

    Raises:
        ValueError: If `probabilities` is not one image, or neither probabilities nor a mask, or a number is out of
            range.

    >>> mask = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]])[..., None]
    >>> objects(mask)[..., 0].tolist()
    [[1, 1, 0, 0], [0, 0, 2, 0], [0, 0, 2, 2]]
    """
    mask = ops.convert_to_numpy(probabilities)
    check_image("objects", mask.shape, channels=(1,))
    highest = WHITE.get(str(mask.dtype), 1)
    if not (lies_between(mask, 0, 1) if is_float(mask) else np.isin(mask, (0, 1, highest)).all()):
        fail(
            "These are no probabilities.",
            "floats from 0 to 1, or a mask",
            f"{mask.dtype} from {mask.min()} to {mask.max()}",
            "Take the sigmoid of a network's logits; compare a grey image with a threshold, `image > 90`.",
        )
    threshold = check_fraction("threshold", threshold, "Pass for example 0.5.")
    labels = skimage.measure.label(mask[..., 0] > threshold, connectivity=1)
    areas = np.bincount(labels.ravel())
    kept = areas >= check_positive_int("min_area", min_area)
    kept[0] = False
    return (np.cumsum(kept) * kept)[labels].astype("int32")[..., None]
