import os
from collections.abc import Callable, Sequence
from typing import Any, Self

import keras
from keras import layers

from dlt._check import check_choice, check_images, check_positive_int, check_rate, fail
from dlt.convert import PUBLISHED, load_published, load_weights
from dlt.layers._convnext_block import kernel_initializer
from dlt.layers._dropout import Dropout
from dlt.models._model import Model, check_arguments, check_pretrained


def choose_patch_size(input_shape: tuple, num_stages: int) -> int:
    """Return the largest patch of 4, 2, 1 that leaves the last stage at least 4 x 4 pixels; 4 for unknown sides."""
    sides = input_shape[:2]
    if None in sides:
        return 4
    halvings = 2 ** (num_stages - 1)
    return next((patch for patch in (4, 2) if min(sides) >= 4 * halvings * patch), 1)


def check_stages(depths: Sequence[int], dims: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return depths and dims as lists of ints, one of each per stage."""
    if not depths or not dims or len(depths) != len(dims):
        fail(
            "Every stage needs a depth and a width.",
            "`depths` and `dims` of the same length, at least 1",
            f"depths={depths!r}, dims={dims!r}",
            "Pass for example depths=(2, 2, 6, 2), dims=(40, 80, 160, 320).",
        )
    return [check_positive_int("depths", d) for d in depths], [check_positive_int("dims", d) for d in dims]


class ConvNeXt(Model):
    """The body that ConvNeXt V1 and V2 share; they differ in their block and their variants.

    Layers, by name: `stem_conv`, `stem_norm`; per stage i `downsample_{i}_norm`, `downsample_{i}_conv` (from 1 on) and
    `stage_{i}_block_{j}`; with the top `head_pool`, `head_norm`, `head_dropout` and `head`.
    """

    MODEL_VARIANTS: dict = {}
    block: Any = None  # the class of the residual block

    def __init__(
        self,
        depths: Sequence[int],
        dims: Sequence[int],
        num_classes: int = 1000,
        input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
        include_top: bool = True,
        classifier_activation: str | Callable | None = None,
        drop_path_rate: float = 0.0,
        dropout_rate: float = 0.0,
        kernel_regularizer: str | keras.regularizers.Regularizer | None = None,
        patch_size: int | None = None,
        dtype: str | keras.dtype_policies.DTypePolicy | None = None,
        **kwargs: Any,
    ) -> None:
        depths, dims = check_stages(depths, dims)
        check_images(type(self).__name__, (None, *input_shape))
        patch_size = choose_patch_size(input_shape, len(dims)) if patch_size is None else patch_size
        config = {
            "depths": depths,
            "dims": dims,
            "num_classes": check_positive_int("num_classes", num_classes),
            "input_shape": tuple(input_shape),
            "include_top": bool(include_top),
            "classifier_activation": keras.activations.get(classifier_activation),
            "drop_path_rate": check_rate("drop_path_rate", drop_path_rate),
            "dropout_rate": check_rate("dropout_rate", dropout_rate),
            "kernel_regularizer": keras.regularizers.get(kernel_regularizer),
            "patch_size": check_positive_int("patch_size", patch_size),
        }
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        min_side = patch_size * 2 ** (len(dims) - 1)
        check_images(type(self).__name__, (None, *input_shape), min_side)
        images = keras.Input(input_shape, name="images")
        x = self._backbone(images, config, policy)
        super().__init__(images, self._head(x, config, policy) if include_top else x, **kwargs)
        self._config = {**config, "dtype": policy}
        self._min_side = min_side

    @classmethod
    def from_variant(cls, variant: str, **kwargs: Any) -> Self:
        """Return the network of a published size, a key of `MODEL_VARIANTS`.

        Args:
            variant: String, a key of `MODEL_VARIANTS`.
            **kwargs: Any other argument of the class.

        Raises:
            ValueError: If there is no such variant, or an argument is out of range.
        """
        check_choice("variant", variant, cls.MODEL_VARIANTS)
        name = f"{cls.__name__.lower()}_{variant}"
        return cls(**{"name": name, **cls.MODEL_VARIANTS[variant], **kwargs})

    def _backbone(self, x, config, policy):
        num_blocks = sum(config["depths"])
        rates = (config["drop_path_rate"] * d / max(num_blocks - 1, 1) for d in range(num_blocks))
        for stage, (depth, dim) in enumerate(zip(config["depths"], config["dims"], strict=True)):
            x = self._downsample(x, stage, dim, config, policy)
            for j in range(depth):
                x = self.block(
                    drop_path_rate=next(rates),
                    kernel_regularizer=config["kernel_regularizer"],
                    dtype=policy,
                    name=f"stage_{stage}_block_{j}",
                )(x)
        return x

    def _downsample(self, x, stage, dim, config, policy):
        name = f"downsample_{stage}" if stage else "stem"
        size = 2 if stage else config["patch_size"]
        conv = layers.Conv2D(
            dim,
            size,
            strides=size,
            data_format="channels_last",
            kernel_initializer=kernel_initializer(),
            kernel_regularizer=config["kernel_regularizer"],
            dtype=policy,
            name=f"{name}_conv",
        )
        norm = layers.LayerNormalization(epsilon=1e-6, dtype=policy, name=f"{name}_norm")
        return conv(norm(x)) if stage else norm(conv(x))

    def _head(self, x, config, policy):
        x = layers.GlobalAveragePooling2D(data_format="channels_last", dtype=policy, name="head_pool")(x)  # (B, C)
        x = layers.LayerNormalization(epsilon=1e-6, dtype=policy, name="head_norm")(x)
        x = Dropout(config["dropout_rate"], dtype=policy, name="head_dropout")(x)
        return layers.Dense(
            config["num_classes"],
            activation=config["classifier_activation"],
            kernel_initializer=kernel_initializer(),
            kernel_regularizer=config["kernel_regularizer"],
            dtype=policy.variable_dtype,  # logits and their softmax stay float32 in mixed precision
            name="head",
        )(x)

    def feature_extractor(self, name: str | None = None) -> keras.Model:
        """Return a model of the same layers with one output per stage, finest first.

        Args:
            name: String; None is the network's name with `_features` after it.

        Output shapes: `(batch, height / s, width / s, dims[i])` with `s = patch_size * 2**i`.
        """
        last_blocks = [f"stage_{i}_block_{depth - 1}" for i, depth in enumerate(self.get_config()["depths"])]
        outputs = [self.get_layer(block).output for block in last_blocks]
        return keras.Model(self.input, outputs, name=name or f"{self.name}_features")


def create(
    factory: Callable, cls: type[ConvNeXt], variant: str, pretrained: str | os.PathLike | None, **kwargs: Any
) -> ConvNeXt:
    """Build a variant and, on request, fill it: the body of the two `create_convnext_*` functions."""
    check_arguments(factory, kwargs, cls)
    check_pretrained(pretrained, PUBLISHED)
    model = cls.from_variant(variant, **kwargs)
    if isinstance(pretrained, str) and pretrained in PUBLISHED:
        load_published(model, cls.__name__, variant, pretrained, skip=("stem", "head"))
    elif pretrained:
        load_weights(model, pretrained, skip=("stem", "head"))
    return model
