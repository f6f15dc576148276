import os
from collections.abc import Callable
from typing import Any

import keras

from dlt._check import check_positive_int, fail
from dlt.convert import load_weights
from dlt.layers._projection import check_sides
from dlt.models._acc_unet import MULTIPLE, Parts
from dlt.models._model import Model, check_arguments


@keras.saving.register_keras_serializable(package="dlt")
class AccUNet(Model):
    """ACC-UNet, a U-Net with what transformers have taught, in convolutions: an image in, a mask of the same size out.

    Five levels of two `HANCBlock` each; skip connections through a `ResPath` each and then through `MLFCLayer`, in
    which all levels hear each other; a decoder of transposed convolutions and `HANCBlock`. It is the published network,
    weight by weight: the authors' files load with `dlt.convert.load_weights`. It computes the same function with 55 %
    of the multiply-adds, since `HANCLayer` and `MLFCLayer` convolve each map at its own size.

    Reference: Ibtehaz and Kihara 2023, "ACC-UNet: A Completely Convolutional UNet Model for the 2020s"
    (https://arxiv.org/abs/2308.13680).

    Args:
        input_channels: Whole number of channels of the image.
        num_classes: Whole number. 1 is binary segmentation, with one probability per pixel; more is one probability
            for each class, which sum to 1.
        input_shape: `(height, width)`, multiples of 16, or None for any: an image may then have any such size.
        base_filters: Whole number of channels at full resolution; 16 times as many at the lowest.
        mlfc_iterations: How many `MLFCLayer` there are, one after the other.
        expansion: Whole number, how much wider inside the second block of the decoder's second level is. The published
            network has 34 in this one place, and 3 in all others; 3 here too saves 3.11 M of its parameters at 32
            base filters.
        final_activation: Name of a Keras activation for the output; "auto" is "sigmoid" for one class and "softmax"
            for more.
        kernel_regularizer: Optional Keras regularizer for the kernels of all convolutions.
        dtype: Dtype policy of all layers. None takes the global one.
        **kwargs: `name`, `trainable`.

    Input shape: `(batch, height, width, input_channels)`, height and width multiples of 16.
    Output shape: `(batch, height, width, num_classes)`.

    Raises:
        ValueError: If an argument is out of range, or the input is not a batch of images of such sides and channels.

    >>> model = AccUNet(input_channels=3, base_filters=16)
    >>> int(sum(keras.ops.size(weight) for weight in model.trainable_weights))
    4257715
    >>> tuple(model(keras.ops.zeros((1, 32, 48, 3))).shape)
    (1, 32, 48, 1)
    """

    _multiple = MULTIPLE

    def __init__(
        self,
        input_channels: int = 3,
        num_classes: int = 1,
        input_shape: tuple[int | None, int | None] | None = None,
        base_filters: int = 32,
        mlfc_iterations: int = 3,
        expansion: int = 34,
        final_activation: str | Callable | None = "auto",
        kernel_regularizer: str | keras.regularizers.Regularizer | None = None,
        dtype: str | keras.dtype_policies.DTypePolicy | None = None,
        **kwargs: Any,
    ) -> None:
        config = {
            "input_channels": check_positive_int("input_channels", input_channels),
            "num_classes": check_positive_int("num_classes", num_classes),
            "input_shape": checked_sides(input_shape),
            "base_filters": check_positive_int("base_filters", base_filters),
            "mlfc_iterations": check_positive_int("mlfc_iterations", mlfc_iterations),
            "expansion": check_positive_int("expansion", expansion),
            "final_activation": keras.activations.get(
                ("sigmoid" if num_classes == 1 else "softmax") if final_activation == "auto" else final_activation
            ),
            "kernel_regularizer": keras.regularizers.get(kernel_regularizer),
        }
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        images = keras.Input((*(config["input_shape"] or (None, None)), input_channels), name="images")
        super().__init__(images, Parts(config, policy).wire(images), **kwargs)
        self._config = {**config, "dtype": policy}


def checked_sides(input_shape: tuple | None) -> tuple | None:
    """Return `(height, width)` as a tuple, or None for any."""
    if input_shape is None:
        return None
    sides = tuple(input_shape)
    if len(sides) != 2:
        fail(
            "`input_shape` is the height and width of the images.",
            "two whole numbers, or None",
            f"input_shape={sides}",
            "Give the number of channels as input_channels.",
        )
    check_sides("AccUNet", (None, *sides), MULTIPLE, "Pad or resize the images.")
    return sides


def create_acc_unet(
    input_channels: int,
    num_classes: int,
    input_shape: tuple[int | None, int | None] | None = None,
    base_filters: int = 32,
    mlfc_iterations: int = 3,
    pretrained: str | os.PathLike | None = None,
    **kwargs: Any,
) -> AccUNet:
    """Return an ACC-UNet, for any number of classes.

    Args:
        input_channels: Whole number of channels of the image.
        num_classes: Whole number of classes; 1 is binary segmentation.
        input_shape: `(height, width)`, multiples of 16, or None for any.
        base_filters: Whole number of channels at full resolution.
        mlfc_iterations: How many `MLFCLayer` there are.
        pretrained: None for random weights, or the path of a weight file. A first block or an output that does not fit
            keeps its random weights, and a warning in the log names it.
        **kwargs: Any other argument of `AccUNet`, `name` and `trainable` among them.

    Raises:
        ValueError: If an argument is unknown or out of range, or the weights do not fit.

    >>> create_acc_unet(input_channels=3, num_classes=5, input_shape=(32, 32), base_filters=8).output.shape
    (None, 32, 32, 5)
    """
    check_arguments(create_acc_unet, kwargs, AccUNet)
    model = AccUNet(
        input_channels=input_channels,
        num_classes=num_classes,
        input_shape=input_shape,
        base_filters=base_filters,
        mlfc_iterations=mlfc_iterations,
        **{"name": "acc_unet", **kwargs},
    )
    if pretrained:
        load_weights(model, pretrained, skip=("encoder_0_block_0", "output"))
    return model


def create_acc_unet_binary(
    input_channels: int, input_shape: tuple[int | None, int | None] | None = None, **kwargs: Any
) -> AccUNet:
    """Return an ACC-UNet for binary segmentation: one class, sigmoid.

    Args:
        input_channels: Whole number of channels of the image.
        input_shape: `(height, width)`, multiples of 16, or None for any.
        **kwargs: Any other argument of `create_acc_unet`.

    Raises:
        ValueError: If an argument is out of range, or the weights do not fit.

    >>> create_acc_unet_binary(input_channels=1, input_shape=(64, 64), base_filters=8).output.shape
    (None, 64, 64, 1)
    """
    return create_acc_unet(input_channels, 1, input_shape, **{"final_activation": "sigmoid", **kwargs})


def create_acc_unet_multiclass(
    input_channels: int, num_classes: int, input_shape: tuple[int | None, int | None] | None = None, **kwargs: Any
) -> AccUNet:
    """Return an ACC-UNet for several classes: softmax, so that the probabilities of a pixel sum to 1.

    Args:
        input_channels: Whole number of channels of the image.
        num_classes: Whole number of at least 2.
        input_shape: `(height, width)`, multiples of 16, or None for any.
        **kwargs: Any other argument of `create_acc_unet`.

    Raises:
        ValueError: If `num_classes` is 1, another argument is out of range, or the weights do not fit.

    >>> create_acc_unet_multiclass(input_channels=3, num_classes=8, base_filters=8).output.shape
    (None, None, None, 8)
    """
    if check_positive_int("num_classes", num_classes) < 2:
        fail(
            "Softmax over one class is 1 everywhere.",
            "num_classes of at least 2",
            f"num_classes={num_classes}",
            "Use create_acc_unet_binary, or count the background as a class.",
        )
    return create_acc_unet(input_channels, num_classes, input_shape, **{"final_activation": "softmax", **kwargs})
