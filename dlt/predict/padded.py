from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from dlt._arrays import check_image
from dlt._check import check_images, check_positive_int
from dlt.predict._answer import answer_of, mirrored


def padded(model: keras.Model, images: Any | Sequence[Any], multiple: int = 16) -> np.ndarray | list[np.ndarray]:
    """Predict images of any size with a network whose sides have to be multiples of some number.

    Below and to the right the images are continued by their mirror image up to the next multiple, and what is predicted
    there is cut off. Where nothing is missing the result is that of the network itself.

    Args:
        model: Keras model with one output of the size of its input.
        images: Array of shape `(batch, height, width, channels)`, or a list of arrays `(height, width, channels)` of
            any sizes, which are predicted one by one.
        multiple: Whole number that the sides have to be divisible by: two to the number of halvings.

    Returns:
        NumPy array of shape `(batch, height, width, any)`, or a list of such arrays without the batch.

    Raises:
        ValueError: If `images` are none, or the network's output has another size than its input.

    >>> from keras import Input, Sequential, layers
    >>> model = Sequential([Input((None, None, 1)), layers.AveragePooling2D(4), layers.UpSampling2D(4)])
    >>> padded(model, np.ones((1, 5, 3, 1), "float32"), multiple=4).shape
    (1, 5, 3, 1)
    """
    if isinstance(images, list | tuple):
        for image in images:
            check_image("dlt.predict.padded, for each of a list,", np.shape(image))
        return [padded(model, image[None], multiple)[0] for image in map(ops.convert_to_numpy, images)]
    images = ops.convert_to_numpy(images)
    check_images("dlt.predict.padded", images.shape)
    height, width = images.shape[1:3]
    return answer_of(model, mirrored(images, check_positive_int("multiple", multiple)))[:, :height, :width]
