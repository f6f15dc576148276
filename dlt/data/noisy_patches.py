import keras
import numpy as np

from dlt._check import check_images, check_positive_int, fail


class NoisyPatches(keras.utils.PyDataset):
    """Endless training data for a denoiser: patches of photographs, and the same patches with Gaussian noise.

    Every patch has a noise level of its own, drawn uniformly from a range, so that the network learns to find out how
    noisy an image is. Patches are turned by multiples of 90 degrees and mirrored. Noise is added in float and not
    clipped: clipping would make it depend on the image.

    The same seed gives the same batches, in every run and with any number of workers: the random numbers of a batch
    depend on the seed, the epoch and the batch's index, and on nothing else.

    Args:
        images: Sequence of uint8 arrays of shape `(height, width, channels)`, each at least `size` wide and high.
        sigma: `(low, high)`, the range of standard deviations, in grey levels of 0 to 255.
        size: Whole number, height and width of a patch.
        batch_size: Whole number of patches per batch.
        steps: Whole number of batches per epoch.
        seed: Whole number.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of `keras.utils.PyDataset`.

    Gives batches `(noisy, clean)`, float32 of shape `(batch_size, size, size, channels)`, with black 0 and white 1.

    Raises:
        ValueError: If a number is out of range, or an image is no image or smaller than a patch.

    >>> photo = np.zeros((64, 80, 1), "uint8")
    >>> noisy, clean = NoisyPatches([photo], sigma=(25, 25), size=32, batch_size=4, steps=10)[0]
    >>> noisy.shape, round(float(255 * (noisy - clean).std()))
    ((4, 32, 32, 1), 25)
    """

    def __init__(self, images, sigma=(0, 55), size=64, batch_size=16, steps=100, seed=0, **kwargs):
        super().__init__(**kwargs)
        low, high = sigma
        if not 0 <= low <= high < np.inf:
            fail("Invalid `sigma`.", "(low, high) with 0 <= low <= high", f"sigma={sigma}", "Pass for example (0, 55).")
        for image in images:
            check_images("NoisyPatches", (1, *image.shape), check_positive_int("size", size))
        self.images, self.sigma, self.size, self.seed = list(images), (low, high), size, seed
        self.batch_size, self.steps = check_positive_int("batch_size", batch_size), check_positive_int("steps", steps)
        self.epoch = 0

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        rng = np.random.default_rng((self.seed, self.epoch, index))
        clean = np.stack([self.patch(rng) for _ in range(self.batch_size)]).astype("float32") / 255
        sigma = rng.uniform(*self.sigma, size=(self.batch_size, 1, 1, 1)) / 255
        return clean + (sigma * rng.standard_normal(clean.shape)).astype("float32"), clean

    def patch(self, rng):
        """Return one random patch of one random image, turned and mirrored at random."""
        image = self.images[rng.integers(len(self.images))]
        row, column = (rng.integers(side - self.size + 1) for side in image.shape[:2])
        patch = np.rot90(image[row : row + self.size, column : column + self.size], rng.integers(4))
        return patch[:, ::-1] if rng.integers(2) else patch

    def on_epoch_end(self):
        """Move on to new random numbers."""
        self.epoch += 1
