from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dlt._arrays import check_image
from dlt._check import fail


def as_list(owner: str, images: Iterable[Any]) -> list[np.ndarray]:
    """Return images as a list of arrays, if there are some; a dict's are its values."""
    if isinstance(images, dict):
        fail(f"{owner} takes a sequence.", "images", "a dict", "Pass `list(images.values())`.")
    if len(images := [np.asarray(image) for image in images]) == 0:
        fail(f"{owner} has nothing to draw from.", "at least one image", "none", "Pass a list of images.")
    return images


def check_patches(owner: str, images: Sequence[np.ndarray], size: int) -> None:
    """Raise unless all are images (height, width, channels), large enough, and of equally many channels."""
    for image in images:
        check_image(owner, image.shape)
        if min(image.shape[:2]) < size:
            fail(
                f"{owner}: an image is smaller than a patch.",
                f"height and width of at least {size}",
                f"shape={image.shape}",
                "Leave it out, or pass a smaller `size`.",
            )
    channels = sorted({image.shape[-1] for image in images})
    if len(channels) > 1:
        fail(f"{owner} stacks patches.", "images of equally many channels", f"{channels}", "Make all of them grey.")
