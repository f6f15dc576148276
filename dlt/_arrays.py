"""Checks of arrays for functions of images, masks and labels: nothing is broadcast, cast or wrapped around unseen."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from dlt._check import fail

WHITE = {"uint8": 255, "uint16": 65535}


def check_image(owner: str, shape: Sequence[int], channels: Sequence[int] = ()) -> None:
    """Raise unless `shape` is (height, width, channels), with one of the numbers of channels if some are given."""
    shape = tuple(shape)
    if len(shape) != 3 or 0 in shape or (channels and shape[-1] not in channels):
        wanted = " or ".join(str(count) for count in channels) or "channels"
        fail(
            f"{owner} works on one image.",
            f"shape (height, width, {wanted})",
            f"shape={shape}",
            "Add the channel to a grey image with `image[..., None]`, take images of a batch one by one, and of other "
            "channels those that are meant, as in `image[..., :3]`.",
        )


def white(owner: str, image: np.ndarray) -> int:
    """Return the value that is white: 255 of uint8, 65535 of uint16, 1 of floats, if these lie between 0 and 1."""
    dtype = image.dtype.name  # of either byte order
    if dtype in WHITE:
        return WHITE[dtype]
    if not (is_float(image) and lies_between(image, 0, 1)):
        fail(
            f"{owner} cannot tell which value is white.",
            "uint8 (0 to 255), uint16 (0 to 65535) or floats from 0 to 1",
            f"{dtype} from {image.min()} to {image.max()}",
            "Divide by the value that is white.",
        )
    return 1


def check_mask(owner: str, mask: np.ndarray) -> None:
    """Raise if a mask (height, width, any) is none of: booleans, whole numbers but 0 and 255, floats from 0 to 1."""
    if np.ndim(mask) != 3:
        fail(
            f"{owner}: a mask is no image.",
            "shape (height, width, channels)",
            f"shape={np.shape(mask)}",
            "Add the channel with `mask[..., None]`.",
        )
    whole = mask.dtype == bool or np.issubdtype(mask.dtype, np.integer)
    if is_picture(mask) or not (whole or (is_float(mask) and lies_between(mask, 0, 1))):
        fail(
            f"{owner}: a mask says neither whether nor what.",
            "0 and 1, or whole numbers of classes or objects, or floats from 0 to 1",
            f"{mask.dtype} from {mask.min()} to {mask.max()}",
            "Of a mask that was stored as a picture take `mask > 0`.",
        )


def check_labels(owner: str, labels: np.ndarray) -> None:
    """Raise unless an array numbers objects, 1, 2, ...; a mask says which pixels are objects, not which object."""
    if not np.issubdtype(labels.dtype, np.integer) or is_picture(labels) or (labels.size and labels.min() < 0):
        span = f" from {labels.min()} to {labels.max()}" if labels.size else ""
        fail(
            f"{owner} needs numbered objects.",
            "whole numbers, 0 for the background and 1, 2, ... for the objects",
            f"{labels.dtype}{span}",
            "Number the objects of a mask with `dlt.predict.objects(mask)`.",
        )


def renumbered(labels: np.ndarray) -> np.ndarray:
    """Return an array of numbered objects whose numbers are 1, 2, ... without gaps, however large they were."""
    numbers, places = np.unique(labels, return_inverse=True)  # sorted, so that the background comes first
    return places.reshape(labels.shape) + int(0 not in numbers)


def is_picture(mask: np.ndarray) -> bool:
    """Return whether a mask is stored as a black and white picture: 0 and 255 as uint8, 0 and 65535 as uint16."""
    highest = WHITE.get(mask.dtype.name)
    return highest is not None and bool((mask == highest).any()) and bool(((mask == 0) | (mask == highest)).all())


def is_float(array: np.ndarray) -> bool:
    """Return whether the numbers are float16, float32 or float64."""
    return np.issubdtype(array.dtype, np.floating)


def lies_between(array: np.ndarray, low: float, high: float) -> bool:
    """Return whether all numbers lie in [low, high]; NaN does not."""
    return array.size == 0 or bool(low <= array.min() and array.max() <= high)


def check_masks(owner: str, y_true: Any, y_pred: Any) -> None:
    """Raise unless two tensors are batches of masks of one shape, so that neither is broadcast to the other."""
    shapes = tuple(y_true.shape), tuple(y_pred.shape)
    known = all(None in pair or len(set(pair)) == 1 for pair in zip(*shapes, strict=False))
    if [len(shape) for shape in shapes] != [4, 4] or not known:
        fail(
            f"{owner}: two masks that do not fit.",
            "the same shape, (batch, height, width, 1)",
            f"y_true {shapes[0]}, y_pred {shapes[1]}",
            "Add the channel with `mask[..., None]`.",
        )


def image_weights(owner: str, weights: Any) -> Any:
    """Return weights of images as a tensor (batch,), if they are none of pixels: those cannot weigh an overlap."""
    if weights is None:
        return None
    weights = ops.convert_to_tensor(weights)
    if any(side != 1 for side in weights.shape[1:]):
        fail(
            f"{owner} weighs images, not pixels.",
            "one weight per image, shape (batch,)",
            f"shape={tuple(weights.shape)}",
            "Average the weights of an image, or take a loss of pixels, as keras.losses.BinaryCrossentropy.",
        )
    return ops.reshape(weights, (-1,))


def check_float_image(owner: str, image: np.ndarray) -> None:
    """Raise unless the numbers of an image are floats: whole ones have another white, and would be cut off."""
    if not is_float(image):
        fail(
            f"{owner} takes images of floats.",
            "float32",
            f"{image.dtype}",
            "Divide by the value that is white, or take `dlt.data.nuclei_view(image)`.",
        )
