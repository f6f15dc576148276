from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import skimage.transform
from keras import layers, ops

from dlt._arrays import check_float_image, lies_between
from dlt._check import check_images, check_index, check_not_negative, fail

COARSE = 4  # random shifts between which the elastic deformation is interpolated, per side
MOVERS = (
    layers.RandomCrop,
    layers.RandomFlip,
    layers.RandomRotation,
    layers.RandomShear,
    layers.RandomTranslation,
    layers.RandomZoom,
)
MOVED_TOO = (layers.RandomElasticTransform, layers.RandomPerspective, layers.RandAugment, layers.AugMix)
MIXED = (layers.CutMix, layers.MixUp)


class JointAugmentation:
    """Move images and their masks together, at random, with Keras's own layers; masks keep their values.

    A mask must not be interpolated, since between label 1 and label 3 there is no label 2, and an image should be
    interpolated once only. So the layers do not move the image. They move a picture of coordinates, which then says for
    every new pixel where its value comes from: images are read there bilinearly, masks at the nearest pixel.

    The elastic deformation shifts a coarse grid at random and interpolates between, as Ronneberger et al. 2015 did.
    `keras.layers.RandomElasticTransform` is not used: in Keras 3.15 it deforms an image and its mask differently.

    Reference: Ronneberger, Fischer and Brox 2015, section 3.1 (https://arxiv.org/abs/1505.04597).

    Args:
        geometry: Keras layers that move pixels: RandomCrop, RandomFlip, RandomRotation, RandomShear, RandomTranslation
            and RandomZoom, in float32. What lies outside is what they say with `fill_mode="reflect"` or "nearest"; a
            constant, or the other edge, cannot be told from a coordinate. None takes flips along both axes and any
            rotation, reflected.
        light: Keras layers that change the values of images only, as RandomBrightness and RandomContrast; give them
            `value_range=(0, 1)`.
        elastic: Float, standard deviation of the elastic shifts in pixels; 0 for none.

    Raises:
        ValueError: If `elastic` is negative, a layer cannot do its part, or images and masks do not fit.

    >>> images, masks = np.zeros((2, 32, 32, 1), "float32"), np.zeros((2, 32, 32, 1), "uint8")
    >>> images, masks = JointAugmentation()(images, masks, seed=1)
    >>> images.dtype, masks.dtype, masks.shape
    (dtype('float32'), dtype('uint8'), (2, 32, 32, 1))
    """

    def __init__(
        self,
        geometry: Iterable[keras.layers.Layer] | None = None,
        light: Iterable[keras.layers.Layer] = (),
        elastic: float = 2.0,
    ) -> None:
        self.geometry = default_geometry() if geometry is None else [checked_mover(layer) for layer in geometry]
        self.light = [checked_light(layer) for layer in light]
        self.elastic = check_not_negative("elastic", elastic)

    def __call__(self, images: np.ndarray, masks: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return moved images and masks.

        Args:
            images: Float array of shape `(batch, height, width, channels)`; for `light` from 0 to 1.
            masks: Array of shape `(batch, height, width, any)`: of 0 and 1, or labels.
            seed: Whole number; it decides everything random.

        Returns:
            `(images, masks)`, NumPy arrays of the same dtypes, and (without a RandomCrop) of the same shapes.

        Raises:
            ValueError: If `images` are no batch of float images, `light` would cut their values off, or `masks` have
                another shape.
        """
        images, masks = np.asarray(images), np.asarray(masks)
        check_images("JointAugmentation", images.shape)
        check_float_image("JointAugmentation", images)
        if masks.ndim != 4 or images.shape[:3] != masks.shape[:3]:
            fail(
                "Images and masks do not fit.",
                "the same batch, height and width, and masks of shape (batch, height, width, any)",
                f"images {images.shape}, masks {masks.shape}",
                "Add a last axis to masks with `masks[..., None]`.",
            )
        if self.light and not lies_between(images, 0, 1):
            span = f"{images.min()} to {images.max()}"
            fail("`light` would cut values off.", "images from 0 to 1", span, "Divide by the value that is white.")
        generator = keras.random.SeedGenerator(check_index("seed", seed))
        places = self.places(images.shape[:3], generator)
        moved = np.stack([read(one, where, order=1) for one, where in zip(images, places, strict=True)])
        masks = np.stack([read(one, where, order=0) for one, where in zip(masks, places, strict=True)])
        return ops.convert_to_numpy(applied(self.light, moved, generator)).astype(images.dtype), masks

    def places(self, shape: Sequence[int], generator: keras.random.SeedGenerator) -> np.ndarray:
        """Return where each new pixel comes from: row and column, of shape (batch, height, width, 2)."""
        batch, height, width = shape
        places = np.stack(list(np.mgrid[:height, :width]), axis=-1).astype("float32")
        places = applied(self.geometry, np.repeat(places[None], batch, axis=0), generator)
        shifts = keras.random.normal((batch, COARSE, COARSE, 2), stddev=self.elastic, seed=generator, dtype="float32")
        shifts = ops.image.resize(shifts, ops.shape(places)[1:3], interpolation="bicubic", data_format="channels_last")
        return ops.convert_to_numpy(places) + ops.convert_to_numpy(shifts)


def default_geometry() -> list[keras.layers.Layer]:
    """Return layers for pictures that have no up and no down."""
    plain = {"data_format": "channels_last", "dtype": "float32"}
    return [
        layers.RandomFlip("horizontal", **plain),
        layers.RandomFlip("vertical", **plain),
        layers.RandomRotation(1.0, fill_mode="reflect", **plain),
    ]


def checked_mover(layer: Any) -> keras.layers.Layer:
    """Return a layer that moves coordinates as it would move an image, and neither fills in nor rounds any."""
    if not isinstance(layer, MOVERS):
        names = ", ".join(kind.__name__ for kind in MOVERS)
        fail("No layer that moves pixels.", names, f"{layer!r}", "Layers that change values go into `light`.")
    if getattr(layer, "fill_mode", "reflect") not in ("reflect", "nearest"):
        fail(
            "A coordinate cannot be filled in.",
            'fill_mode="reflect" or "nearest"',
            f"fill_mode={layer.fill_mode!r} of {layer.name}",
            'Pad images and masks first, or pass fill_mode="reflect".',
        )
    if layer.compute_dtype not in ("float32", "float64") or layer.data_format != "channels_last":
        fail(
            "The layer would round coordinates, or take columns for channels.",
            'dtype="float32" and data_format="channels_last"',
            f"{layer.compute_dtype}, {layer.data_format} of {layer.name}",
            'Build the layer with dtype="float32", data_format="channels_last".',
        )
    return layer


def checked_light(layer: Any) -> keras.layers.Layer:
    """Return a layer that changes the values of each image, in the range from 0 to 1, and moves none."""
    if isinstance(layer, (*MOVERS, *MOVED_TOO, *MIXED)) or not hasattr(layer, "get_random_transformation"):
        fail(
            "No layer that changes values only.",
            "a layer as RandomBrightness or RandomContrast: masks stay as they are",
            f"{layer!r}",
            "Layers that move pixels go into `geometry`.",
        )
    if tuple(getattr(layer, "value_range", (0, 1))) != (0, 1):
        fail(
            "Images go from 0 to 1.",
            "value_range=(0, 1)",
            f"value_range={tuple(layer.value_range)} of {layer.name}",
            "Build the layer with value_range=(0, 1).",
        )
    return layer


def applied(augmentations: Iterable[keras.layers.Layer], x: Any, generator: keras.random.SeedGenerator) -> Any:
    """Return `x` after some layers, all of whose random numbers come from one generator."""
    x = ops.convert_to_tensor(x)
    for layer in augmentations:
        x = layer.transform_images(x, layer.get_random_transformation(x, training=True, seed=generator), training=True)
    return x


def read(picture: np.ndarray, places: np.ndarray, order: int) -> np.ndarray:
    """Return the values of a picture (height, width, channels) at some places; outside it is reflected."""
    rows_columns = np.moveaxis(places, -1, 0)
    channels = [
        skimage.transform.warp(channel, rows_columns, order=order, mode="symmetric", preserve_range=True, clip=False)
        for channel in np.moveaxis(np.asarray(picture), -1, 0)
    ]
    return np.stack(channels, axis=-1).astype(picture.dtype)
