from typing import Any

import keras
from keras import layers, ops

from dlt._check import check_images, check_positive_int
from dlt.layers._composite import Composite
from dlt.layers._projection import batch_norm, leaky
from dlt.layers._types import Regularizer, Shape, Tensor
from dlt.layers.squeeze_excitation import SqueezeExcitation


@keras.saving.register_keras_serializable(package="dlt")
class ResPath(Composite):
    """Work on a skip connection before the decoder gets it: residual 3x3 convolutions with squeeze-and-excitation.

    `num_blocks` times `x = x + SE(leaky(BN(conv3x3(x))))`, then `BN(leaky(BN(x)))`. What a U-Net's encoder has
    found early is raw, what the decoder knows is refined; the path bridges this gap, and is longer where it is wider,
    at the top. The sum has no normalization of its own, so maps grow until the end.

    References: Ibtehaz and Rahman 2020, "MultiResUNet" (https://arxiv.org/abs/1902.04049), had the idea; Ibtehaz and
    Kihara 2023, "ACC-UNet" (https://arxiv.org/abs/2308.13680), this form.

    Args:
        num_blocks: Whole number of residual convolutions.
        kernel_regularizer: Optional Keras regularizer for the kernels of the convolutions.

    Input shape: `(batch, height, width, channels)`.
    Output shape: the same.

    Raises:
        ValueError: If `num_blocks` is not a positive whole number, or the input is not a batch of images.

    >>> tuple(ResPath(2)(keras.ops.ones((1, 7, 5, 8))).shape)
    (1, 7, 5, 8)
    """

    def __init__(self, num_blocks: int, kernel_regularizer: Regularizer = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_blocks = check_positive_int("num_blocks", num_blocks)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build_parts(self, input_shape: Shape) -> None:
        check_images("ResPath", input_shape)
        self.blocks = [self._block(i, input_shape[-1]) for i in range(self.num_blocks)]
        self.norms = [batch_norm(name, self.dtype_policy) for name in ("sum_norm", "out_norm")]
        for layer in (*(layer for block in self.blocks for layer in block), *self.norms):
            layer.build(input_shape)

    def _block(self, i, channels):
        conv = layers.Conv2D(
            channels,
            3,
            padding="same",
            data_format="channels_last",
            kernel_regularizer=self.kernel_regularizer,
            dtype=self.dtype_policy,
            name=f"block_{i}_conv",
        )
        norm = batch_norm(f"block_{i}_norm", self.dtype_policy)
        return [conv, norm, SqueezeExcitation(dtype=self.dtype_policy, name=f"block_{i}_excite")]

    def call(self, inputs: Tensor) -> Tensor:
        x = inputs
        for conv, norm, excite in self.blocks:
            x = ops.add(x, excite(leaky(norm(conv(x)))))
        sum_norm, out_norm = self.norms
        return out_norm(leaky(sum_norm(x)))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "num_blocks": self.num_blocks,
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
