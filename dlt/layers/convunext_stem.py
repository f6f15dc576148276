from typing import Any

import keras
from keras import layers

from dlt._check import check_choice, check_images, check_positive_int
from dlt.layers._composite import Composite
from dlt.layers._convnext_block import NORMALIZATIONS, normalize
from dlt.layers._types import Regularizer, Shape, Tensor


@keras.saving.register_keras_serializable(package="dlt")
class ConvUNextStem(Composite):
    """The first layer of ConvUNext: a wide convolution at full resolution, then a normalization.

    `y = LN(conv7x7(x))`, stride 1. A restoration network has to give every pixel back, so nothing is thrown away here;
    and since the stride is 1, nothing is saved either: the maps are as large as the image.

    Args:
        filters: Whole number of channels.
        kernel_size: Whole number, the side of the kernel.
        use_bias: Boolean, whether anything is added: the convolution's bias and LayerNorm's beta.
        normalization: "layer", "bias_free_batch" (`BiasFreeBatchNormalization`), or None for none.
        kernel_regularizer: Optional Keras regularizer for the kernel.

    Input shape: `(batch, height, width, channels)`.
    Output shape: `(batch, height, width, filters)`.

    Raises:
        ValueError: If an argument is out of range, or the input is not a batch of images.

    >>> tuple(ConvUNextStem(32)(keras.ops.zeros((1, 15, 10, 3))).shape)
    (1, 15, 10, 32)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 7,
        use_bias: bool = False,
        normalization: str | None = "layer",
        kernel_regularizer: Regularizer = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = check_positive_int("filters", filters)
        self.kernel_size = check_positive_int("kernel_size", kernel_size)
        self.use_bias = bool(use_bias)
        self.normalization = check_choice("normalization", normalization, NORMALIZATIONS)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build_parts(self, input_shape: Shape) -> None:
        check_images("ConvUNextStem", input_shape)
        conv = layers.Conv2D(
            self.filters,
            self.kernel_size,
            padding="same",
            data_format="channels_last",
            use_bias=self.use_bias,
            kernel_initializer="lecun_normal",  # keeps the size of what passes, also where nothing is normalized
            kernel_regularizer=self.kernel_regularizer,
            dtype=self.dtype_policy,
            name="conv",
        )
        self.chain = [conv, *normalize(self.normalization, self.use_bias, self.dtype_policy)]
        for layer in self.chain:
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        for layer in self.chain:
            inputs = layer(inputs)
        return inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "use_bias": self.use_bias,
            "normalization": self.normalization,
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
