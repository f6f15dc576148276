import keras
import numpy as np

from dlt._check import check_images, check_positive_int, fail


class SegmentationPatches(keras.utils.PyDataset):
    """Endless training data for segmentation: patches of images of any sizes, and the same patches of their masks.

    Every image is as likely as any other, whatever its size, and so is every place in it. The same seed gives the same
    batches, in every run and with any number of workers: the random numbers of a batch depend on the seed, the epoch
    and the batch's index, and on nothing else.

    Args:
        images: Sequence of float arrays of shape `(height, width, channels)`, each at least `size` wide and high.
        masks: Sequence of arrays of shape `(height, width, any)`: 0 and 1, or labels.
        size: Whole number, height and width of a patch.
        batch_size: Whole number of patches per batch.
        steps: Whole number of batches per epoch.
        augmentation: `f(images, masks, seed) -> (images, masks)`, for example a `JointAugmentation`; None for none.
        seed: Whole number.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of `keras.utils.PyDataset`.

    Gives batches `(images, masks)`: images float32 of shape `(batch_size, size, size, channels)`, masks of their own
    dtype.

    Raises:
        ValueError: If a number is out of range, an image is smaller than a patch, or a mask does not fit its image.

    >>> images, masks = [np.zeros((64, 80, 1), "float32")], [np.zeros((64, 80, 1), "uint8")]
    >>> x, y = SegmentationPatches(images, masks, size=32, batch_size=4, steps=10)[0]
    >>> x.shape, y.shape, y.dtype
    ((4, 32, 32, 1), (4, 32, 32, 1), dtype('uint8'))
    """

    def __init__(self, images, masks, size=128, batch_size=8, steps=100, augmentation=None, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.images, self.masks, self.size = list(images), list(masks), check_positive_int("size", size)
        shapes = [image.shape[:2] for image in self.images], [mask.shape[:2] for mask in self.masks]
        if shapes[0] != shapes[1]:
            fail(
                "Images and masks do not fit.", "as many, of the same sizes", f"{shapes}", "Bring them into one order."
            )
        for image in self.images:
            check_images("SegmentationPatches", (1, *image.shape), self.size)
        self.batch_size, self.steps = check_positive_int("batch_size", batch_size), check_positive_int("steps", steps)
        self.augmentation, self.seed, self.epoch = augmentation, seed, 0

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        rng = np.random.default_rng((self.seed, self.epoch, index))
        images, masks = zip(*(self.patch(rng) for _ in range(self.batch_size)), strict=True)
        images, masks = np.stack(images).astype("float32"), np.stack(masks)
        return self.augmentation(images, masks, int(rng.integers(2**31))) if self.augmentation else (images, masks)

    def patch(self, rng):
        """Return a random patch of a random image, and the same patch of its mask."""
        i = rng.integers(len(self.images))
        row, column = (rng.integers(side - self.size + 1) for side in self.images[i].shape[:2])
        window = slice(row, row + self.size), slice(column, column + self.size)
        return self.images[i][window], self.masks[i][window]

    def on_epoch_end(self):
        """Move on to new random numbers."""
        self.epoch += 1
