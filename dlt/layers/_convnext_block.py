from typing import Any

import keras
from keras import layers, ops

from dlt._check import check_choice, check_images, check_positive_int, check_rate
from dlt.layers._composite import Composite
from dlt.layers._gelu import exportable
from dlt.layers._types import Activation, Regularizer, Shape, Tensor
from dlt.layers.bias_free_batch_normalization import BiasFreeBatchNormalization
from dlt.layers.stochastic_depth import StochasticDepth


def kernel_initializer() -> keras.initializers.Initializer:
    """Return the ConvNeXt initializer, a fresh one per kernel: one shared instance would repeat its values."""
    return keras.initializers.TruncatedNormal(stddev=0.02)


NORMALIZATIONS = ("layer", "bias_free_batch", None)
MIX_PIXELS = ("depthwise", "grn")  # all others look at one pixel at a time


def normalize(normalization: str | None, use_bias: bool, dtype: keras.dtype_policies.DTypePolicy) -> list[layers.Layer]:
    """Return the list of layers, one or none, that a name in `NORMALIZATIONS` stands for."""
    if normalization == "layer":
        return [layers.LayerNormalization(epsilon=1e-6, center=use_bias, dtype=dtype, name="norm")]
    if normalization == "bias_free_batch":
        return [BiasFreeBatchNormalization(dtype=dtype, name="norm")]
    return []


class ConvNeXtBlock(Composite):
    """What ConvNeXt's two blocks share: a chain of layers whose result is added to the input.

    `y = x + branch(x)`: depthwise convolution, normalization, expand four times, activation, `before_projection()`,
    project back, `after_projection()`, stochastic depth. The chain is `self.branch`, in this order and by these names.

    Called with a second tensor, `visible`, of shape `(batch, height, width, 1)`, 1 for a pixel that is there and 0 for
    one that is hidden, the block computes at each visible pixel what a submanifold sparse convolution would: whatever
    mixes pixels is given zeros in place of the hidden ones. What it gives at hidden pixels means nothing.
    """

    def __init__(
        self,
        kernel_size: int = 7,
        drop_path_rate: float = 0.0,
        kernel_regularizer: Regularizer = None,
        use_bias: bool = True,
        normalization: str | None = "layer",
        activation: Activation = "gelu",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.kernel_size = check_positive_int("kernel_size", kernel_size)
        self.drop_path_rate = check_rate("drop_path_rate", drop_path_rate)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.use_bias = bool(use_bias)
        self.normalization = check_choice("normalization", normalization, NORMALIZATIONS)
        self.activation = keras.activations.get(activation)

    def before_projection(self) -> list[layers.Layer]:
        """Return the layers between GELU and projection, on the expanded channels."""
        return []

    def after_projection(self) -> list[layers.Layer]:
        """Return the layers between projection and stochastic depth."""
        return []

    def build_parts(self, input_shape: Shape) -> None:
        check_images(type(self).__name__, input_shape)
        self.branch = self._branch(channels=input_shape[-1])
        shape = input_shape
        for layer in self.branch:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def _branch(self, channels):
        policy = self.dtype_policy
        dense = {"kernel_regularizer": self.kernel_regularizer, "use_bias": self.use_bias, "dtype": policy}
        return [
            layers.DepthwiseConv2D(
                self.kernel_size,
                padding="same",
                data_format="channels_last",
                use_bias=self.use_bias,
                depthwise_initializer=kernel_initializer(),
                depthwise_regularizer=self.kernel_regularizer,
                dtype=policy,
                name="depthwise",
            ),
            *normalize(self.normalization, self.use_bias, policy),
            layers.Dense(4 * channels, kernel_initializer=kernel_initializer(), name="expand", **dense),
            layers.Activation(
                exportable(self.activation), dtype=policy, name=getattr(self.activation, "__name__", "activation")
            ),
            *self.before_projection(),
            layers.Dense(channels, kernel_initializer=kernel_initializer(), name="project", **dense),
            *self.after_projection(),
            StochasticDepth(self.drop_path_rate, dtype=policy, name="stochastic_depth"),
        ]

    def call(self, inputs: Tensor, visible: Tensor | None = None) -> Tensor:
        x = inputs
        for layer in self.branch:
            if visible is not None and layer.name in MIX_PIXELS:
                x = ops.multiply(x, visible)
            x = layer(x)
        return ops.add(inputs, x)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "drop_path_rate": self.drop_path_rate,
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "use_bias": self.use_bias,
            "normalization": self.normalization,
            "activation": keras.activations.serialize(self.activation),
        }
