from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from dlt._arrays import is_float
from dlt._check import check_images, check_positive_int, fail


def target_pyramid(targets: Any, levels: int, labels: bool = False) -> tuple[Any, ...]:
    """Return targets for all outputs of a deeply supervised network, finest first: full size, half, quarter.

    Sides are halved upwards, as the network does it: 15 pixels, 8, 4. Images are averaged over 2 x 2 pixels, so that
    the mean stays (but for odd sides). Labels must not be: between class 1 and class 3 there is no class 2. Of them
    every second one is taken.

    In a `tf.data` pipeline (on TensorFlow): `dataset.map(lambda x, y: (x, target_pyramid(y, levels=3)))`. Weights of
    pixels, `(batch, height, width, 1)`, go the same way.

    Args:
        targets: NumPy array or tensor of shape `(batch, height, width, channels)`: images or masks, as floats, or as
            whole numbers of 0 and 1 or booleans; or labels.
        levels: Whole number of outputs.
        labels: Boolean, whether the numbers are classes.

    Returns:
        Tuple of `levels` arrays or tensors: of the dtype of `targets` if they are floats or labels, otherwise float32.

    Raises:
        ValueError: If `targets` are no batch of images, or are larger whole numbers and no labels, or `levels` is not a
            positive whole number.

    >>> [level.shape for level in target_pyramid(np.zeros((2, 15, 10, 1)), levels=3)]
    [(2, 15, 10, 1), (2, 8, 5, 1), (2, 4, 3, 1)]
    """
    targets = targets if hasattr(targets, "shape") else np.asarray(targets)
    check_images("target_pyramid", targets.shape)
    pyramid = [targets if labels else as_floats(targets)]
    for _ in range(check_positive_int("levels", levels) - 1):
        pyramid.append(pyramid[-1][:, ::2, ::2] if labels else halved(pyramid[-1]))
    return tuple(pyramid)


def as_floats(targets: Any) -> Any:
    """Return images as floats; the mean of whole numbers is none, and that of 3 and 5 means nothing if they name."""
    if not isinstance(targets, np.ndarray):
        return targets if keras.backend.is_float_dtype(targets.dtype) else ops.cast(targets, "float32")
    if is_float(targets):
        return targets
    if targets.size and (targets.min() < 0 or targets.max() > 1):
        fail(
            "target_pyramid cannot tell whether these whole numbers are classes.",
            "floats, or whole numbers of 0 and 1",
            f"{targets.dtype} from {targets.min()} to {targets.max()}",
            "Pass labels=True for classes; divide images and masks by the value that is white.",
        )
    return targets.astype("float32")


def halved(images: Any) -> Any:
    """Return images of half the size, rounded up, each pixel the mean of the 2 x 2 (or fewer) that it covers."""
    if not isinstance(images, np.ndarray):
        return ops.average_pool(images, 2, 2, "same", data_format="channels_last")
    batch, height, width, channels = images.shape
    even = np.pad(images, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), "edge")
    blocks = even.reshape(batch, even.shape[1] // 2, 2, even.shape[2] // 2, 2, channels)
    return blocks.mean(axis=(2, 4)).astype(images.dtype)


def weight_pyramid(weights: Any, targets: np.ndarray, levels: int, labels: bool) -> tuple[Any, ...]:
    """Return the weights of all outputs: one per image stays, one per pixel is halved along with the targets."""
    if isinstance(weights, list | tuple):  # one for each output already
        return tuple(weights)
    weights = ops.convert_to_numpy(weights).astype("float32")
    batch, height, width, _ = targets.shape
    if weights.size == batch == len(weights):
        return (weights.reshape(batch, 1, 1),) * levels  # Keras would take (batch,) for weights of columns
    if weights.shape not in ((batch, height, width), (batch, height, width, 1)):
        fail(
            "Weights that do not fit the targets.",
            f"one per image, shape {(batch,)}, or one per pixel, shape {(batch, height, width)}",
            f"shape={weights.shape}",
            "Give every image or every pixel one weight.",
        )
    pyramid = target_pyramid(weights.reshape(batch, height, width, 1), levels, labels)
    return tuple(level[..., 0] for level in pyramid)


def supervision_weights(levels: int) -> list[float]:
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

    It works with `fit` on every backend: `model.fit(DeepSupervision(data, levels=3))`. For arrays and for `tf.data`
    there is `target_pyramid`.

    Args:
        dataset: A `keras.utils.PyDataset` of batches `(input, target)` or `(input, target, weights)`. Weights are one
            per image, of shape `(batch,)`, or one per pixel, `(batch, height, width)`: then they are averaged as the
            targets are (or picked, with `labels=True`). Those of images come as `(batch, 1, 1)`, which fits losses of
            pixels, as Keras's are.
        levels: Whole number of outputs.
        labels: Boolean, whether targets are classes; see `target_pyramid`.
        **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of `keras.utils.PyDataset`.

    Raises:
        ValueError: If `dataset` is something else, a batch of it does not fit, or `levels` is not a positive whole
            number.
    """

    def __init__(self, dataset: keras.utils.PyDataset, levels: int, labels: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(dataset, keras.utils.PyDataset):
            fail(
                "DeepSupervision wraps data sets of Keras.",
                "a keras.utils.PyDataset",
                f"{type(dataset).__name__}",
                "Of arrays take `target_pyramid(y, levels)`; a tf.data.Dataset map: "
                "`dataset.map(lambda x, y: (x, target_pyramid(y, levels)))`.",
            )
        self.dataset, self.levels, self.labels = dataset, check_positive_int("levels", levels), labels

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        batch = self.dataset[index]
        if not isinstance(batch, Sequence) or len(batch) not in (2, 3):
            got = f"{len(batch)} parts" if isinstance(batch, Sequence) else type(batch).__name__
            fail("Nothing to supervise.", "(input, target) or (input, target, weights)", got, "Add the target.")
        inputs, targets, *weights = batch
        targets = ops.convert_to_numpy(targets)
        pyramid = target_pyramid(targets, self.levels, self.labels)
        return inputs, pyramid, *(weight_pyramid(one, targets, self.levels, self.labels) for one in weights)

    def on_epoch_begin(self) -> None:
        """Pass it on."""
        self.dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Pass it on."""
        self.dataset.on_epoch_end()
