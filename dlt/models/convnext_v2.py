import os
from typing import Any

import keras

from dlt.layers import ConvNeXtV2Block
from dlt.models._convnext import ConvNeXt, create


@keras.saving.register_keras_serializable(package="dlt")
class ConvNeXtV2(ConvNeXt):
    """ConvNeXt V2, an image classifier, or a backbone with one feature map per stage.

    V1's network with global response normalization in every block and no LayerScale, in sizes from 3.7 to 660 million
    parameters. Stages of `ConvNeXtV2Block`, each halving the resolution.

    Reference: Woo et al. 2023, "ConvNeXt V2" (https://arxiv.org/abs/2301.00808).

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

    >>> backbone = ConvNeXtV2.from_variant("atto", include_top=False, input_shape=(64, 64, 3))
    >>> [feature.shape[1:] for feature in backbone.feature_extractor().outputs]
    [(32, 32, 40), (16, 16, 80), (8, 8, 160), (4, 4, 320)]
    """

    MODEL_VARIANTS = {
        "atto": {"depths": [2, 2, 6, 2], "dims": [40, 80, 160, 320]},
        "femto": {"depths": [2, 2, 6, 2], "dims": [48, 96, 192, 384]},
        "pico": {"depths": [2, 2, 6, 2], "dims": [64, 128, 256, 512]},
        "nano": {"depths": [2, 2, 8, 2], "dims": [80, 160, 320, 640]},
        "tiny": {"depths": [3, 3, 9, 3], "dims": [96, 192, 384, 768]},
        "base": {"depths": [3, 3, 27, 3], "dims": [128, 256, 512, 1024]},
        "large": {"depths": [3, 3, 27, 3], "dims": [192, 384, 768, 1536]},
        "huge": {"depths": [3, 3, 27, 3], "dims": [352, 704, 1408, 2816]},
    }
    block = ConvNeXtV2Block


def create_convnext_v2(
    variant: str = "tiny",
    num_classes: int = 1000,
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
    pretrained: str | os.PathLike | None = None,
    **kwargs: Any,
) -> ConvNeXtV2:
    """Return a ConvNeXt V2 of a published size, with random or given weights.

    Args:
        variant: One of "atto", "femto", "pico", "nano", "tiny", "base", "large", "huge".
        num_classes: Whole number, outputs of the classifier.
        input_shape: `(height, width, channels)`; sides may be None.
        pretrained: None for random weights; "imagenet" or "fcmae" (learned without labels) to download the authors'
            weights (through `huggingface_hub`), "imagenet-official" or "fcmae-official" for their own files (only
            PyTorch reads them); or the path of a `.keras`, `.weights.h5`, `.safetensors` or `.pth` file. A head or stem
            that does not fit keeps its random weights, and a warning in the log names it: below 128 pixels pass
            `patch_size=4` to keep the stem.
        **kwargs: Any other argument of `ConvNeXtV2`, `name` and `trainable` among them.

    Raises:
        ValueError: If there is no such variant, an argument is unknown or out of range, or the weights do not fit.

    >>> create_convnext_v2("atto", num_classes=10, input_shape=(32, 32, 3)).get_config()["patch_size"]
    1
    """
    shape = {"num_classes": num_classes, "input_shape": input_shape}
    return create(create_convnext_v2, ConvNeXtV2, variant, pretrained, **shape, **kwargs)
