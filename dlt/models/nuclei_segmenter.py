import importlib.resources
import os
from typing import Any

from dlt._check import check_choice
from dlt.convert import load_weights
from dlt.models._model import Model, check_arguments, check_pretrained
from dlt.models.acc_unet import AccUNet
from dlt.models.convunext import ConvUNextModel
from dlt.models.unet import UNet

GREY = {"input_shape": (None, None, 1), "output_channels": 1, "depth": 4, "initial_filters": 12}
NETWORKS: dict[str, tuple[type[Model], dict]] = {  # name: class, its arguments
    "unet": (UNet, {"input_shape": (None, None, 3), "output_channels": 2, "depth": 4, "initial_filters": 16}),
    "convunext": (ConvUNextModel, {**GREY, "blocks_per_level": 1, "use_bias": True}),
    "acc_unet": (AccUNet, {"input_channels": 1, "base_filters": 8, "expansion": 3}),
}


def create_nuclei_segmenter(
    network: str = "unet", pretrained: str | os.PathLike | None = None, name: str | None = None, **kwargs: Any
) -> Model:
    """Return a small network that finds cell nuclei in microscope images.

    The one to take is "unet". It sees colours, and says two things of each pixel: how probable it is that it belongs to
    a nucleus, and how deep in its nucleus it lies, from which `dlt.predict.nuclei` tells nuclei apart that touch. The
    other two are from a comparison in chapter 22; they see grey, and say the first alone, with the pixels between
    nuclei that touch left out. Images whose sides are no multiples of 16 go through `dlt.predict.padded`.

    Args:
        network: "unet", "convunext" or "acc_unet", of two million parameters or fewer.
        pretrained: None for random weights, "nuclei" for those that come with this package, trained on the nuclei of
            the Data Science Bowl 2018 on one core of a CPU (`dlt/assets/nuclei_unet.json`, `nuclei_cpu.json` for the
            other two), or the path of a `.keras`, `.weights.h5` or `.safetensors` file.
        name: String; None gives `nuclei_unet`, `nuclei_convunext` or `nuclei_acc_unet`.
        **kwargs: Any other argument of the network's class; it overrides the design.

    Returns:
        A functional Keras model. In: images of shape `(batch, height, width, channels)`, nuclei bright, stretched to 0
        to 1, as `dlt.data.nuclei_view` makes them; 3 channels (`color=True`) for "unet", 1 for the others. Out: of the
        same height and width; for "unet" 2 channels, the probability and the depth (0 at the edge of a nucleus, 1 in
        its middle, as `dlt.data.edge_distance` defines it), for the others the probability.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there is no such network, an argument is unknown or out of range, or the weights are unknown or
            do not fit.

    >>> model = create_nuclei_segmenter("unet", pretrained="nuclei")
    >>> model.output.shape
    (None, None, None, 2)
    """
    make, arguments = NETWORKS[check_choice("network", network, NETWORKS)]
    check_arguments(create_nuclei_segmenter, kwargs, make)
    check_pretrained(pretrained, ["nuclei"])
    design = {**arguments, "final_activation": "sigmoid", "name": name or f"nuclei_{network}"}
    model = make(**{**design, **kwargs})
    if pretrained:
        shipped = importlib.resources.files("dlt") / "assets" / f"nuclei_{network}.safetensors"
        load_weights(model, shipped if pretrained == "nuclei" else pretrained)
    return model
