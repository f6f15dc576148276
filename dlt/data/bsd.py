import io

import numpy as np
from PIL import Image

from dlt._check import fail
from dlt.data._download import cache_folder, check_hash, download, open_folder, read_bytes

COMMIT = "64930f028aec88b0ebc1fc13f79932f5b7aa744d"
URL = f"https://github.com/LabForComputationalVision/bias_free_denoising/archive/{COMMIT}.zip"
PARTS = {  # name: folder below data/, number of images, SHA-256 of the files' bytes in the order of their names
    "train": ("Train400", 400, "210c2ed3e3072767c7689455d36525e1a3e9244968967a9097364c40ad24474a"),
    "bsd68": ("Test/Set68", 68, "141797011cfb0901713499be26b4c320b9facb0683f5cd88af3528a73c2a2c2e"),
    "set12": ("Test/Set12", 12, "293b89709bf6b9afad0644f8ce6f805cf719798893fd785b502c43c0055f1fee"),
}


def bsd(directory=None):
    """Return the grey photographs on which denoisers are trained and compared: BSD400, BSD68 and Set12.

    BSD400 and BSD68 come from the Berkeley segmentation data set (Martin et al. 2001); no photo is in both. Set12 are
    twelve well-known test images. The files are those of https://github.com/LabForComputationalVision/bias_free_denoising
    (MIT licence), and their hashes are checked.

    Args:
        directory: None downloads the archive (16 MB, once, into Keras's cache; a download that was cut off goes on).
            Otherwise the path of that .zip file, or of the folder it unpacks to.

    Returns:
        Dict of three lists of uint8 arrays of shape `(height, width, 1)`: "train" (400 of 180 x 180 pixels), "bsd68"
        (68 of 321 x 481 or 481 x 321) and "set12" (12 of 256 x 256 or 512 x 512).

    Raises:
        FileNotFoundError: If there is nothing at `directory`.
        ConnectionError: If the download fails.
        ValueError: If the archive is damaged, files are missing, or they are not the published ones.
    """
    archive = f"bias_free_denoising-{COMMIT}"
    path = download(URL, cache_folder() / f"{archive}.zip") if directory is None else directory
    expected = "the .zip file of bias_free_denoising, or the folder it unpacks to"
    root = open_folder(path, expected, inside=(archive, "data"))
    return {name: read_part(root, *part) for name, part in PARTS.items()}


def read_part(root, folder, count, digest):
    """Return the images of one folder, in the order of their names, after checking that they are the published ones."""
    path = root
    for name in folder.split("/"):
        path = path / name
    files = sorted((file for file in path.iterdir() if file.name.endswith(".png")), key=str) if path.is_dir() else []
    if len(files) != count:
        fail(
            f"Images are missing: {folder}.",
            f"{count} .png files in data/{folder}",
            f"{len(files)} in {root}",
            "Point to the whole archive, or to the folder that it unpacks to.",
        )
    contents = [read_bytes(file) for file in files]
    check_hash(folder, contents, digest)
    return [np.asarray(Image.open(io.BytesIO(content)))[..., None] for content in contents]
