import keras
from keras import ops


def dice_coefficient(y_true, y_pred, threshold=0.5):
    """Return how well two masks overlap, image by image: `2 |A and B| / (|A| + |B|)`.

    It is the F1 score of the pixels. Two empty masks agree perfectly: 1.

    Args:
        y_true: Tensor of shape `(batch, height, width, 1)` of 0 and 1.
        y_pred: Tensor of the same shape, probabilities.
        threshold: Float; what is above it counts as predicted.

    Returns:
        Float32 tensor of shape `(batch,)`.

    >>> a, b = ops.ones((1, 4, 4, 1)), ops.pad(ops.ones((1, 2, 4, 1)), ((0, 0), (0, 2), (0, 0), (0, 0)))
    >>> round(float(dice_coefficient(a, b)[0]), 4)
    0.6667
    """
    a, b = (ops.cast(mask > threshold, "float32") for mask in (ops.cast(y_true, "float32"), y_pred))
    both, total = (ops.sum(x, axis=(1, 2, 3)) for x in (a * b, a + b))
    return ops.where(total > 0, 2 * both / ops.maximum(total, 1.0), 1.0)


@keras.saving.register_keras_serializable(package="dlt")
class DiceCoefficient(keras.metrics.MeanMetricWrapper):
    """Mean over images of the Dice coefficient of each, so that an image with few objects counts as much as any.

    `keras.metrics.BinaryIoU` and `F1Score` pool the pixels of all images; there a full image outweighs ten sparse ones.

    Args:
        threshold: Float; what is above it counts as predicted.
        name: String.
        **kwargs: `dtype` of `keras.metrics.Metric`.
    """

    def __init__(self, threshold=0.5, name="dice", **kwargs):
        super().__init__(dice_coefficient, name=name, threshold=threshold, **kwargs)
        self.threshold = threshold

    def get_config(self):
        """Return the constructor's arguments."""
        return {"name": self.name, "dtype": self.dtype, "threshold": self.threshold}
