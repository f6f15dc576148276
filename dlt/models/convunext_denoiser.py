import importlib.resources
import os
from importlib.resources.abc import Traversable
from typing import Any

import keras

from dlt._check import fail
from dlt.convert import load_weights
from dlt.layers import ConvNeXtV1Block
from dlt.models._model import Model, check_arguments, check_pretrained
from dlt.models.convunext import ConvUNextModel

DESIGN = {"depth": 3, "initial_filters": 16, "blocks_per_level": 1, "convnext_version": "v1", "drop_path_rate": 0.0}
SHIPPED = ("sigma_10", "sigma_55")  # the largest noise of the training; each bias-free and with biases


def create_convunext_denoiser(
    channels: int = 1,
    pretrained: str | os.PathLike | bool | None = None,
    use_bias: bool = False,
    name: str = "convunext_denoiser",
    **kwargs: Any,
) -> Model:
    """Return a blind denoiser: noisy images in, clean images of the same size out, whatever the noise level.

    A small ConvUNext estimates the noise, and the estimate is subtracted: `f(x) = x - net(x)`. Nobody tells it how
    noisy the image is. Without biases it keeps the scale, `f(a x) = a f(x)` for all a > 0, and therefore goes on
    working at noise levels that it was never trained on.

    It is the network of the book's experiments, small and weak. The one to take home, for grey photos and in colour, is
    `create_denoiser`.

    Reference: Mohan et al. 2020, "Robust and interpretable blind image denoising via bias-free convolutional neural
    networks" (https://arxiv.org/abs/1906.05478).

    Args:
        channels: Whole number, 1 for grey images and 3 for colour.
        pretrained: None for random weights. True or "sigma_55" for the weights that come with this package, trained on
            grey photographs with noise of 0 to 55 grey levels (of 255); "sigma_10" for those that saw only noise of 0
            to 10. Otherwise the path of a `.keras` or `.weights.h5` file.
        use_bias: Boolean. True adds biases everywhere and gives up the scale: the twin to compare with. It too has
            weights.
        name: String, the name of the denoiser; the network in it that estimates the noise is "noise".
        **kwargs: Any other argument of `ConvUNextModel`; it overrides the design, which is small enough for a CPU.

    Returns:
        A functional Keras model, float images of shape `(batch, height, width, channels)` in and out, with black 0
        and white 1. Any height and width will do.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If an argument is unknown, out of range or breaks the scale, or the weights do not fit.

    >>> denoiser = create_convunext_denoiser()
    >>> tuple(denoiser(keras.ops.zeros((1, 21, 14, 1))).shape)
    (1, 21, 14, 1)
    """
    check_arguments(create_convunext_denoiser, kwargs, ConvUNextModel)
    check_pretrained(pretrained, [True, *SHIPPED])
    scale = {"use_bias": True, "normalization": None, "activation": "relu"} if use_bias else {"scale_equivariant": True}
    network = ConvUNextModel(**{"name": "noise", "input_shape": (None, None, channels), **DESIGN, **scale, **kwargs})
    images = keras.Input(network.input_shape[1:], name="images")
    head = network.get_layer("output_0")
    # before training the network subtracts nothing, and it learns faster for that
    head.kernel.assign(keras.ops.zeros(head.kernel.shape))
    wake(network)
    clean = keras.layers.Subtract(dtype=head.dtype_policy, name="clean")
    model = Model(images, clean([images, network(images)]), name=name)
    if pretrained is True or pretrained in SHIPPED:
        load_weights(model, shipped("sigma_55" if pretrained is True else pretrained, channels, use_bias))
    elif pretrained:
        load_weights(model, pretrained)
    return model


def wake(network: ConvUNextModel, gamma: float = 0.1) -> None:
    """Start the blocks awake: kernels that keep the size of the signal, and a LayerScale one can notice.

    ConvNeXt starts its branches at a millionth, which LayerNorm makes up for. Nothing is normalized here: blocks that
    start so faint get next to no gradient, and sleep through thousands of steps.
    """
    for block in network.layers:
        if isinstance(block, ConvNeXtV1Block):
            weights = {layer.name: layer for layer in block.branch}
            start(weights["depthwise"].kernel, 1 / block.kernel_size**2)
            start(weights["expand"].kernel, 2 / weights["expand"].kernel.shape[0])  # ReLU drops half of it
            start(weights["project"].kernel, 1 / weights["project"].kernel.shape[0])
            weights["layer_scale"].gamma.assign(keras.ops.full(weights["layer_scale"].gamma.shape, gamma))


def start(kernel: keras.Variable, variance: float) -> None:
    """Fill a kernel with normal random numbers of this variance."""
    kernel.assign(keras.initializers.RandomNormal(stddev=variance**0.5)(kernel.shape, kernel.dtype))


def shipped(name: str, channels: int, use_bias: bool) -> Traversable:
    """Return the path of the weights in the package."""
    if channels != 1:
        fail(
            "There are weights for grey images only.",
            "channels=1",
            f"channels={channels}",
            "Take create_denoiser(3, pretrained=True) for colour, or pretrained=None and train it.",
        )
    return importlib.resources.files("dlt") / "assets" / f"denoiser_{name}{'_biased' if use_bias else ''}.weights.h5"
