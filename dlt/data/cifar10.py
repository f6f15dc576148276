import pathlib

import keras
import numpy as np
from PIL import Image

from dlt._check import fail
from dlt.data._download import open_folder

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ENDINGS = (".png", ".jpg", ".jpeg")


Split = tuple[np.ndarray, np.ndarray]


def cifar10(directory: str | pathlib.Path | None = None) -> tuple[Split, Split]:
    """Return CIFAR-10: 60,000 colour images, 32 x 32 pixels, of ten kinds of things.

    Reference: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images".

    Args:
        directory: None downloads the original through `keras.datasets`. Otherwise the path of a directory, or of a
            .zip file of one, that holds the images as `{train,test}/CLASS/NAME.{png,jpg}`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: x uint8 of shape `(n, 32, 32, 3)`, y int64 of shape `(n,)`, the index
        in `CIFAR10_CLASSES`.

    Raises:
        FileNotFoundError: If there is no such directory or .zip file.
        ValueError: If a class has no images, or an image is damaged or not 32 x 32 in colour.
    """
    if directory is None:
        (x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
        return (x_train, y_train[:, 0].astype("int64")), (x_test, y_test[:, 0].astype("int64"))
    root = open_folder(directory, "a directory or .zip file with train/ and test/")
    return read_split(root / "train"), read_split(root / "test")


def read_split(folder):
    """Return images and labels of `folder/CLASS/NAME`, in the order of the names."""
    images, labels = [], []
    for label, name in enumerate(CIFAR10_CLASSES):
        kind = folder / name
        files = [file for file in kind.iterdir() if file.name.lower().endswith(ENDINGS)] if kind.is_dir() else []
        if not files:
            fail(
                f"CIFAR-10 class without images: {folder.name}/{name}.",
                f"a folder for each of {', '.join(CIFAR10_CLASSES)}",
                str(folder),
                "Unpack the whole archive, and point to the folder that holds train/ and test/.",
            )
        images += [read_image(file) for file in sorted(files, key=str)]
        labels += [label] * len(files)
    return np.stack(images), np.array(labels)


def read_image(file):
    """Return one image as a uint8 array of shape (32, 32, 3)."""
    try:
        with file.open("rb") as opened, Image.open(opened) as image:
            pixels = np.asarray(image)
    except OSError as error:
        raise ValueError(
            f"Cannot read the image: {error}. Expected a whole PNG or JPEG file. Received: {file}. Copy it again."
        ) from error
    if pixels.shape != (32, 32, 3):
        fail("Not a CIFAR-10 image.", "32 x 32 pixels in colour", f"{file} of shape {pixels.shape}", "Remove it.")
    return pixels
