import importlib.resources
import os
from typing import Any

from dlt.convert import load_weights
from dlt.models._model import check_arguments, check_pretrained
from dlt.models.convnext_v2 import ConvNeXtV2

DESIGN = {"depths": (1, 1, 4), "dims": (32, 64, 160), "num_classes": 10, "input_shape": (32, 32, 3), "patch_size": 2}


def create_cifar10_classifier(
    pretrained: str | os.PathLike | None = None, name: str | None = None, **kwargs: Any
) -> ConvNeXtV2:
    """Return a ConvNeXt V2 of a million parameters for small pictures, or the start of a network for your own.

    It tells the ten classes of `dlt.data.CIFAR10_CLASSES` apart. With `include_top=False` or another `num_classes` it
    is a backbone whose weights need no download, for pictures from 16 pixels on: `input_shape=(None, None, 3)` takes
    any size.

    Args:
        pretrained: None for random weights, "cifar10" for those that come with this package, trained on CIFAR-10 on one
            core of a CPU (`dlt/assets/cifar10_convnext_v2.json`), or the path of a `.keras`, `.weights.h5` or
            `.safetensors` file. A head for another number of classes keeps its random weights, and a warning in the log
            names it.
        name: String; None gives `cifar10_convnext_v2`.
        **kwargs: Any other argument of `ConvNeXtV2`; it overrides the design.

    Returns:
        A functional Keras model. In: images of shape `(batch, height, width, 3)`, standardised as those of ImageNet:
        of 0 to 255, less 255 x (0.485, 0.456, 0.406), divided by 255 x (0.229, 0.224, 0.225). Out: logits of shape
        `(batch, num_classes)`, or the last stage's map, an eighth as high and wide, without top.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If an argument is unknown or out of range, or the weights are unknown or do not fit.

    >>> create_cifar10_classifier("cifar10", include_top=False, input_shape=(None, None, 3)).output.shape
    (None, None, None, 160)
    """
    check_arguments(create_cifar10_classifier, kwargs, ConvNeXtV2)
    check_pretrained(pretrained, ["cifar10"])
    model = ConvNeXtV2(**{**DESIGN, "name": name or "cifar10_convnext_v2", **kwargs})
    if pretrained:
        shipped = importlib.resources.files("dlt") / "assets" / "cifar10_convnext_v2.safetensors"
        load_weights(model, shipped if pretrained == "cifar10" else pretrained, skip=("head",))
    return model
