import numpy as np
import skimage.measure
from keras import ops


def objects(probabilities, threshold=0.5, min_area=1):
    """Return the objects in a predicted mask: its connected parts, numbered 1, 2, ...

    Parts that touch at a corner only are apart. Two nuclei that the mask merges are one object: so train on masks
    without the `dlt.data.borders` between them.

    Args:
        probabilities: Array of shape `(height, width, 1)`.
        threshold: Float; what is above it belongs to an object.
        min_area: Whole number of pixels; smaller parts are taken for dirt.

    Returns:
        int32 array of shape `(height, width, 1)`.

    >>> mask = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]])[..., None]
    >>> objects(mask)[..., 0].tolist()
    [[1, 1, 0, 0], [0, 0, 2, 0], [0, 0, 2, 2]]
    """
    labels = skimage.measure.label(ops.convert_to_numpy(probabilities)[..., 0] > threshold, connectivity=1)
    areas = np.bincount(labels.ravel())
    kept = areas >= min_area
    kept[0] = False
    return (np.cumsum(kept) * kept)[labels].astype("int32")[..., None]
