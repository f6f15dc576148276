import keras

from dlt._check import check_fraction


@keras.saving.register_keras_serializable(package="dlt")
class BinaryCrossentropyDice(keras.losses.Loss):
    """Binary cross-entropy and Dice loss as one: the first has a gradient everywhere, the second sees rare pixels.

    Cross-entropy asks each pixel alone, so where 99 of 100 are ground it is content with all ground. Dice asks for the
    overlap, `1 - 2 |A and B| / (|A| + |B|)`, and ground found right counts nothing; but its gradient is almost zero
    where prediction and truth do not touch.

    loss = (1 - dice) * cross-entropy + dice * (1 - Dice coefficient)

    Reference: Ibtehaz and Kihara 2023, who weigh them half and half (https://arxiv.org/abs/2308.13680). The Dice loss
    is `keras.losses.Dice`.

    Args:
        dice: Float in [0, 1), the weight of the Dice loss.
        axis: None takes the overlap of the whole batch, as `keras.losses.Dice` does; `(1, 2, 3)` that of each image. An
            image without any object has a Dice loss of 1 then, whatever is predicted.
        name: String.
        **kwargs: `reduction` and `dtype` of `keras.losses.Loss`.

    Raises:
        ValueError: If `dice` is not in [0, 1).

    >>> mask = keras.ops.ones((1, 2, 2, 1))
    >>> float(BinaryCrossentropyDice()(mask, mask)) < 1e-6
    True
    """

    def __init__(self, dice=0.5, axis=None, name="bce_dice", **kwargs):
        super().__init__(name=name, **kwargs)
        self.dice = check_fraction("dice", dice, "Take keras.losses.Dice for 1, keras.losses.BinaryCrossentropy for 0.")
        self.axis = axis if axis is None else tuple(axis)

    def call(self, y_true, y_pred):
        """Return the loss of each image."""
        crossentropy = keras.ops.mean(keras.losses.binary_crossentropy(y_true, y_pred), axis=(1, 2))
        overlap = keras.losses.dice(y_true, y_pred, axis=self.axis)
        return (1 - self.dice) * crossentropy + self.dice * overlap

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "dice": self.dice, "axis": self.axis}
