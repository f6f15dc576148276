from typing import Any

import keras

from dlt._arrays import check_masks, image_weights
from dlt._check import check_fraction, fail


@keras.saving.register_keras_serializable(package="dlt")
class BinaryCrossentropyDice(keras.losses.Loss):
    """Binary cross-entropy and Dice loss as one: the first has a gradient everywhere, the second sees rare pixels.

    Cross-entropy asks each pixel alone, so where 99 of 100 are background it is content with a mask that is all
    background. Dice asks for the overlap, `1 - 2 |A and B| / (|A| + |B|)`, and background found right counts nothing;
    but its gradient is almost zero where prediction and truth do not touch.

    loss = (1 - dice) * cross-entropy + dice * (1 - Dice coefficient)

    Reference: Ibtehaz and Kihara 2023, who weigh them half and half (https://arxiv.org/abs/2308.13680). The Dice loss
    is `keras.losses.Dice`.

    Args:
        dice: Float in [0, 1), the weight of the Dice loss.
        axis: None takes the overlap of the whole batch, as `keras.losses.Dice` does; `(1, 2, 3)` that of each image. An
            image without any object has a Dice loss of 1 then, whatever is predicted.
        name: String.
        **kwargs: `reduction` and `dtype` of `keras.losses.Loss`.

    Masks are tensors of shape `(batch, height, width, channels)`, the true ones from 0 to 1, the predicted ones
    probabilities (in `fit` nobody can look at them: masks of 0 and 255 have to be divided before); `sample_weight` is
    one number per image.

    Raises:
        ValueError: If `dice` is not in [0, 1), or `axis` is something else; when called, if the two masks have not the
            same four axes, or there is a weight for each pixel.

    >>> mask = keras.ops.ones((1, 2, 2, 1))
    >>> float(BinaryCrossentropyDice()(mask, mask)) < 1e-6
    True
    """

    def __init__(
        self, dice: float = 0.5, axis: tuple[int, int, int] | None = None, name: str = "bce_dice", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.dice = check_fraction("dice", dice, "Take keras.losses.Dice for 1, keras.losses.BinaryCrossentropy for 0.")
        if axis is not None and (not isinstance(axis, list | tuple) or tuple(axis) != (1, 2, 3)):
            fail("Invalid `axis`.", "None or (1, 2, 3)", f"axis={axis!r}", "Pass None to pool the batch.")
        self.axis = axis if axis is None else tuple(axis)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss: by default the mean over the images, each times its weight."""
        return super().__call__(y_true, y_pred, image_weights("BinaryCrossentropyDice", sample_weight))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each image."""
        check_masks("BinaryCrossentropyDice", y_true, y_pred)
        crossentropy = keras.ops.mean(keras.losses.binary_crossentropy(y_true, y_pred), axis=(1, 2))
        overlap = keras.losses.dice(y_true, y_pred, axis=self.axis)
        return (1 - self.dice) * crossentropy + self.dice * overlap

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "dice": self.dice, "axis": self.axis}
