from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from dlt._check import check_images, check_positive_int
from dlt.layers import UpsampleLike
from dlt.models._model import Model


@keras.saving.register_keras_serializable(package="dlt")
class UNet(Model):
    """The U-Net of Ronneberger et al. 2015, padded and with batch normalization: an answer for every pixel.

    It is the network that others are measured against. The encoder halves the resolution `depth` times and doubles
    the number of maps each time, so that every level costs about the same; the decoder comes back the same way, and
    at each size takes over what the encoder had found there, since the low resolutions have lost where edges are.

    A level is two 3x3 convolutions, each with batch normalization and ReLU. Down: 2x2 max pooling. Up: a 1x1
    convolution that halves the number of maps, then bilinear doubling, cropped to the size of the skip connection.
    That costs a quarter of the weights and multiply-adds of a 2x2 transposed convolution, which treats each of the
    four pixels it makes from one differently, and so easily draws a checkerboard. The paper's convolutions are
    unpadded and lose a border; these are padded, and any height and width from 1 up will do.

    Reference: Ronneberger, Fischer and Brox 2015, "U-Net: Convolutional Networks for Biomedical Image Segmentation"
    (https://arxiv.org/abs/1505.04597).

    Args:
        input_shape: `(height, width, channels)`; sides may be None.
        depth: Whole number, how often the resolution is halved.
        initial_filters: Whole number of channels at full resolution.
        output_channels: Whole number; None gives as many as the input has.
        final_activation: Name of a Keras activation for the output.
        dtype: Dtype policy of all layers. None takes the global one.
        **kwargs: `name`, `trainable`.

    Input shape: `(batch, height, width, channels)`, any height and width.
    Output shape: `(batch, height, width, output_channels)`.

    Raises:
        ValueError: If an argument is out of range, or the input is not a batch of images.

    >>> model = UNet((None, None, 1), depth=2, initial_filters=8, output_channels=2, final_activation="softmax")
    >>> tuple(model(keras.ops.zeros((1, 13, 6, 1))).shape)
    (1, 13, 6, 2)
    """

    def __init__(
        self,
        input_shape: tuple[int | None, int | None, int] = (None, None, 3),
        depth: int = 4,
        initial_filters: int = 64,
        output_channels: int | None = None,
        final_activation: str | Callable | None = "linear",
        dtype: str | keras.dtype_policies.DTypePolicy | None = None,
        **kwargs: Any,
    ) -> None:
        check_images(type(self).__name__, (None, *input_shape))
        config = {
            "input_shape": tuple(input_shape),
            "depth": check_positive_int("depth", depth),
            "initial_filters": check_positive_int("initial_filters", initial_filters),
            "output_channels": check_positive_int(
                "output_channels", input_shape[-1] if output_channels is None else output_channels
            ),
            "final_activation": keras.activations.get(final_activation),
            "dtype": keras.dtype_policies.get(dtype or keras.config.dtype_policy()),
        }
        images = keras.Input(input_shape, name="images")
        super().__init__(images, wire(images, **config), **kwargs)
        self._config = config


def wire(images, depth, initial_filters, output_channels, final_activation, dtype, **_):
    """Return the output of a U-Net for symbolic images."""
    widths, skips, x = [initial_filters * 2**level for level in range(depth + 1)], [], images
    for level in range(depth):
        skips.append(two_convolutions(x, widths[level], f"encoder_{level}", dtype))
        x = layers.MaxPooling2D(2, padding="same", data_format="channels_last", dtype=dtype, name=f"down_{level}")(
            skips[-1]
        )
    x = two_convolutions(x, widths[depth], "bottleneck", dtype)
    for level in reversed(range(depth)):
        x = conv(widths[level], 1, use_bias=False, dtype=dtype, name=f"up_{level}_narrow")(x)
        x = UpsampleLike(dtype=dtype, name=f"up_{level}_upsample")([x, skips[level]])
        x = layers.Concatenate(dtype=dtype, name=f"up_{level}_join")([x, skips[level]])
        x = two_convolutions(x, widths[level], f"decoder_{level}", dtype)
    # The head stays float32 in mixed precision.
    return conv(output_channels, 1, activation=final_activation, dtype=dtype.variable_dtype, name="output")(x)


def conv(filters, size, **kwargs):
    """Return a convolution of maps with the channels last, whatever Keras's default."""
    return layers.Conv2D(filters, size, padding="same", data_format="channels_last", **kwargs)


def two_convolutions(x, width, name, dtype):
    """Return what a level makes of `x`: twice a 3x3 convolution, batch normalization and ReLU."""
    for i in range(2):
        # No bias: the normalization would subtract it.
        x = conv(width, 3, use_bias=False, kernel_initializer="he_normal", dtype=dtype, name=f"{name}_conv_{i}")(x)
        x = layers.BatchNormalization(momentum=0.9, dtype=dtype, name=f"{name}_norm_{i}")(x)  # 0.99 needs long training
        x = layers.ReLU(dtype=dtype, name=f"{name}_relu_{i}")(x)
    return x
