import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import skimage.transform

from dlt._arrays import check_float_image, check_mask
from dlt._check import check_positive_int, fail
from dlt.data._epochs import RandomBatches
from dlt.data._patches import as_list, check_patches


class SegmentationPatches(RandomBatches):
    """Endless training data for segmentation: patches of images of any sizes, and the same patches of their masks.

    Every image is as likely as any other, whatever its size, unless `weights` say otherwise; in an image every place is
    as likely. The same seed gives the same
    batches, in every run and with any number of workers: the random numbers of a batch depend on the seed, the epoch
    and the batch's index, and on nothing else. Their order is Keras's: `fit` shuffles it by Python's random numbers,
    unless it is given `shuffle=False`.

    Args:
        images: Sequence of float arrays of shape `(height, width, channels)`, each at least `size` wide and high.
        masks: Sequence of arrays of shape `(height, width, any)`: 0 and 1, or labels (whole numbers), or probabilities.
        size: Whole number, height and width of a patch.
        batch_size: Whole number of patches per batch.
        steps: Whole number of batches per epoch.
        augmentation: `f(images, masks, seed) -> (images, masks)`, for example a `JointAugmentation`; None for none.
        seed: Whole number.
        epoch: Whole number of epochs that a training before this one has seen: with the `initial_epoch` of `fit` it
            goes on with the batches that would have come. A second `fit` with the same object does so by itself.
        weights: Sequence of numbers, how often each image is drawn, relative to the others; None for equally often.
        zoom: Two floats from 0 up, the least and the most that a patch is magnified, each factor between them as likely
            as its inverse: images are interpolated, masks keep their values. (1, 1) for not at all.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of `keras.utils.PyDataset`. With more than one
            worker, `fit` on JAX and PyTorch begins with batches that it drew to look at them, as Keras 3.15 has it.

    Gives batches `(images, masks)`: images float32 of shape `(batch_size, size, size, channels)`, masks of their own
    dtype.

    Raises:
        ValueError: If a number is out of range, an image is smaller than a patch, or a mask does not fit its image or
            was stored as a picture, of 0 and 255.

    >>> images, masks = [np.zeros((64, 80, 1), "float32")], [np.zeros((64, 80, 1), "uint8")]
    >>> x, y = SegmentationPatches(images, masks, size=32, batch_size=4, steps=10)[0]
    >>> x.shape, y.shape, y.dtype
    ((4, 32, 32, 1), (4, 32, 32, 1), dtype('uint8'))
    """

    def __init__(
        self,
        images: Sequence[np.ndarray],
        masks: Sequence[np.ndarray],
        size: int = 128,
        batch_size: int = 8,
        steps: int = 100,
        augmentation: Callable[..., tuple[np.ndarray, np.ndarray]] | None = None,
        seed: int = 0,
        epoch: int = 0,
        weights: Sequence[float] | None = None,
        zoom: tuple[float, float] = (1.0, 1.0),
        **kwargs: Any,
    ) -> None:
        super().__init__(steps, seed, epoch, **kwargs)
        self.size, self.batch_size = check_positive_int("size", size), check_positive_int("batch_size", batch_size)
        self.images, self.masks = (as_list("SegmentationPatches", one) for one in (images, masks))
        self.augmentation = augmentation
        shapes = [image.shape[:2] for image in self.images], [mask.shape[:2] for mask in self.masks]
        if shapes[0] != shapes[1]:
            fail(
                "Images and masks do not fit.", "as many, of the same sizes", f"{shapes}", "Bring them into one order."
            )
        self.zoom = check_zoom(zoom, self.size)
        check_patches("SegmentationPatches", self.images, math.ceil(self.size / self.zoom[0]))
        self.weights = None if weights is None else check_weights(weights, len(self.images))
        for image, mask in zip(self.images, self.masks, strict=True):
            check_float_image("SegmentationPatches", image)
            check_mask("SegmentationPatches", mask)
        if len(channels := sorted({mask.shape[-1] for mask in self.masks})) > 1:
            fail(
                "SegmentationPatches stacks masks.", "masks of equally many channels", f"{channels}", "Add the missing."
            )

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rng = self.random(index)
        images, masks = zip(*(self.patch(rng) for _ in range(self.batch_size)), strict=True)
        images, masks = np.stack(images).astype("float32"), np.stack(masks)
        return self.augmentation(images, masks, int(rng.integers(2**31))) if self.augmentation else (images, masks)

    def patch(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return a random patch of a random image, and the same patch of its mask."""
        count = len(self.images)
        i = rng.integers(count) if self.weights is None else rng.choice(count, p=self.weights)
        low, high = np.log(self.zoom)
        side = self.size if low == high == 0 else round(self.size / np.exp(rng.uniform(low, high)))
        row, column = (rng.integers(length - side + 1) for length in self.images[i].shape[:2])
        window = slice(row, row + side), slice(column, column + side)
        return resized(self.images[i][window], self.size, 1), resized(self.masks[i][window], self.size, 0)


def resized(picture: np.ndarray, size: int, order: int) -> np.ndarray:
    """Return a picture of another size: interpolated linearly (order 1), or as the nearest pixel (order 0)."""
    if picture.shape[0] == size:
        return picture
    smooth = order > 0 and picture.shape[0] > size
    return skimage.transform.resize(
        picture, (size, size), order=order, mode="edge", anti_aliasing=smooth, preserve_range=True
    ).astype(picture.dtype)


def check_zoom(zoom: tuple[float, float], size: int) -> tuple[float, float]:
    """Return the least and the most magnification, two positive numbers that leave a pixel to draw."""
    low, high = zoom if np.shape(zoom) == (2,) else (0, 0)
    if not 0 < low <= high <= size:
        fail(
            "Invalid `zoom`.",
            f"two numbers, 0 < low <= high <= {size}, the size of a patch",
            f"zoom={zoom}",
            "Pass for example (0.5, 2).",
        )
    return float(low), float(high)


def check_weights(weights: Sequence[float], count: int) -> np.ndarray:
    """Return how likely each image is, if there is a weight for each, and one of them is not 0."""
    given = np.asarray(weights, "float64")
    if given.shape != (count,) or not np.isfinite(given).all() or given.min() < 0 or given.sum() == 0:
        fail(
            "Invalid `weights`.",
            f"a number from 0 up for each of {count} images, not all of them 0",
            f"weights={weights}",
            "Pass for example the square root of the number of objects in each image.",
        )
    return given / given.sum()
