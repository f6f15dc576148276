import pathlib

import numpy as np
from PIL import Image

from dlt._check import check_choice, fail
from dlt.data._download import archive, open_folder
from dlt.data._photographs import read_photographs

COMMITS = {
    "bias_free_denoising": "64930f028aec88b0ebc1fc13f79932f5b7aa744d",
    "BSDS500": "a04b7c6c3a9f0ace74bf205c72a43d32e1c72722",
}
URLS = {
    "bias_free_denoising": "https://github.com/LabForComputationalVision/bias_free_denoising/archive/{}.zip",
    "BSDS500": "https://github.com/BIDS/BSDS500/archive/{}.zip",
}
INSIDE = {"bias_free_denoising": ("data",), "BSDS500": ("BSDS500", "data", "images")}
PARTS = {  # name: folder, how files end, how many there are, SHA-256 of their bytes in the order of their names
    "bias_free_denoising": {
        "train": ("Train400", ".png", 400, "210c2ed3e3072767c7689455d36525e1a3e9244968967a9097364c40ad24474a"),
        "bsd68": ("Test/Set68", ".png", 68, "141797011cfb0901713499be26b4c320b9facb0683f5cd88af3528a73c2a2c2e"),
        "set12": ("Test/Set12", ".png", 12, "293b89709bf6b9afad0644f8ce6f805cf719798893fd785b502c43c0055f1fee"),
    },
    "BSDS500": {
        "train": ("train", ".jpg", 200, "b626d29a9653bf7a573863ad2470032b8d6e01a04a88d1c1e4b599055eb60e71"),
        "test": ("test", ".jpg", 200, "93a43b3f3d4612ac0750dc938801bde0cd2ad6fa0e02a22cc1df9bf77eb6cfdf"),
        "val": ("val", ".jpg", 100, "9c367aefcd426152a2d3c94a520270bc2302da644fb1dbfa574e9abae1442de8"),
    },
}
# The photographs in `val` that are BSD68 and, in colour, CBSD68; found by comparing each with each.
BSD68 = """
    101085 101087 102061 103070 105025 106024 108005 108070 108082 109053 119082 12084 123074 126007 130026 134035
    14037 143090 145086 147091 148026 148089 157055 159008 160068 16077 163085 167062 167083 170057 175032 175043
    182053 189080 19021 196073 197017 208001 210088 21077 216081 219090 220075 223061 227092 229036 236037 24077
    241004 241048 253027 253055 260058 271035 285079 291000 295087 296007 296059 299086 300091 302008 304034 304074
    306005 3096 33039 351093
"""
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601


def bsd(
    directory: str | pathlib.Path | None = None, source: str = "bias_free_denoising", color: bool = False
) -> dict[str, list[np.ndarray]]:
    """Return the photographs on which denoisers are trained and compared, of the Berkeley segmentation data set.

    Reference: Martin et al. 2001, "A database of human segmented natural images"
    (https://doi.org/10.1109/ICCV.2001.937655). There are two sources, and their files' hashes are checked:

    - "bias_free_denoising" (MIT licence): the grey benchmark as networks know it, BSD400 to train, BSD68 and Set12 to
      test. https://github.com/LabForComputationalVision/bias_free_denoising
    - "BSDS500" (for non-commercial research and education): the 500 photographs themselves, in colour and five times
      the pixels. https://github.com/BIDS/BSDS500. Its folders `train` and `test` are there to train; of `val`, 68 are
      BSD68, called CBSD68 in colour, and 32 are left to validate. No photo is in two parts. Rounded to grey they equal
      BSD68's files, but for one grey level in at most one pixel of 800.

    Args:
        directory: None downloads the archive (16 or 37 MB, once, into Keras's cache; a download that was cut off goes
            on). Otherwise the path of that .zip file, or of the folder it unpacks to.
        source: String, which archive: "bias_free_denoising" or "BSDS500".
        color: Boolean, whether the photographs of BSDS500 come in colour.

    Returns:
        Dict of lists of uint8 arrays of shape `(height, width, 1)`, or `(height, width, 3)` in colour. "train" has 400
        (grey benchmark: of 180 x 180 pixels), "bsd68" 68 of 321 x 481 or 481 x 321, "set12" (grey benchmark) 12 of
        256 x 256 or 512 x 512, "validation" (BSDS500) 32.

    Raises:
        FileNotFoundError: If there is nothing at `directory`.
        ConnectionError: If the download fails.
        ValueError: If the archive is damaged, files are missing, or they are not the published ones; if there is no
            such source, or it has no colour.
    """
    check_choice("source", source, tuple(PARTS))
    if color and source != "BSDS500":
        fail("These photographs are grey.", 'source="BSDS500" with color=True', f"source={source!r}", "Pass that.")
    name = f"{source}-{COMMITS[source]}"
    expected = f"the .zip file of {source}, or the folder it unpacks to"
    with archive(URLS[source].format(COMMITS[source]), name, directory) as path:
        root = open_folder(path, expected, inside=(name, *INSIDE[source]))
        found = {part: read_photographs(root, *where) for part, where in PARTS[source].items()}
    if source == "BSDS500":
        found = split(**found)
    return {part: [pixels(image, color) for image in images.values()] for part, images in found.items()}


def split(train, test, val):
    """Return the parts of BSDS500 as denoisers use them: what is in BSD68 is not trained on."""
    names = BSD68.split()
    return {
        "train": train | test,
        "validation": {name: image for name, image in val.items() if name not in names},
        "bsd68": {name: image for name, image in val.items() if name in names},
    }


def pixels(image: Image.Image, color: bool) -> np.ndarray:
    """Return a photograph as uint8, `(height, width, 3)` in colour, otherwise `(height, width, 1)`."""
    if color or image.mode == "L":
        return np.asarray(image).reshape(image.height, image.width, -1)
    return np.rint(np.asarray(image) @ np.array(LUMA)).astype("uint8")[..., None]
