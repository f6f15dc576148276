import functools
from typing import Any

import keras
import numpy as np
from keras import ops

from dlt._arrays import WHITE, is_float
from dlt._check import check_positive_int, fail
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
            package, which keep the scale, floats may have any white, as large as float32 can hold.
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
        ValueError: If this is no photo, `tile` is out of range, or `model` sees or returns other channels.

    >>> photo = np.random.default_rng(0).integers(100, 156, (20, 31), dtype="uint8")
    >>> clean = denoise(photo)
    >>> clean.shape, clean.dtype, bool(clean.std() < photo.std() / 2)
    ((20, 31), dtype('uint8'), True)
    """
    photo = ops.convert_to_numpy(photo) if ops.is_tensor(photo) else np.asarray(photo)
    check_photo(photo)
    if check_positive_int("tile", tile) % 16 or tile < 144:
        fail("Invalid `tile`.", "a multiple of 16 of at least 144", f"tile={tile}", "Pass for example 256.")
    pixels, white = np.atleast_3d(photo), WHITE.get(photo.dtype.name, 1)
    image = pixels[..., :3].astype("float32") / white
    model = model or pretrained(image.shape[-1])
    check_network("sees", getattr(model, "input_shape", None), image)
    answers = [back(tiles(model, there(image), tile, overlap=128)) for there, back in symmetries(ensemble)]
    clean = np.mean(answers, axis=0)
    check_network("returns", clean.shape, image)
    if is_float(photo):
        clean = np.clip(clean, np.finfo(photo.dtype).min, np.finfo(photo.dtype).max)
    else:
        clean = np.clip(np.rint(white * clean), 0, white)
    clean = np.concatenate([clean.astype(photo.dtype), pixels[..., 3:]], axis=-1)
    return clean.reshape(photo.shape).astype(photo.dtype, copy=False)  # in its byte order too


def check_network(does: str, shape: Any, image: np.ndarray) -> None:
    """Raise if a network's input or output is known to have another number of channels than an image."""
    if isinstance(shape, tuple) and shape[-1] not in (None, image.shape[-1]):
        fail(
            f"The network {does} another number of channels.",
            f"a network from {image.shape[-1]} to {image.shape[-1]} channels, as the photo has",
            f"{shape[-1]}",
            "Take a network for such photos, or one channel of the photo after the other.",
        )


def check_photo(photo: np.ndarray) -> None:
    """Raise unless this is one grey, RGB or RGBA image of a known dtype, of finite numbers."""
    if photo.ndim not in (2, 3) or 0 in photo.shape or (photo.ndim == 3 and photo.shape[-1] not in (1, 3, 4)):
        fail(
            "`dlt.predict.denoise` works on one photo.",
            "shape (height, width), or (height, width, channels) with 1, 3 or 4 channels",
            f"shape={photo.shape}",
            "Take photos of a batch one by one.",
        )
    if not is_float(photo) and photo.dtype.name not in WHITE:
        fail(
            "Nothing says which value of this photo is white.",
            "uint8, uint16 or floats",
            f"{photo.dtype}",
            "Divide by the value that is white.",
        )
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        finite = np.isfinite(photo.astype("float32"))
    if not finite.all():
        fail(
            "The photo has pixels that are no numbers.",
            "numbers that float32 can hold",
            f"{np.count_nonzero(~finite)} NaN, infinite or too large values",
            "Fill them, for example with `np.nan_to_num`, or divide by the value that is white.",
        )


@functools.cache
def pretrained(channels: int) -> keras.Model:
    """Return the package's denoiser for grey photos or for colour."""
    return create_denoiser(channels, pretrained=True, dtype="float32")
