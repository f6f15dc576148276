import functools
from typing import Any

import keras
import numpy as np
from keras import ops

from dlt._arrays import WHITE, is_float
from dlt._check import fail
from dlt.models import create_denoiser
from dlt.predict.symmetries import symmetries
from dlt.predict.tiles import tiles


def denoise(photo: Any, model: keras.Model | None = None, ensemble: bool = False, tile: int = 512) -> np.ndarray:
    """Return a photograph without its noise, in the form in which it came.

    How strong the noise is need not be said. The networks of the package know white Gaussian noise: an equal amount at
    every pixel, and independent from pixel to pixel. What a camera has done to the noise before storing a JPEG file is
    something else.

    Args:
        photo: Array of any size and of shape `(height, width)` or `(height, width, 1)`, grey, or `(height, width, 3)`,
            RGB; a fourth channel, how opaque a pixel is, is kept. uint8, uint16 or floats; with the networks of the
            package, which keep the scale, floats may have any white.
        model: Keras model, noisy images with black 0 and white 1 in, clean ones out, with as many channels as the
            photo has. None takes `create_denoiser(channels, pretrained=True)`, and keeps it for the next call.
        ensemble: Boolean, whether to average over the eight flips and turns of the photo: eight times the work for
            about a tenth of a decibel.
        tile: Whole number, a multiple of 16, at least 144. Photos with a longer side are denoised in tiles of so many
            pixels, 128 of which neighbours share. The networks of the package look 31 pixels to each side, so that the
            result is that of the whole photo.

    Returns:
        NumPy array of the photo's shape and dtype. Whole numbers are rounded, and cut off at black and white.

    Raises:
        ValueError: If this is no photo, or `tile` is out of range.

    >>> photo = np.random.default_rng(0).integers(100, 156, (20, 31), dtype="uint8")
    >>> clean = denoise(photo)
    >>> clean.shape, clean.dtype, bool(clean.std() < photo.std() / 2)
    ((20, 31), dtype('uint8'), True)
    """
    photo = ops.convert_to_numpy(photo) if ops.is_tensor(photo) else np.asarray(photo)
    check_photo(photo)
    white = WHITE.get(str(photo.dtype), 1)
    image = np.atleast_3d(photo).astype("float32") / white
    image, opacity = image[..., :3], image[..., 3:]
    model = model or pretrained(image.shape[-1])
    answers = [back(tiles(model, there(image), tile, overlap=128)) for there, back in symmetries(ensemble)]
    clean = np.mean(answers, axis=0)
    clean = white * np.concatenate([clean, opacity], axis=-1).reshape(photo.shape)
    return (clean if is_float(photo) else np.clip(np.rint(clean), 0, white)).astype(photo.dtype)


def check_photo(photo: np.ndarray) -> None:
    """Raise unless this is one grey, RGB or RGBA image of a known dtype, of finite numbers."""
    if photo.ndim not in (2, 3) or 0 in photo.shape or (photo.ndim == 3 and photo.shape[-1] not in (1, 3, 4)):
        fail(
            "`dlt.predict.denoise` works on one photo.",
            "shape (height, width), or (height, width, channels) with 1, 3 or 4 channels",
            f"shape={photo.shape}",
            "Take photos of a batch one by one.",
        )
    if not is_float(photo) and str(photo.dtype) not in WHITE:
        fail(
            "Nothing says which value of this photo is white.",
            "uint8, uint16 or floats",
            f"{photo.dtype}",
            "Divide by the value that is white.",
        )
    if is_float(photo) and not np.isfinite(photo).all():
        fail(
            "The photo has pixels that are no numbers.",
            "finite numbers",
            f"{np.count_nonzero(~np.isfinite(photo))} NaN or infinite values",
            "Fill them, for example with `np.nan_to_num`.",
        )


@functools.cache
def pretrained(channels: int) -> keras.Model:
    """Return the package's denoiser for grey photos or for colour."""
    return create_denoiser(channels, pretrained=True, dtype="float32")
