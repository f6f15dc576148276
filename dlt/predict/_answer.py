from typing import Any

import keras
import numpy as np
from keras import ops

from dlt._check import fail


def mirrored(images: np.ndarray, multiple: int) -> np.ndarray:
    """Return images continued by their mirror image, so that their sides are multiples of a number."""
    missing = [-side % multiple for side in np.shape(images)[1:3]]
    return np.pad(images, ((0, 0), *((0, pixels) for pixels in missing), (0, 0)), "symmetric")


def answer_of(model: keras.Model, images: Any) -> np.ndarray:
    """Return a network's answer for a batch as an array, after checking that it has an answer for every pixel."""
    answer = model.predict_on_batch(images)
    if isinstance(answer, list | tuple | dict) or np.shape(answer)[:-1] != np.shape(images)[:-1]:
        shapes = [np.shape(one) for one in answer] if isinstance(answer, list | tuple) else np.shape(answer)
        fail(
            "The network has no answer for every pixel.",
            f"one output of shape {(*np.shape(images)[:3], None)}",
            f"{shapes}",
            "Take the network's finest output, for example with create_inference_model_from_training_model.",
        )
    return ops.convert_to_numpy(answer)
