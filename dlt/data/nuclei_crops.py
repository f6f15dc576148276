import json
import pathlib

import numpy as np

from dlt.data.nuclei import LabelledImages

ASSETS = pathlib.Path(__file__).parents[1] / "assets"


def nuclei_crops() -> LabelledImages:
    """Return six small pieces of real microscopy images with their nuclei, without a download.

    They are cut from the test part of `nuclei()`, so no network of this package was trained on them: large and small
    nuclei, a crowd, a faint picture, and two of stained tissue. They are CC0, and `dlt/assets/nuclei_crops.json` says
    which they are.

    Returns:
        `(ids, images, labels)`: the images' ids, uint8 arrays of shape `(160, 160, 3)` and int32 arrays of shape
        `(160, 160, 1)`: 0 for the background, and 1, 2, ... for the nuclei.

    >>> ids, images, labels = nuclei_crops()
    >>> len(ids), images[0].shape, [int(one.max()) for one in labels]
    (6, (160, 160, 3), [7, 33, 35, 7, 34, 25])
    """
    crops = json.loads((ASSETS / "nuclei_crops.json").read_text(encoding="utf8"))["crops"]
    with np.load(ASSETS / "nuclei_crops.npz") as arrays:
        images = [arrays[f"image_{i}"] for i in range(len(crops))]
        labels = [arrays[f"labels_{i}"].astype("int32") for i in range(len(crops))]
    return LabelledImages([crop["id"] for crop in crops], images, labels)
