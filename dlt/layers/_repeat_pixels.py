from keras import ops

from dlt.layers._types import Tensor


def repeat_pixels(x: Tensor) -> Tensor:
    """Return maps of twice the height and width: of each pixel 2 x 2.

    `ops.repeat` along both sides does the same, but forgets the number of channels in a TensorFlow graph that does not
    know the sides, and then no converter takes the convolution that follows.
    """
    _, height, width, channels = ops.shape(x)
    x = ops.concatenate([x, x], axis=-1)  # each pixel twice: in memory, (B, H, 2 W, C)
    x = ops.concatenate([x, x], axis=2)  # each row twice: in memory, (B, 2 H, 2 W, C)
    return ops.reshape(x, (-1, 2 * height, 2 * width, channels))
