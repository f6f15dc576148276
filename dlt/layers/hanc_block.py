from typing import Any

import keras
from keras import layers, ops

from dlt._check import check_images, check_positive_int, fail
from dlt.layers._composite import Composite
from dlt.layers._projection import batch_norm, leaky
from dlt.layers._types import Regularizer, Shape, Tensor
from dlt.layers.hanc_layer import HANCLayer
from dlt.layers.squeeze_excitation import SqueezeExcitation


@keras.saving.register_keras_serializable(package="dlt")
class HANCBlock(Composite):
    """The block of ACC-UNet: an inverted bottleneck that also looks at pooled neighbourhoods.

    Expand (1x1), depthwise 3x3, `HANCLayer` back to the width of the input, add the input, normalize, change the width
    (1x1), `SqueezeExcitation`. Every convolution is followed by batch normalization and leaky ReLU. The sum is always
    there, also where `filters` differs from `input_channels`, since the width changes only after it.

    Reference: Ibtehaz and Kihara 2023, "ACC-UNet" (https://arxiv.org/abs/2308.13680).

    Args:
        filters: Whole number of output channels.
        input_channels: Whole number of channels that the input has.
        k: Whole number, passed to `HANCLayer`: it pools up to blocks of `2**(k-1)` pixels a side.
        expansion: Whole number, how many times wider than the input the block is inside.
        kernel_regularizer: Optional Keras regularizer for the kernels of all convolutions.

    Input shape: `(batch, height, width, input_channels)`, height and width multiples of `2**(k-1)`.
    Output shape: `(batch, height, width, filters)`.

    Raises:
        ValueError: If an argument is out of range, the input does not have `input_channels` channels, or a side cannot
            be halved k - 1 times.

    >>> tuple(HANCBlock(filters=8, input_channels=3, k=3)(keras.ops.ones((1, 12, 4, 3))).shape)
    (1, 12, 4, 8)
    """

    def __init__(
        self,
        filters: int,
        input_channels: int,
        k: int = 3,
        expansion: int = 3,
        kernel_regularizer: Regularizer = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = check_positive_int("filters", filters)
        self.input_channels = check_positive_int("input_channels", input_channels)
        self.k = check_positive_int("k", k)
        self.expansion = check_positive_int("expansion", expansion)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build_parts(self, input_shape: Shape) -> None:
        check_images("HANCBlock", input_shape)
        if input_shape[-1] != self.input_channels:
            fail(
                "Input channels mismatch in HANCBlock.",
                f"an input with input_channels={self.input_channels} channels",
                f"input_shape={tuple(input_shape)}",
                f"Pass input_channels={input_shape[-1]}.",
            )
        policy, regularizer = self.dtype_policy, self.kernel_regularizer
        image = {"data_format": "channels_last", "dtype": policy}
        conv = {"kernel_regularizer": regularizer, **image}
        self.branch = [
            layers.Conv2D(self.expansion * self.input_channels, 1, name="expand", **conv),
            batch_norm("expand_norm", policy),
            layers.DepthwiseConv2D(3, padding="same", depthwise_regularizer=regularizer, name="depthwise", **image),
            batch_norm("depthwise_norm", policy),
            HANCLayer(self.input_channels, self.k, regularizer, dtype=policy, name="hanc"),
        ]
        self.sum_norm = batch_norm("sum_norm", policy)
        self.project = layers.Conv2D(self.filters, 1, name="project", **conv)
        self.project_norm = batch_norm("project_norm", policy)
        self.excite = SqueezeExcitation(dtype=policy, name="excite")
        for layer in (*self.branch, self.sum_norm, self.project, self.project_norm, self.excite):
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        expand, expand_norm, depthwise, depthwise_norm, hanc = self.branch
        x = leaky(expand_norm(expand(inputs)))
        x = leaky(depthwise_norm(depthwise(x)))
        x = self.sum_norm(ops.add(inputs, hanc(x)))
        x = leaky(self.project_norm(self.project(x)))
        return self.excite(x)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "filters": self.filters,
            "input_channels": self.input_channels,
            "k": self.k,
            "expansion": self.expansion,
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
