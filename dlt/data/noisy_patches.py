from collections.abc import Sequence
from typing import Any

import numpy as np

from dlt._arrays import white
from dlt._check import check_positive_int, fail
from dlt.data._epochs import RandomBatches
from dlt.data._patches import as_list, check_patches


class NoisyPatches(RandomBatches):
    """Endless training data for a denoiser: patches of photographs, and the same patches with Gaussian noise.

    Every patch has a noise level of its own, drawn uniformly from a range, so that the network learns to find out how
    noisy an image is. Patches are turned by multiples of 90 degrees and mirrored. Noise is added in float and not
    clipped: clipping would make it depend on the image.

    The same seed gives the same batches, in every run and with any number of workers: the random numbers of a batch
    depend on the seed, the epoch and the batch's index, and on nothing else. Their order is Keras's: `fit` shuffles it
    by Python's random numbers, unless it is given `shuffle=False`.

    Args:
        images: Sequence of arrays of shape `(height, width, channels)`, each at least `size` wide and high: uint8
            (white is 255), uint16 (white is 65535), or floats from 0 to 1.
        sigma: `(low, high)`, the range of standard deviations, in grey levels of 0 to 255, whatever the images are.
        size: Whole number, height and width of a patch.
        batch_size: Whole number of patches per batch.
        steps: Whole number of batches per epoch.
        seed: Whole number.
        epoch: Whole number of epochs that a training before this one has seen: with the `initial_epoch` of `fit` it
            goes on with the batches that would have come. A second `fit` with the same object does so by itself.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of `keras.utils.PyDataset`. With more than one
            worker, `fit` on JAX and PyTorch begins with batches that it drew to look at them, as Keras 3.15 has it.

    Gives batches `(noisy, clean)`, float32 of shape `(batch_size, size, size, channels)`, with black 0 and white 1.

    Raises:
        ValueError: If a number is out of range, an image is no image or smaller than a patch, or it is unclear which of
            its values is white.

    >>> photo = np.zeros((64, 80, 1), "uint8")
    >>> noisy, clean = NoisyPatches([photo], sigma=(25, 25), size=32, batch_size=4, steps=10)[0]
    >>> noisy.shape, round(float(255 * (noisy - clean).std()))
    ((4, 32, 32, 1), 25)
    """

    def __init__(
        self,
        images: Sequence[np.ndarray],
        sigma: tuple[float, float] = (0, 55),
        size: int = 64,
        batch_size: int = 16,
        steps: int = 100,
        seed: int = 0,
        epoch: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(steps, seed, epoch, **kwargs)
        if np.shape(sigma) != (2,) or not 0 <= sigma[0] <= sigma[1] < np.inf:
            fail("Invalid `sigma`.", "(low, high) with 0 <= low <= high", f"sigma={sigma}", "Pass for example (0, 55).")
        self.images, self.sigma = as_list("NoisyPatches", images), tuple(sigma)
        self.size, self.batch_size = check_positive_int("size", size), check_positive_int("batch_size", batch_size)
        check_patches("NoisyPatches", self.images, self.size)
        self.whites = [white("NoisyPatches", image) for image in self.images]

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rng = self.random(index)
        clean = np.stack([self.patch(rng) for _ in range(self.batch_size)])
        sigma = rng.uniform(self.sigma[0], self.sigma[1], size=(self.batch_size, 1, 1, 1)) / 255
        return clean + (sigma * rng.standard_normal(clean.shape)).astype("float32"), clean

    def patch(self, rng: np.random.Generator) -> np.ndarray:
        """Return one random patch of one random image, black 0 and white 1, turned and mirrored at random."""
        i = rng.integers(len(self.images))
        row, column = (rng.integers(side - self.size + 1) for side in self.images[i].shape[:2])
        window = self.images[i][row : row + self.size, column : column + self.size]
        patch = np.rot90(window.astype("float32") / self.whites[i], int(rng.integers(4)))
        return patch[:, ::-1] if rng.integers(2) else patch
