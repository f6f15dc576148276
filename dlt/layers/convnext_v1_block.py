from typing import Any

import keras

from dlt._check import check_positive
from dlt.layers._convnext_block import ConvNeXtBlock
from dlt.layers._types import Regularizer
from dlt.layers.layer_scale import LayerScale


@keras.saving.register_keras_serializable(package="dlt")
class ConvNeXtV1Block(ConvNeXtBlock):
    """The ConvNeXt block: mix space cheaply, mix channels widely, add the result to the input.

    A depthwise 7x7 convolution lets each channel look around; two dense layers with a GELU between them let each
    pixel's channels talk, in a space four times as wide; `LayerScale` starts the branch almost silent:

    `y = x + drop(gamma * W2 gelu(W1 LN(depthwise(x))))`

    Every weight is in `block.branch`, a list of named layers in the order of the formula.

    `block(x, visible=mask)` hides the pixels where `mask`, of shape `(batch, height, width, 1)`, is 0 from all others
    (see `dlt.models.MaskedAutoencoder`).

    Reference: Liu et al. 2022, "A ConvNet for the 2020s" (https://arxiv.org/abs/2201.03545).

    Args:
        kernel_size: Whole number, the side of the depthwise kernel.
        layer_scale: Positive float, what every LayerScale gamma starts as.
        drop_path_rate: Float in [0, 1), the probability that stochastic depth drops a sample's branch in training.
        kernel_regularizer: Optional Keras regularizer for the depthwise and dense kernels.
        use_bias: Boolean, whether anything is added inside the branch, LayerNorm's beta included.
        normalization: "layer", "bias_free_batch" (`BiasFreeBatchNormalization`), or None for none.
        activation: Name of a Keras activation, or a function. Without bias, with a normalization other than "layer",
            and with "relu" or "leaky_relu", the block keeps the scale: `f(a x) = a f(x)` at inference.

    Input shape: `(batch, height, width, channels)`.
    Output shape: the same.

    Raises:
        ValueError: If an argument is out of range, or the input is not a batch of images.

    >>> block = ConvNeXtV1Block()
    >>> tuple(block(keras.ops.zeros((1, 14, 14, 96))).shape)
    (1, 14, 14, 96)
    """

    def __init__(
        self,
        kernel_size: int = 7,
        layer_scale: float = 1e-6,
        drop_path_rate: float = 0.0,
        kernel_regularizer: Regularizer = None,
        **kwargs: Any,
    ):
        super().__init__(kernel_size, drop_path_rate, kernel_regularizer, **kwargs)
        self.layer_scale = check_positive("layer_scale", layer_scale)

    def after_projection(self) -> list[keras.layers.Layer]:
        return [LayerScale(self.layer_scale, dtype=self.dtype_policy, name="layer_scale")]

    def get_config(self) -> dict:
        return {**super().get_config(), "layer_scale": self.layer_scale}
