from typing import Any

import keras
from keras import ops

from dlt._arrays import check_masks, image_weights
from dlt._check import check_fraction, fail


def dice_coefficient(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """Return how well two masks overlap, image by image: `2 |A and B| / (|A| + |B|)`.

    It is the F1 score of the pixels. Two empty masks agree perfectly: 1.

    Args:
        y_true: Tensor of shape `(batch, height, width, 1)` of 0 and 1 (or 255): what is above 0.5 is true.
        y_pred: Tensor of the same shape, probabilities.
        threshold: Float in [0, 1); what is above it counts as predicted.

    Returns:
        Float32 tensor of shape `(batch,)`.

    Raises:
        ValueError: If the shapes differ or are no masks', or `threshold` is out of range.

    >>> a, b = ops.ones((1, 4, 4, 1)), ops.pad(ops.ones((1, 2, 4, 1)), ((0, 0), (0, 2), (0, 0), (0, 0)))
    >>> round(float(dice_coefficient(a, b)[0]), 4)
    0.6667
    """
    y_true, y_pred = (ops.cast(ops.convert_to_tensor(mask), "float32") for mask in (y_true, y_pred))
    check_masks("dice_coefficient", y_true, y_pred)
    if y_pred.shape[-1] != 1:
        fail(
            "dice_coefficient compares one class with the rest.",
            "masks of one channel",
            f"shape={tuple(y_pred.shape)}",
            "Compare class by class, `masks[..., i : i + 1]`.",
        )
    a = ops.cast(y_true > 0.5, "float32")
    b = ops.cast(y_pred > check_fraction("threshold", threshold, "Pass for example 0.5."), "float32")
    both, total = (ops.sum(x, axis=(1, 2, 3)) for x in (a * b, a + b))
    return ops.where(total > 0, 2 * both / ops.maximum(total, 1.0), 1.0)


@keras.saving.register_keras_serializable(package="dlt")
class DiceCoefficient(keras.metrics.MeanMetricWrapper):
    """Mean over images of the Dice coefficient of each, so that an image with few objects counts as much as any.

    `keras.metrics.BinaryIoU` and `F1Score` pool the pixels of all images; there a full image outweighs ten sparse ones.

    Args:
        threshold: Float in [0, 1); what is above it counts as predicted.
        name: String.
        **kwargs: `dtype` of `keras.metrics.Metric`.

    Raises:
        ValueError: If `threshold` is out of range; when updated, if the masks have not the same shape
            `(batch, height, width, 1)`, or there is a weight for each pixel.
    """

    def __init__(self, threshold: float = 0.5, name: str = "dice", **kwargs: Any) -> None:
        threshold = check_fraction("threshold", threshold, "Pass for example 0.5.")
        super().__init__(dice_coefficient, name=name, threshold=threshold, **kwargs)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Take the images of a batch into the mean, each with its weight."""
        return super().update_state(y_true, y_pred, image_weights("DiceCoefficient", sample_weight))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name, "dtype": self.dtype, "threshold": self.threshold}
