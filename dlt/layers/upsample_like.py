from collections.abc import Sequence

import keras
from keras import ops

from dlt._check import check_images, fail
from dlt.layers._repeat_pixels import repeat_pixels
from dlt.layers._types import Shape, Tensor


@keras.saving.register_keras_serializable(package="dlt")
class UpsampleLike(keras.layers.Layer):
    """Double the resolution of a map, bilinearly, and crop it to the size of another.

    On the way down, a U-Net halves a map of 15 pixels to 8; on the way up, 8 pixels become 16. Cut to the size of the
    map it is to meet, it fits, whatever the size of the image was.

    Input: `[coarse, fine]`, shapes `(batch, ceil(height / 2), ceil(width / 2), channels)` and
        `(batch, height, width, any)`. Of `fine` only the size is used.
    Output shape: `(batch, height, width, channels)`.

    Raises:
        ValueError: If the inputs are not two batches of images, or twice `coarse` does not cover `fine`.

    >>> coarse, fine = keras.ops.ones((1, 8, 5, 4)), keras.ops.ones((1, 15, 10, 7))
    >>> tuple(UpsampleLike()([coarse, fine]).shape)
    (1, 15, 10, 4)
    """

    def build(self, input_shape: Sequence[Shape]) -> None:
        for shape in input_shape:
            check_images("UpsampleLike", shape)
        for coarse, fine in zip(input_shape[0][1:3], input_shape[1][1:3], strict=True):
            if coarse is not None and fine is not None and not fine <= 2 * coarse <= fine + 1:
                fail(
                    "UpsampleLike doubles the first map and crops it to the second.",
                    "sides of the first that are half of the second's, rounded up",
                    f"input_shape={[tuple(shape) for shape in input_shape]}",
                    "Downsample by 2 with padding='same'.",
                )

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        coarse, fine = inputs
        _, height, width, _ = ops.shape(coarse)
        if isinstance(height, int) and isinstance(width, int):
            x = ops.image.resize(coarse, (2 * height, 2 * width), "bilinear", data_format="channels_last")
        else:
            x = bilinear(coarse)
        _, height, width, _ = ops.shape(fine)
        return x[:, :height, :width]

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        coarse, fine = input_shape
        return (coarse[0], *fine[1:3], coarse[-1])

    def get_config(self) -> dict:
        return super().get_config()  # Keras's own guess takes plain arguments only, and no policy object


def bilinear(x: Tensor) -> Tensor:
    """Return maps of twice the size, in a TensorFlow graph that does not know their sides.

    There, `ops.image.resize` of Keras 3.15 fails: it compares the size with 0. Bilinear doubling is nearest doubling
    and then, twice, the mean of 2 x 2 neighbours, with a copy of the border pixels around.
    """
    x = repeat_pixels(x)
    x = ops.concatenate([x[:, :1], x, x[:, -1:]], axis=1)
    x = ops.concatenate([x[:, :, :1], x, x[:, :, -1:]], axis=2)
    for _ in range(2):
        x = ops.average_pool(x, 2, strides=1, padding="valid", data_format="channels_last")
    return x
