from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from dlt._check import check_images, check_positive_int, fail
from dlt.layers import UpsampleLike
from dlt.models._model import Model


@keras.saving.register_keras_serializable(package="dlt")
class ResidualUNet(Model):
    """A U-Net of residual blocks of dense 3x3 convolutions, for restoration: the design of DRUNet, at any size.

    Each block is `x + conv(relu(conv(x)))`. Down: a 2x2 convolution of stride 2. Up: a 1x1 convolution to the width
    above, then bilinear doubling, cropped to the size of the skip connection and added to it. Without biases, and with
    nothing but convolutions and ReLU, it keeps the scale of its input: `f(a x) = a f(x)` for all a > 0.

    Dense convolutions cost more multiply-adds than ConvNeXt's depthwise and 1x1 ones, and do more with each: a CPU or
    GPU spends less time on one of them, and in equal time this network learns to denoise better than a ConvUNext.

    Reference: Zhang et al. 2021, "Plug-and-play image restoration with deep denoiser prior"
    (https://arxiv.org/abs/2008.13751).

    Args:
        input_shape: `(height, width, channels)`; sides may be None.
        filters: Sequence of whole numbers, channels at full resolution, half, quarter, ...
        blocks: Sequence of whole numbers as long, residual blocks per level, once down and once up; the last level has
            them once.
        use_bias: Boolean, whether the convolutions add something.
        output_channels: Whole number; None gives as many as the input has.
        dtype: Dtype policy of all layers. None takes the global one.
        **kwargs: `name`, `trainable`.

    Input shape: `(batch, height, width, channels)`, any height and width.
    Output shape: `(batch, height, width, output_channels)`.

    Raises:
        ValueError: If an argument is out of range, or the input is not a batch of images.

    >>> model = ResidualUNet((None, None, 1), filters=(4, 8), blocks=(1, 1))
    >>> tuple(model(keras.ops.zeros((1, 13, 6, 1))).shape)
    (1, 13, 6, 1)
    """

    def __init__(
        self,
        input_shape: tuple[int | None, int | None, int] = (None, None, 3),
        filters: Sequence[int] = (32, 64, 128),
        blocks: Sequence[int] = (2, 1, 1),
        use_bias: bool = False,
        output_channels: int | None = None,
        dtype: str | keras.dtype_policies.DTypePolicy | None = None,
        **kwargs: Any,
    ) -> None:
        check_images(type(self).__name__, (None, *input_shape))
        if len(filters) != len(blocks) or not len(filters):
            fail(
                "`filters` and `blocks` have a number for each level.",
                "two sequences of the same length, at least 1",
                f"filters={filters}, blocks={blocks}",
                "Pass for example filters=(32, 64, 128) and blocks=(2, 1, 1).",
            )
        config = {
            "input_shape": tuple(input_shape),
            "filters": tuple(check_positive_int("filters", number) for number in filters),
            "blocks": tuple(check_positive_int("blocks", number) for number in blocks),
            "use_bias": bool(use_bias),
            "output_channels": check_positive_int(
                "output_channels", input_shape[-1] if output_channels is None else output_channels
            ),
        }
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        images = keras.Input(input_shape, name="images")
        super().__init__(images, Parts(config, policy).wire(images), **kwargs)
        self._config = {**config, "dtype": policy}


class Parts:
    """The layers of a `ResidualUNet` by name, wired from image to output."""

    def __init__(self, config, policy):
        self.config, self.policy = config, policy

    def wire(self, images):
        """Return the output for symbolic images."""
        widths, blocks, skips = self.config["filters"], self.config["blocks"], []
        x = self.convolution(widths[0], 3, "stem")(images)
        for level, width in enumerate(widths[:-1]):
            x = self.level(x, width, blocks[level], f"encoder_{level}")
            skips.append(x)
            x = self.convolution(widths[level + 1], 2, f"down_{level}", strides=2)(x)
        x = self.level(x, widths[-1], blocks[-1], "bottleneck")
        for level in reversed(range(len(skips))):
            x = self.convolution(widths[level], 1, f"up_{level}_narrow")(x)
            x = UpsampleLike(dtype=self.policy, name=f"up_{level}_upsample")([x, skips[level]])
            x = layers.Add(dtype=self.policy, name=f"up_{level}_add")([x, skips[level]])
            x = self.level(x, widths[level], blocks[level], f"decoder_{level}")
        float32 = self.policy.variable_dtype  # the output keeps it in mixed precision
        return self.convolution(self.config["output_channels"], 3, "output", dtype=float32)(x)

    def level(self, x, width, blocks, name):
        """Return what a level's residual blocks make of `x`."""
        for j in range(blocks):
            y = self.convolution(width, 3, f"{name}_{j}_first")(x)
            y = layers.ReLU(dtype=self.policy, name=f"{name}_{j}_relu")(y)
            y = self.convolution(width, 3, f"{name}_{j}_second", scale=0.1)(y)
            x = layers.Add(dtype=self.policy, name=f"{name}_{j}_add")([x, y])
        return x

    def convolution(self, filters, size, name, scale=1.0, strides=1, dtype=None):
        """Return a convolution that keeps the variance of its input, times `scale`."""
        return layers.Conv2D(
            filters,
            size,
            strides=strides,
            padding="same",
            data_format="channels_last",
            use_bias=self.config["use_bias"],
            kernel_initializer=keras.initializers.VarianceScaling(scale),
            dtype=dtype or self.policy,
            name=name,
        )
