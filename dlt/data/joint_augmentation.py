import keras
import numpy as np
import skimage.transform
from keras import layers, ops

from dlt._check import check_images, check_not_negative, fail

COARSE = 4  # random shifts between which the elastic deformation is interpolated, per side


class JointAugmentation:
    """Move images and their masks together, at random, with Keras's own layers; masks keep their values.

    A mask must not be interpolated, since between label 1 and label 3 there is no label 2, and an image should be
    interpolated once only. So the layers do not move the image. They move a picture of coordinates, which then says for
    every new pixel where its value comes from: images are read there bilinearly, masks at the nearest pixel.

    The elastic deformation shifts a coarse grid at random and interpolates between, as Ronneberger et al. 2015 did.
    `keras.layers.RandomElasticTransform` is not used: in Keras 3.15 it deforms an image and its mask differently.

    Reference: Ronneberger, Fischer and Brox 2015, section 3.1 (https://arxiv.org/abs/1505.04597).

    Args:
        geometry: Keras layers that move pixels, as RandomFlip, RandomRotation, RandomZoom. None takes flips along both
            axes and any rotation, with what lies outside reflected.
        light: Keras layers that change images only, as RandomBrightness and RandomContrast; give them
            `value_range=(0, 1)`.
        elastic: Float, standard deviation of the elastic shifts in pixels; 0 for none.

    Raises:
        ValueError: If `elastic` is negative, or images and masks do not fit.

    >>> images, masks = np.zeros((2, 32, 32, 1), "float32"), np.zeros((2, 32, 32, 1), "uint8")
    >>> images, masks = JointAugmentation()(images, masks, seed=1)
    >>> images.dtype, masks.dtype, masks.shape
    (dtype('float32'), dtype('uint8'), (2, 32, 32, 1))
    """

    def __init__(self, geometry=None, light=(), elastic=2.0):
        self.geometry = default_geometry() if geometry is None else list(geometry)
        self.light = list(light)
        self.elastic = check_not_negative("elastic", elastic)

    def __call__(self, images, masks, seed):
        """Return moved images and masks.

        Args:
            images: Float array of shape `(batch, height, width, channels)`.
            masks: Array of shape `(batch, height, width, any)`: of 0 and 1, or labels.
            seed: Whole number; it decides everything random.

        Returns:
            `(images, masks)`, NumPy arrays of the same shapes and dtypes.
        """
        check_images("JointAugmentation", np.shape(images))
        if np.shape(images)[:3] != np.shape(masks)[:3]:
            fail(
                "Images and masks do not fit.",
                "the same batch, height and width",
                f"images {np.shape(images)}, masks {np.shape(masks)}",
                "Add a last axis to masks with `masks[..., None]`.",
            )
        generator = keras.random.SeedGenerator(seed)
        places = self.places(np.shape(images)[:3], generator)
        images = np.stack([read(one, where, order=1) for one, where in zip(images, places, strict=True)])
        masks = np.stack([read(one, where, order=0) for one, where in zip(masks, places, strict=True)])
        return ops.convert_to_numpy(applied(self.light, images, generator)), masks

    def places(self, shape, generator):
        """Return where each new pixel comes from: row and column, of shape (batch, height, width, 2)."""
        batch, height, width = shape
        places = np.stack(np.mgrid[:height, :width], axis=-1).astype("float32")
        places = applied(self.geometry, np.repeat(places[None], batch, axis=0), generator)
        shifts = keras.random.normal((batch, COARSE, COARSE, 2), stddev=self.elastic, seed=generator, dtype="float32")
        shifts = ops.image.resize(shifts, ops.shape(places)[1:3], interpolation="bicubic", data_format="channels_last")
        return ops.convert_to_numpy(places) + ops.convert_to_numpy(shifts)


def default_geometry():
    """Return layers for pictures that have no up and no down."""
    return [
        layers.RandomFlip("horizontal", dtype="float32"),
        layers.RandomFlip("vertical", dtype="float32"),
        layers.RandomRotation(1.0, fill_mode="reflect", dtype="float32"),
    ]


def applied(augmentations, x, generator):
    """Return `x` after some layers, all of whose random numbers come from one generator."""
    x = ops.convert_to_tensor(x)
    for layer in augmentations:
        x = layer.transform_images(x, layer.get_random_transformation(x, training=True, seed=generator), training=True)
    return x


def read(picture, places, order):
    """Return the values of a picture (height, width, channels) at some places; outside it is reflected."""
    rows_columns = np.moveaxis(places, -1, 0)
    channels = [
        skimage.transform.warp(channel, rows_columns, order=order, mode="symmetric", preserve_range=True, clip=False)
        for channel in np.moveaxis(np.asarray(picture), -1, 0)
    ]
    return np.stack(channels, axis=-1).astype(picture.dtype)
