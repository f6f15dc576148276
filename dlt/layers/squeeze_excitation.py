from typing import Any

import keras
from keras import layers, ops

from dlt._check import check_channels, check_positive_int
from dlt.layers._composite import Composite
from dlt.layers._projection import batch_norm, leaky
from dlt.layers._types import Shape, Tensor


@keras.saving.register_keras_serializable(package="dlt")
class SqueezeExcitation(Composite):
    """Weigh the channels of a map by what the whole image shows, then normalize and activate.

    `s = sigmoid(W2 leaky(W1 mean(x)))`, `y = leaky(BN(x * s))`: squeeze each channel to its mean, let a small network
    look at all means and decide on a factor between 0 and 1 per channel. It costs next to nothing, and it is the only
    part of ACC-UNet in which a pixel hears of the whole image.

    Batch normalization and activation at the end are ACC-UNet's addition.

    Reference: Hu, Shen and Sun 2018, "Squeeze-and-Excitation Networks" (https://arxiv.org/abs/1709.01507).

    Args:
        reduction: Whole number, the factor by which the small network is narrower than the map; at least one channel
            is left.

    Input shape: `(batch, ..., channels)`.
    Output shape: the same.

    Raises:
        ValueError: If `reduction` is not a positive whole number, or the number of channels is not fixed.

    >>> layer = SqueezeExcitation()
    >>> tuple(layer(keras.ops.ones((1, 6, 5, 32))).shape)
    (1, 6, 5, 32)
    >>> layer.reduce.units
    4
    """

    def __init__(self, reduction: int = 8, **kwargs: Any):
        super().__init__(**kwargs)
        self.reduction = check_positive_int("reduction", reduction)

    def build_parts(self, input_shape: Shape) -> None:
        channels, policy = check_channels("SqueezeExcitation", input_shape), self.dtype_policy
        self.reduce = layers.Dense(max(1, channels // self.reduction), dtype=policy, name="reduce")
        self.restore = layers.Dense(channels, activation="sigmoid", dtype=policy, name="restore")
        self.norm = batch_norm("norm", policy)
        self.reduce.build((None, channels))
        self.restore.build((None, self.reduce.units))
        self.norm.build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        axes = tuple(range(1, len(inputs.shape) - 1))
        precise = keras.backend.result_type(self.compute_dtype, "float32")  # float16 cannot sum up an image
        means = ops.mean(ops.cast(inputs, precise), axis=axes)  # (B, C): of a matrix, a product is one operation
        scales = self.restore(leaky(self.reduce(ops.cast(means, self.compute_dtype))))
        scales = ops.expand_dims(scales, axes)  # (B, 1, 1, C)
        return leaky(self.norm(ops.multiply(inputs, scales)))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "reduction": self.reduction}
