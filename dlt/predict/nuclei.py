import functools
from typing import Any

import keras
import numpy as np
from keras import ops

from dlt._check import fail
from dlt.data import nuclei_view
from dlt.models import create_nuclei_segmenter
from dlt.predict.objects import objects
from dlt.predict.symmetries import symmetries
from dlt.predict.tiles import tiles

CONFIDENCE = 0.85  # of the package's network: best of 0, 0.75, 0.8, 0.85, 0.88 on whole validation images


def nuclei(
    image: Any,
    model: keras.Model | None = None,
    min_area: int = 20,
    method: str = "watershed",
    ensemble: bool = False,
    confidence: float | None = None,
) -> np.ndarray:
    """Return the cell nuclei in a microscope image, numbered 1, 2, ...

    Above 512 pixels a side the network sees tiles, which overlap by 128: less than makes tiles exact. What it says
    differs there by some hundredths from what it says of the whole image (chapter 22).

    Args:
        image: Array of any size and of shape `(height, width)` or `(height, width, 1)`, grey, or `(height, width, 3)`,
            RGB; a fourth channel is left out. uint8, uint16 or floats from 0 to 1; multiply 12 bits that a camera has
            stored in 16 by 16, or bright tissue is taken for dark. Nuclei may be bright on dark, as in fluorescence, or
            dark on bright, as in stained tissue.
        model: Keras model with an `input_shape`; in: grey or in colour, nuclei bright, stretched to 0 to 1, as
            `dlt.data.nuclei_view` makes them; out: the probability of a nucleus, and as a second channel, if it has
            one, its depth. None takes `create_nuclei_segmenter("unet", pretrained="nuclei")`, and keeps it for the
            next call.
        min_area: Whole number of pixels; smaller objects are taken for dirt.
        method: String, how objects are told apart that touch in the mask, as in `dlt.predict.objects`.
        ensemble: Boolean, whether to average what the network says of the eight flips and turns of the image: eight
            times the work.
        confidence: Float in [0, 1); an object whose pixels have a mean probability that is not above it is left out.
            None takes 0.85, chosen on validation images, where `model` is None too, and 0 for a model that is given.

    Returns:
        int32 array of shape `(height, width)`: 0 for the background.

    Raises:
        ValueError: If `image` is none, nothing says which of its values is white, a number is out of range, or `model`
            does not say what it sees or returns more than two channels.

    >>> image = np.zeros((40, 50), "uint8")
    >>> image[10:22, 8:20] = image[20:32, 30:42] = 200
    >>> nuclei(image).max()
    np.int32(2)
    """
    image = ops.convert_to_numpy(image) if ops.is_tensor(image) else np.asarray(image)
    if image.ndim not in (2, 3) or 0 in image.shape or (image.ndim == 3 and image.shape[-1] not in (1, 3, 4)):
        fail(
            "`dlt.predict.nuclei` works on one image.",
            "shape (height, width), or (height, width, channels) with 1, 3 or 4 channels",
            f"shape={image.shape}",
            "Take images of a batch one by one, and of a stack its planes.",
        )
    if confidence is None:
        confidence = 0.0 if model else CONFIDENCE
    maps = maps_of(np.atleast_3d(image)[..., :3], model or pretrained(), ensemble)
    return objects(maps, min_area=min_area, method=method, confidence=confidence)[..., 0]


def maps_of(image: np.ndarray, model: keras.Model, ensemble: bool = False) -> np.ndarray:
    """Return what a network says of an image, `(height, width, outputs)`: whether a pixel is of a nucleus, how deep."""
    sees = getattr(model, "input_shape", None)
    if not isinstance(sees, tuple) or len(sees) != 4 or sees[-1] not in (1, 3):
        fail(
            "The network does not say whether it sees grey or colour.",
            "an `input_shape` of (None, height, width, 1 or 3), as functional models have it",
            f"{sees}",
            "Wrap it: `images = keras.Input((None, None, 3)); keras.Model(images, model(images))`.",
        )
    view = nuclei_view(image, color=sees[-1] == 3)
    answers = [back(tiles(model, there(view), tile=512, overlap=128)) for there, back in symmetries(ensemble)]
    maps = np.mean(answers, axis=0)
    if maps.shape[-1] > 2:
        fail(
            "The network returns too many channels.",
            "the probability of a nucleus, and its depth or nothing",
            f"{maps.shape[-1]} channels",
            "Of classes take that of nuclei, in a model of its own, or pass it to `dlt.predict.objects`.",
        )
    return maps


@functools.cache
def pretrained() -> keras.Model:
    """Return the package's segmenter of nuclei."""
    return create_nuclei_segmenter("unet", pretrained="nuclei", dtype="float32")
