import importlib.resources
import os
from importlib.resources.abc import Traversable
from typing import Any

import keras

from dlt._check import fail
from dlt.convert import load_weights
from dlt.models._model import Model, check_arguments, check_pretrained
from dlt.models.residual_unet import ResidualUNet

SHIPPED = {1: "grey", 3: "color"}


def create_denoiser(
    channels: int = 1,
    pretrained: str | os.PathLike | bool | None = None,
    use_bias: bool = False,
    name: str = "denoiser",
    **kwargs: Any,
) -> Model:
    """Return a blind denoiser: noisy images in, clean images of the same size out, whatever the noise level.

    A `ResidualUNet` estimates the noise, and the estimate is subtracted: `f(x) = x - net(x)`. Nobody tells it how noisy
    the image is. Without biases it keeps the scale, `f(a x) = a f(x)` for all a > 0, and therefore goes on working at
    noise levels that it was never trained on.

    Reference: Mohan et al. 2020, "Robust and interpretable blind image denoising via bias-free convolutional neural
    networks" (https://arxiv.org/abs/1906.05478).

    Args:
        channels: Whole number, 1 for grey images and 3 for colour.
        pretrained: None for random weights. True for those that come with this package, for grey images or for RGB:
            trained on 400 photographs with white Gaussian noise of 0 to 55 grey levels (of 255). Otherwise the path of
            a `.keras`, `.weights.h5` or `.safetensors` file.
        use_bias: Boolean. True adds biases everywhere and gives up the scale: the twin to compare with.
        name: String, the model's name.
        **kwargs: Any other argument of `ResidualUNet`.

    Returns:
        A functional Keras model, float images of shape `(batch, height, width, channels)` in and out, with black 0
        and white 1. Any height and width will do.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If an argument is unknown or out of range, or the weights do not fit.

    >>> denoiser = create_denoiser(pretrained=True)
    >>> tuple(denoiser(keras.ops.zeros((1, 21, 14, 1))).shape)
    (1, 21, 14, 1)
    """
    check_arguments(create_denoiser, kwargs, ResidualUNet)
    check_pretrained(pretrained, [True])
    network = ResidualUNet(**{"name": "noise", "input_shape": (None, None, channels), "use_bias": use_bias, **kwargs})
    images = keras.Input(network.input_shape[1:], name="images")
    head = network.get_layer("output").kernel
    head.assign(keras.ops.zeros(head.shape))  # randomly initialised, it subtracts nothing, and learns faster for it
    clean = keras.layers.Subtract(dtype=network.get_layer("output").dtype_policy, name="clean")
    model = Model(images, clean([images, network(images)]), name=name)
    if pretrained:
        load_weights(model, shipped(channels, use_bias) if pretrained is True else pretrained)
    return model


def shipped(channels: int, use_bias: bool) -> Traversable:
    """Return the path of the weights in the package."""
    if channels not in SHIPPED or use_bias:
        fail(
            "There are no such weights in the package.",
            "channels=1 or channels=3, and use_bias=False",
            f"channels={channels}, use_bias={use_bias}",
            "Use channels=1 on each channel alone, or pretrained=None and train it.",
        )
    return importlib.resources.files("dlt") / "assets" / f"denoiser_{SHIPPED[channels]}.safetensors"
