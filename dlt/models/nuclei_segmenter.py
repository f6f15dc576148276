import importlib.resources
import os
from typing import Any

from dlt._check import check_choice
from dlt.convert import load_weights
from dlt.models._model import Model, check_arguments
from dlt.models.acc_unet import AccUNet
from dlt.models.convunext import ConvUNextModel
from dlt.models.unet import UNet

LEVELS = {"input_shape": (None, None, 1), "output_channels": 1, "depth": 4, "initial_filters": 12}
NETWORKS: dict[str, tuple[type[Model], dict]] = {  # name: class, its arguments
    "unet": (UNet, LEVELS),
    "convunext": (ConvUNextModel, {**LEVELS, "blocks_per_level": 1, "use_bias": True}),
    "acc_unet": (AccUNet, {"input_channels": 1, "base_filters": 8, "expansion": 3}),
}


def create_nuclei_segmenter(
    network: str = "unet", pretrained: str | os.PathLike | None = None, name: str | None = None, **kwargs: Any
) -> Model:
    """Return a small network that finds cell nuclei in microscope images: one of three that chapter 22 compares.

    The mask it learns leaves out the pixels where nuclei touch, so that `dlt.predict.objects` can count them. Images
    whose sides are no multiples of 16 go through `dlt.predict.padded`.

    Args:
        network: "unet", "convunext" or "acc_unet", each with about a million parameters or fewer.
        pretrained: None for random weights, "nuclei" for those that come with this package, trained on the nuclei of
            the Data Science Bowl 2018 for some minutes of a CPU (`dlt/assets/nuclei_cpu.json`), or the path of a
            `.keras`, `.weights.h5` or `.safetensors` file.
        name: String; None gives `nuclei_unet`, `nuclei_convunext` or `nuclei_acc_unet`.
        **kwargs: Any other argument of the network's class; it overrides the design.

    Returns:
        A functional Keras model. In: grey images of shape `(batch, height, width, 1)`, nuclei bright, stretched to
        0 to 1, as `dlt.data.nuclei_view` makes them. Out: of the same shape, for each pixel the probability that it
        belongs to a nucleus.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there is no such network, an argument is unknown or out of range, or the weights do not fit.

    >>> model = create_nuclei_segmenter("unet", pretrained="nuclei")
    >>> model.output.shape
    (None, None, None, 1)
    """
    make, arguments = NETWORKS[check_choice("network", network, NETWORKS)]
    check_arguments(create_nuclei_segmenter, kwargs, make)
    design = {**arguments, "final_activation": "sigmoid", "name": name or f"nuclei_{network}"}
    model = make(**{**design, **kwargs})
    if pretrained:
        shipped = importlib.resources.files("dlt") / "assets" / f"nuclei_{network}.safetensors"
        load_weights(model, shipped if pretrained == "nuclei" else pretrained)
    return model
