from typing import Any

import keras
from keras import ops

from dlt._check import check_images, check_not_negative
from dlt.layers._types import Shape, Tensor


@keras.saving.register_keras_serializable(package="dlt")
class GlobalResponseNormalization(keras.layers.Layer):
    """Let channels compete: scale each by its share of the image's total response.

    Wide layers tend to collapse, many channels saying the same or nothing. Global response normalization (GRN)
    measures how strongly each channel responds anywhere in the image, divides by the mean over the channels, and
    multiplies the map by that ratio. Strong channels grow, weak ones fade:

    `G_c = ||x[:, :, c]||_2` over height and width, `N_c = G_c / (mean_c G + epsilon)`,
    `y = gamma * (x * N) + beta + x`.

    gamma and beta start at zero, so the layer starts as the identity. The sum of squares is taken in float32
    at least: in float16 it overflows on maps of ordinary size.

    beta and epsilon are constants in a world of ratios: with either, an image half as bright does not give a map half
    as bright. `GlobalResponseNormalization(epsilon=0, use_bias=False)` has neither, and `f(a x) = a f(x)` holds for
    all a > 0.

    Reference: Woo et al. 2023, "ConvNeXt V2" (https://arxiv.org/abs/2301.00808).

    Args:
        epsilon: Float, at least 0, keeps the division finite on an all-zero image. With 0, such an image is not
            divided at all.
        use_bias: Boolean, whether beta is added.

    Input shape: `(batch, height, width, channels)`.
    Output shape: the same.

    Raises:
        ValueError: If `epsilon` is negative, or the input is not a batch of images.

    >>> layer = GlobalResponseNormalization()
    >>> layer.build((None, 1, 1, 2))
    >>> _ = layer.gamma.assign([1.0, 1.0])
    >>> y = layer(keras.ops.array([[[[3.0, 1.0]]]]))  # N = (3, 1) / 2
    >>> keras.ops.convert_to_numpy(y).round(3).tolist()
    [[[[7.5, 1.5]]]]
    """

    def __init__(self, epsilon: float = 1e-6, use_bias: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.epsilon = check_not_negative("epsilon", epsilon)
        self.use_bias = bool(use_bias)

    def build(self, input_shape: Shape) -> None:
        check_images("GlobalResponseNormalization", input_shape)
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="zeros")
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros") if self.use_bias else None

    def call(self, inputs: Tensor) -> Tensor:
        precise = keras.backend.result_type(self.compute_dtype, "float32")  # at least
        energy = ops.sum(ops.square(ops.cast(inputs, precise)), axis=(1, 2), keepdims=True)  # (B, 1, 1, C)
        silent = energy == 0  # a root has no slope at zero: without care, one silent channel makes every gradient NaN
        response = ops.where(silent, 0.0, ops.sqrt(ops.where(silent, 1.0, energy)))
        average = ops.mean(response, axis=-1, keepdims=True) + self.epsilon
        share = response / ops.where(average > 0, average, 1.0)
        outputs = inputs * (1 + self.gamma * ops.cast(share, inputs.dtype))
        return outputs + self.beta if self.use_bias else outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "epsilon": self.epsilon, "use_bias": self.use_bias}
