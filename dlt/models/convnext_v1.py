import os
from typing import Any

import keras

from dlt.layers import ConvNeXtV1Block
from dlt.models._convnext import ConvNeXt, create


@keras.saving.register_keras_serializable(package="dlt")
class ConvNeXtV1(ConvNeXt):
    """ConvNeXt V1, an image classifier, or a backbone with one feature map per stage.

    A plain ConvNet rebuilt with what made vision transformers strong: a patchify stem, depthwise 7x7 convolutions,
    inverted bottlenecks, LayerNorm, few activations. Stages of `ConvNeXtV1Block`, each halving the resolution.

    Reference: Liu et al. 2022, "A ConvNet for the 2020s" (https://arxiv.org/abs/2201.03545).

    Args:
        depths: Sequence of whole numbers, the blocks per stage.
        dims: Sequence of whole numbers, the channels per stage.
        num_classes: Whole number, outputs of the classifier.
        input_shape: `(height, width, channels)`; sides may be None.
        include_top: Boolean. False gives the last stage's feature map instead of class scores.
        classifier_activation: Activation of the classifier. None gives logits.
        drop_path_rate: Float in [0, 1). Stochastic depth of the last block; it grows linearly from 0 at the first.
        dropout_rate: Float in [0, 1), dropout in front of the classifier.
        kernel_regularizer: Optional Keras regularizer for all convolution and dense kernels.
        patch_size: Whole number, kernel and stride of the stem. None takes the largest of 4, 2, 1 that leaves the
            last stage at least 4 x 4 pixels (224 -> 4, 96 -> 2, 32 -> 1), and 4 where a side is None. Set 2 for small
            grey images: of a patch of one grey pixel, the stem's LayerNorm keeps nothing but the sign.
        dtype: Dtype policy of all layers. None takes the global one.
        **kwargs: `name`, `trainable`.

    Input shape: `(batch, height, width, channels)`, each side at least `patch_size * 2**(stages - 1)` pixels.
    Output shape: `(batch, num_classes)`, or the last stage's `(batch, height / s, width / s, dims[-1])` with
        `s = patch_size * 2**(stages - 1)` if `include_top` is False.

    Raises:
        ValueError: If an argument is out of range, or images have the wrong rank or are too small.

    >>> model = ConvNeXtV1(depths=(1, 1, 1, 1), dims=(8, 16, 32, 64), num_classes=10, input_shape=(32, 32, 3))
    >>> model.output.shape
    (None, 10)
    """

    MODEL_VARIANTS = {
        "tiny": {"depths": [3, 3, 9, 3], "dims": [96, 192, 384, 768]},
        "small": {"depths": [3, 3, 27, 3], "dims": [96, 192, 384, 768]},
        "base": {"depths": [3, 3, 27, 3], "dims": [128, 256, 512, 1024]},
        "large": {"depths": [3, 3, 27, 3], "dims": [192, 384, 768, 1536]},
        "xlarge": {"depths": [3, 3, 27, 3], "dims": [256, 512, 1024, 2048]},
    }
    block = ConvNeXtV1Block


def create_convnext_v1(
    variant: str = "tiny",
    num_classes: int = 1000,
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
    pretrained: str | os.PathLike | None = None,
    **kwargs: Any,
) -> ConvNeXtV1:
    """Return a ConvNeXt V1 of a published size, with random or given weights.

    Args:
        variant: One of "tiny", "small", "base", "large", "xlarge".
        num_classes: Whole number, outputs of the classifier.
        input_shape: `(height, width, channels)`; sides may be None.
        pretrained: None for random weights; "imagenet" to download the authors' weights (through `huggingface_hub`),
            "imagenet-official" for their own file (only PyTorch reads it); or the path of a `.keras`, `.weights.h5`,
            `.safetensors` or `.pth` file. A head or stem that does not fit keeps its random weights, and a warning in
            the log names it: below 128 pixels pass `patch_size=4` to keep the stem.
        **kwargs: Any other argument of `ConvNeXtV1`, `name` and `trainable` among them.

    Raises:
        ValueError: If there is no such variant, an argument is unknown or out of range, or the weights do not fit.

    >>> create_convnext_v1("tiny", num_classes=10, input_shape=(32, 32, 3)).get_config()["patch_size"]
    1
    """
    shape = {"num_classes": num_classes, "input_shape": input_shape}
    return create(create_convnext_v1, ConvNeXtV1, variant, pretrained, **shape, **kwargs)
