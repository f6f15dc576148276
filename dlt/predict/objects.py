from typing import Any

import numpy as np
import skimage.measure
import skimage.morphology
import skimage.segmentation
from keras import ops
from scipy import ndimage

from dlt._arrays import WHITE, check_image, is_float, lies_between
from dlt._check import check_choice, check_fraction, check_positive_int, fail

PIXELS = 1.0  # how much deeper than its neck a part of a clump is
RELATIVE = 0.2  # the same of a predicted depth, which is 1 in the middle of each object
CROSS = ndimage.generate_binary_structure(2, 1)


def objects(
    probabilities: Any, threshold: float = 0.5, min_area: int = 1, method: str = "connected", confidence: float = 0.0
) -> np.ndarray:
    """Return the objects in a predicted mask, numbered 1, 2, ...

    - "connected": the connected components of the mask. Parts that touch at a corner only are apart. Two nuclei that
      the mask merges are one object: so train on masks without the `dlt.data.borders` between them.
    - "watershed": components are also cut at their necks. The distance of a pixel to the background is its depth, and
      every maximum that lies more than a pixel deeper than the way from it to a deeper one gets a basin of its own.
      That parts round objects that touch, and may cut long ones. Where a second channel predicts how deep a pixel lies
      in its object (`dlt.data.edge_distance`), the basins are those of this depth, whatever the shape of the mask.
      Of this depth a maximum counts that rises by more than 0.2.

    Reference: Meyer 1994, "Topographic distance and watershed lines" (https://doi.org/10.1016/0165-1684(94)90060-4).

    Args:
        probabilities: Array of shape `(height, width, 1)`: probabilities, or a mask of booleans, of 0 and 1, or (as
            uint8) of 0 and 255. With a second channel, the depth from 0 to 1.
        threshold: Float in [0, 1); what is above it belongs to an object.
        min_area: Whole number of pixels; smaller parts are taken for dirt.
        method: String, "connected" or "watershed".
        confidence: Float in [0, 1); an object whose pixels have a mean probability that is not above it is left out.

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
    check_image("objects", mask.shape, channels=(1, 2))
    highest = WHITE.get(mask.dtype.name, 1)
    if not (lies_between(mask, 0, 1) if is_float(mask) else np.isin(mask, (0, 1, highest)).all()):
        fail(
            "These are no probabilities.",
            "floats from 0 to 1, or a mask",
            f"{mask.dtype} from {mask.min()} to {mask.max()}",
            "Take the sigmoid of a network's logits; compare a grey image with a threshold, `image > 90`.",
        )
    threshold = check_fraction("threshold", threshold, "Pass for example 0.5.")
    inside = mask[..., 0] > threshold
    if check_choice("method", method, METHODS) == "connected":
        labels = connected(inside)
    else:
        labels = watershed(inside, mask[..., 1] if mask.shape[-1] == 2 else None)
    areas = np.bincount(labels.ravel())
    means = np.bincount(labels.ravel(), mask[..., 0].ravel()) / np.maximum(areas, 1)
    kept = areas >= check_positive_int("min_area", min_area)
    kept &= means > check_fraction("confidence", confidence, "Pass for example 0.8.")
    kept[0] = False
    return (np.cumsum(kept) * kept)[labels].astype("int32")[..., None]


def connected(mask: np.ndarray) -> np.ndarray:
    """Return the connected components of a boolean mask."""
    return skimage.measure.label(mask, connectivity=1)


def watershed(mask: np.ndarray, depth: np.ndarray | None = None) -> np.ndarray:
    """Return the basins of a boolean mask's depth, by default the distance to the background, in pixels.

    (`skimage.morphology.h_maxima` is for whole numbers: of floats it gives maxima that are none.)
    """
    step = PIXELS if depth is None else RELATIVE
    if depth is None:  # where there is no background nothing has a neck
        depth = np.ones(mask.shape) if mask.all() else ndimage.distance_transform_edt(mask)
    # background around all: a part of one pixel, or one that fills the image, has a maximum too
    depth = np.pad(np.where(mask, depth, -2 * step), 1, constant_values=-2 * step)
    flooded = skimage.morphology.reconstruction(depth - step, depth, footprint=CROSS)
    seeds = skimage.measure.label(skimage.morphology.local_maxima(flooded, connectivity=1), connectivity=1)
    return skimage.segmentation.watershed(-depth, seeds, mask=np.pad(mask, 1))[1:-1, 1:-1]


METHODS = {"connected": connected, "watershed": watershed}
