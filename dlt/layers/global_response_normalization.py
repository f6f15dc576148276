import keras
from keras import ops

from dlt._check import check_images, check_positive


@keras.saving.register_keras_serializable(package="dlt")
class GlobalResponseNormalization(keras.layers.Layer):
    """Let channels compete: scale each by its share of the image's total response.

    Wide layers tend to collapse, many channels saying the same or nothing. Global response normalization (GRN)
    measures how strongly each channel responds anywhere in the image, divides by the mean over the channels, and
    multiplies the map by that ratio. Strong channels grow, weak ones fade:

    `G_c = ||x[:, :, c]||_2` over height and width, `N_c = G_c / (mean_c G + epsilon)`,
    `y = gamma * (x * N) + beta + x`.

    gamma and beta start at zero, so the layer starts as the identity. The sum of squares is taken in float32
    whatever the compute type: in float16 it overflows on maps of ordinary size.

    Reference: Woo et al. 2023, "ConvNeXt V2" (https://arxiv.org/abs/2301.00808).

    Args:
        epsilon: Positive float, keeps the division finite on an all-zero image.

    Input shape: `(batch, height, width, channels)`.
    Output shape: the same.

    Raises:
        ValueError: If `epsilon` is not greater than 0, or the input is not a batch of images.

    >>> layer = GlobalResponseNormalization()
    >>> layer.build((None, 1, 1, 2))
    >>> _ = layer.gamma.assign([1.0, 1.0])
    >>> y = layer(keras.ops.array([[[[3.0, 1.0]]]]))  # N = (3, 1) / 2
    >>> keras.ops.convert_to_numpy(y).round(3).tolist()
    [[[[7.5, 1.5]]]]
    """

    def __init__(self, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = check_positive("epsilon", epsilon)

    def build(self, input_shape):
        check_images("GlobalResponseNormalization", input_shape)
        self.gamma = self.add_weight(name="gamma", shape=(input_shape[-1],), initializer="zeros")
        self.beta = self.add_weight(name="beta", shape=(input_shape[-1],), initializer="zeros")

    def call(self, inputs):
        squares = ops.square(ops.cast(inputs, "float32"))
        response = ops.sqrt(ops.sum(squares, axis=(1, 2), keepdims=True))  # (B, 1, 1, C)
        share = response / (ops.mean(response, axis=-1, keepdims=True) + self.epsilon)
        return inputs * (1 + self.gamma * ops.cast(share, inputs.dtype)) + self.beta

    def compute_output_shape(self, input_shape):
        return input_shape
