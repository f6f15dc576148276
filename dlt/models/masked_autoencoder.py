from typing import Any, Self

import keras
import numpy as np
from keras import layers, ops

from dlt._check import check_positive_int, fail
from dlt.layers import ConvNeXtV2Block
from dlt.layers._convnext_block import ConvNeXtBlock
from dlt.layers._types import Tensor
from dlt.models._convnext import ConvNeXt
from dlt.models._masks import MaskToken, RandomMask
from dlt.models._model import Model


@keras.saving.register_keras_serializable(package="dlt")
class MaskedAutoencoder(Model):
    """A fully convolutional masked autoencoder (FCMAE): a ConvNeXt learns from images without labels.

    Most of each image is hidden, in patches of the encoder's total stride, so that every stage can be told exactly
    which of its pixels are visible. The encoder, any ConvNeXt V1 or V2 without top, sees those alone: whatever mixes
    pixels gets zeros in place of the hidden ones. A decoder of one block, which sees a learned vector there, predicts
    the hidden patches' pixels. The loss is the mean squared error over hidden patches, each normalised by its own mean
    and standard deviation; predicting the mean of every patch has a loss of 1.

    `compile(optimizer)` needs no loss, and `fit(images)` no targets; labels that come along are not looked at. The
    `encoder` is the network that was passed in, and learns in place. The file of a masked autoencoder also loads into a
    classifier: `dlt.convert.load_weights(classifier, "autoencoder.keras", skip=("head", "decoder"))`.

    Reference: Woo et al. 2023, "ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders"
    (https://arxiv.org/abs/2301.00808); He et al. 2022, "Masked Autoencoders Are Scalable Vision Learners"
    (https://arxiv.org/abs/2111.06377), for the targets.

    Args:
        encoder: `ConvNeXtV1` or `ConvNeXtV2` with `include_top=False`.
        mask_ratio: Float in [0, 1), the share of patches that is hidden.
        decoder_width: Whole number, channels of the decoder.
        seed: Optional integer for the masks.
        **kwargs: `name`, `trainable`.

    Input shape: `(batch, height, width, channels)`, sides multiples of the encoder's total stride `s`.
    Output: dict of "patches", `(batch, height / s, width / s, s * s * channels)`, the predicted, normalised pixels of
        every patch, and "visible", `(batch, height / s, width / s, 1)`, 1 for the patches that were seen.

    Raises:
        ValueError: If the encoder is none, has a top, or an argument is out of range.

    >>> from dlt.models import ConvNeXtV2
    >>> encoder = ConvNeXtV2((1, 1), (8, 16), include_top=False, input_shape=(None, None, 3), patch_size=2)
    >>> model = MaskedAutoencoder(encoder, decoder_width=16)
    >>> {name: tuple(x.shape) for name, x in model(keras.ops.ones((1, 16, 24, 3))).items()}
    {'patches': (1, 4, 6, 48), 'visible': (1, 4, 6, 1)}
    """

    def __init__(
        self,
        encoder: ConvNeXt,
        mask_ratio: float = 0.6,
        decoder_width: int = 512,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        settings = check_encoder(encoder)
        policy = settings["dtype"]
        stride = settings["patch_size"] * 2 ** (len(settings["dims"]) - 1)
        width = check_positive_int("decoder_width", decoder_width)
        images = keras.Input(settings["input_shape"], name="images")
        visible = RandomMask(mask_ratio, stride, seed, dtype=policy, name="mask")(images)
        x = encode(encoder, images, visible, stride)
        x = layers.Dense(width, dtype=policy, name="decoder_projection")(x)
        x = MaskToken(dtype=policy, name="decoder_token")([x, visible])
        x = ConvNeXtV2Block(dtype=policy, name="decoder_block")(x)
        pixels = stride**2 * settings["input_shape"][-1]
        patches = layers.Dense(pixels, dtype=policy.variable_dtype, name="decoder_prediction")(x)
        super().__init__(images, {"patches": patches, "visible": visible}, **kwargs)
        object.__setattr__(self, "_encoder", encoder)  # its layers are this model's own: not to be counted twice
        self._stride = self._min_side = self._multiple = stride  # whole patches are hidden
        self._config = {"mask_ratio": float(mask_ratio), "decoder_width": width, "seed": seed, "dtype": policy}

    @property
    def encoder(self) -> ConvNeXt:
        """The network that was passed in, with the weights as they are now."""
        return self._encoder

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Return the mean squared error over the hidden patches, and what regularizers add."""
        hidden = 1 - ops.cast(y_pred["visible"][..., 0], "float32")
        wrong = ops.square(self.targets(x) - ops.cast(y_pred["patches"], "float32"))
        error = ops.sum(ops.mean(wrong, axis=-1) * hidden) / ops.maximum(ops.sum(hidden), 1)
        return error + ops.sum([ops.cast(loss, "float32") for loss in self.losses]) if self.losses else error

    def targets(self, images: Tensor) -> Tensor:
        """Return what is to be predicted: each patch, normalised by its own mean and standard deviation.

        Args:
            images: Tensor of shape `(batch, height, width, channels)`.

        Returns:
            Float32 tensor of shape `(batch, height / s, width / s, s * s * channels)`.
        """
        patches = patchify(ops.cast(images, "float32"), self._stride)
        mean, variance = ops.moments(patches, axes=-1, keepdims=True)
        return (patches - mean) / ops.sqrt(variance + 1e-6)

    def reconstruct(self, images: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return images as the encoder sees them, and with predictions in place of what was hidden.

        Predictions are normalised patches; for a look at them, each is given the mean and the standard deviation of the
        true patch. So this shows what was learned, and is no way to repair a picture.

        Args:
            images: Array of shape `(batch, height, width, channels)`.

        Returns:
            Two float32 arrays of this shape: hidden pixels 0 in the first, predicted in the second.
        """
        images = ops.convert_to_tensor(images, "float32")
        found = self(images)
        patches = patchify(images, self._stride)
        mean, variance = ops.moments(patches, axes=-1, keepdims=True)
        visible = ops.cast(found["visible"], "float32")
        guesses = ops.cast(found["patches"], "float32") * ops.sqrt(variance + 1e-6) + mean
        filled = patches * visible + guesses * (1 - visible)
        shape = ops.shape(images)
        seen, filled = (unpatchify(x, self._stride, shape) for x in (patches * visible, filled))
        return ops.convert_to_numpy(seen), ops.convert_to_numpy(filled)

    def get_config(self) -> dict:
        """Return the constructor's arguments, the encoder with its own."""
        encoder = keras.saving.serialize_keras_object(self.encoder)
        encoder["config"].pop("changes", None)  # what was done to its layers is told once, for all of this model
        config = {"encoder": encoder, **super().get_config()}
        del config["dtype"]  # is the encoder's
        return config

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> Self:
        """Return a masked autoencoder of this configuration, around a new encoder."""
        encoder = keras.saving.deserialize_keras_object(config["encoder"], custom_objects)
        return super().from_config({**config, "encoder": encoder}, custom_objects)


def check_encoder(encoder: Any) -> dict:
    """Return the arguments of an encoder if it is one."""
    settings = encoder._config if isinstance(encoder, ConvNeXt) else None
    if settings is None or settings["include_top"]:
        fail(
            "MaskedAutoencoder needs an encoder.",
            "a ConvNeXtV1 or ConvNeXtV2 with include_top=False",
            repr(encoder) if settings is None else f"a {type(encoder).__name__} with its top",
            "Pass for example ConvNeXtV2.from_variant('atto', include_top=False).",
        )
    return settings


def encode(encoder: ConvNeXt, images: Tensor, visible: Tensor, stride: int) -> Tensor:
    """Return the last stage's map of an encoder that sees visible patches only.

    A stem or a step between stages looks at pixels of one patch only, since patches are as large as the total stride.

    Args:
        encoder: ConvNeXt without top.
        images: Tensor of shape `(batch, height, width, channels)`.
        visible: Tensor of shape `(batch, height / stride, width / stride, 1)` of 0 and 1.
        stride: Whole number.
    """
    x, seen = images, None
    for layer in encoder.layers[1:]:
        if isinstance(layer, layers.Conv2D):
            stride //= layer.strides[0]
            enlarge = {"data_format": "channels_last", "dtype": layer.dtype_policy, "name": f"visible_at_{stride}"}
            seen = layers.UpSampling2D(stride, **enlarge)(visible) if stride > 1 else visible
        x = layer(x, visible=seen) if isinstance(layer, ConvNeXtBlock) else layer(x)
    return x


def patchify(images: Tensor, side: int) -> Tensor:
    """Return images cut into patches: `(batch, height / side, width / side, side * side * channels)`."""
    batch, height, width, channels = ops.shape(images)
    x = ops.reshape(images, (batch, height // side, side, width // side, side, channels))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (batch, height // side, width // side, side * side * channels))


def unpatchify(patches: Tensor, side: int, shape: tuple) -> Tensor:
    """Return patches put together again to images of a shape."""
    batch, height, width, channels = shape
    x = ops.reshape(patches, (batch, height // side, width // side, side, side, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), shape)
