import keras
import numpy as np
from keras import ops

from dlt._check import check_images, check_positive_int


def target_pyramid(targets, levels, labels=False):
    """Return targets for all outputs of a deeply supervised network, finest first: full size, half, quarter.

    Sides are halved upwards, as the network does it: 15 pixels, 8, 4. Images are averaged over 2 x 2 pixels. Labels
    must not be: between class 1 and class 3 there is no class 2. Of them every second one is taken.

    Args:
        targets: Array of shape `(batch, height, width, channels)`: images, masks in [0, 1], or labels.
        levels: Whole number of outputs.
        labels: Boolean, whether the numbers are classes.

    Returns:
        List of `levels` arrays of the dtype of `targets`.

    Raises:
        ValueError: If `targets` are no images, or `levels` is not a positive whole number.

    >>> [level.shape for level in target_pyramid(np.zeros((2, 15, 10, 1)), levels=3)]
    [(2, 15, 10, 1), (2, 8, 5, 1), (2, 4, 3, 1)]
    """
    targets = ops.convert_to_numpy(targets)
    check_images("target_pyramid", targets.shape)
    pyramid = [targets]
    for _ in range(check_positive_int("levels", levels) - 1):
        pyramid.append(pyramid[-1][:, ::2, ::2] if labels else halved(pyramid[-1]))
    return pyramid


def halved(images):
    """Return images of half the size, rounded up, each pixel the mean of the 2 x 2 (or fewer) that it covers."""
    batch, height, width, channels = images.shape
    even = np.pad(images, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), "edge")
    blocks = even.reshape(batch, even.shape[1] // 2, 2, even.shape[2] // 2, 2, channels)
    return blocks.mean(axis=(2, 4)).astype(images.dtype)


def supervision_weights(levels):
    """Return default loss weights for the outputs of a deeply supervised network, finest first: 1, 1/2, 1/4, ...

    Args:
        levels: Whole number of outputs.

    Raises:
        ValueError: If `levels` is not a positive whole number.

    >>> supervision_weights(4)
    [1.0, 0.5, 0.25, 0.125]
    """
    return [0.5**level for level in range(check_positive_int("levels", levels))]


class DeepSupervision(keras.utils.PyDataset):
    """A data set for a deeply supervised network: of every batch, the target becomes a pyramid of targets.

    It works with `fit` on every backend: `model.fit(DeepSupervision(data, levels=3))`.

    Args:
        dataset: A `keras.utils.PyDataset` of batches `(input, target)`.
        levels: Whole number of outputs.
        labels: Boolean, whether targets are classes; see `target_pyramid`.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of `keras.utils.PyDataset`.

    Raises:
        ValueError: If `levels` is not a positive whole number.
    """

    def __init__(self, dataset, levels, labels=False, **kwargs):
        super().__init__(**kwargs)
        self.dataset, self.levels, self.labels = dataset, check_positive_int("levels", levels), labels

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        inputs, targets, *weights = self.dataset[index]
        return (inputs, tuple(target_pyramid(targets, self.levels, self.labels)), *weights)

    def on_epoch_begin(self):
        """Pass it on."""
        self.dataset.on_epoch_begin()

    def on_epoch_end(self):
        """Pass it on."""
        self.dataset.on_epoch_end()
