import numpy as np
from scipy import ndimage

from dlt._arrays import check_image, check_labels, renumbered


def edge_distance(labels: np.ndarray) -> np.ndarray:
    """Return how deep in its object every pixel lies: near 0 at the object's edge, 1 where it is deepest.

    A network that predicts it tells objects apart that touch: the mask goes on from one to the next, and the depth of
    both ends where they meet. It is relative to the object, so that small ones stand as high as large ones, and zooming
    does not change it. The edge of the image is none of an object's: there it goes on.

    Reference: Naylor et al. 2019, "Segmentation of nuclei in histopathology images by deep regression of the distance
    map" (https://doi.org/10.1109/TMI.2018.2865709); there in pixels.

    Args:
        labels: Whole-number array of shape `(height, width, 1)`: 0 for the background, and 1, 2, ... for the objects.

    Returns:
        Float32 array of the same shape.

    Raises:
        ValueError: If `labels` is not one image, or a mask, which does not say where an object ends.

    >>> labels = np.array([[0, 1, 1, 1, 2, 2, 2, 0]])[..., None]
    >>> [round(depth, 2) for depth in edge_distance(labels)[0, :, 0].tolist()]
    [0.0, 0.33, 1.0, 0.33, 0.33, 1.0, 0.33, 0.0]
    """
    labels = np.asarray(labels)
    check_image("edge_distance", labels.shape, channels=(1,))
    check_labels("edge_distance", labels)
    flat = renumbered(labels[..., 0])
    depth = np.zeros(flat.shape, "float32")
    for number, box in enumerate(ndimage.find_objects(flat), start=1):
        if box is not None:
            window = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
            inside = flat[window] == number
            if inside.all():  # nothing else in the image: no pixel has an edge
                depth[window] = 1
                continue
            distance = ndimage.distance_transform_edt(inside) - 0.5  # an edge runs between two pixels
            depth[window][inside] = (distance / distance.max())[inside]
    return depth[..., None]
