import os
from collections.abc import Callable
from typing import Any, Self

import keras

from dlt._check import check_choice, check_images, fail
from dlt.convert import load_weights
from dlt.models._convunext import Parts, checked
from dlt.models._model import Model, check_arguments


@keras.saving.register_keras_serializable(package="dlt")
class ConvUNextModel(Model):
    """ConvUNext, a U-Net of ConvNeXt blocks: an image in, an image or a mask of the same size out.

    The encoder halves the resolution `depth` times and widens the maps; the decoder doubles it again and mixes in, by
    a 1x1 convolution, what the encoder had found at that size. Any height and width from 1 up will do: odd sides are
    halved upwards and cropped on the way back.

    By default nothing is added anywhere (`use_bias=False`). That alone does not make the network keep the scale of its
    input, since LayerNorm forgets it and GELU bends it; `scale_equivariant=True` does: `f(a x) = a f(x)` for all
    a > 0, up to float rounding, at inference.

    The 1x1 convolution of `[upsampled, skip]` is computed as the sum of two, one before the upsampling, where the map
    has a quarter of the pixels. It is the same function for fewer multiply-adds.

    The network is the one of the package's reference, not the ConvUNeXt of Han, Jian and Wang 2022
    (https://doi.org/10.1016/j.knosys.2022.109512). Its blocks are those of Liu et al. 2022
    (https://arxiv.org/abs/2201.03545) and Woo et al. 2023 (https://arxiv.org/abs/2301.00808).

    Args:
        input_shape: `(height, width, channels)`; sides may be None.
        depth: Whole number of at least 2, how often the resolution is halved.
        initial_filters: Whole number of channels at full resolution.
        filter_multiplier: Whole number, the factor by which each level is wider than the one above.
        blocks_per_level: Whole number of blocks in each level of the encoder, in the bottleneck, and in each level of
            the decoder.
        drop_path_rate: Float in [0, 1). Stochastic depth of the last block; it grows linearly from 0 at the first.
        convnext_version: "v1" (LayerScale) or "v2" (GRN).
        use_bias: Boolean, whether anything is added: biases, LayerNorm's and GRN's beta.
        scale_equivariant: Boolean. True takes `normalization=None` and `activation="relu"`, and refuses options that
            break the scale.
        normalization: "layer", "bias_free_batch" or None; "auto" is "layer", or None if `scale_equivariant`.
        activation: Name of a Keras activation; "auto" is "gelu", or "relu" if `scale_equivariant`.
        kernel_regularizer: Optional Keras regularizer for all kernels.
        output_channels: Whole number; None gives as many as the input has.
        final_activation: Name of a Keras activation for all outputs.
        enable_deep_supervision: Boolean. True gives a list of `depth` outputs, finest first: full size, half, quarter.
        dtype: Dtype policy of all layers. None takes the global one.
        **kwargs: `name`, `trainable`.

    Input shape: `(batch, height, width, channels)`, any height and width.
    Output shape: `(batch, height, width, output_channels)`, or a list whose i-th sides are divided by `2**i`, rounded
        up.

    Raises:
        ValueError: If an argument is out of range, an option breaks the scale that `scale_equivariant` promises, or
            the input is not a batch of images.

    >>> model = ConvUNextModel((None, None, 1), depth=2, initial_filters=8, blocks_per_level=1)
    >>> tuple(model(keras.ops.zeros((1, 13, 6, 1))).shape)
    (1, 13, 6, 1)
    """

    MODEL_VARIANTS = {
        "tiny": {"depth": 3, "initial_filters": 32, "blocks_per_level": 2, "drop_path_rate": 0.0},
        "small": {"depth": 3, "initial_filters": 48, "blocks_per_level": 2, "drop_path_rate": 0.1},
        "base": {"depth": 4, "initial_filters": 64, "blocks_per_level": 3, "drop_path_rate": 0.1},
        "large": {"depth": 4, "initial_filters": 96, "blocks_per_level": 4, "drop_path_rate": 0.2},
        "xlarge": {"depth": 5, "initial_filters": 128, "blocks_per_level": 5, "drop_path_rate": 0.3},
    }

    def __init__(
        self,
        input_shape: tuple[int | None, int | None, int] = (None, None, 3),
        depth: int = 4,
        initial_filters: int = 64,
        filter_multiplier: int = 2,
        blocks_per_level: int = 3,
        drop_path_rate: float = 0.1,
        convnext_version: str = "v2",
        use_bias: bool = False,
        scale_equivariant: bool = False,
        normalization: str | None = "auto",
        activation: str | Callable | None = "auto",
        kernel_regularizer: str | keras.regularizers.Regularizer | None = None,
        output_channels: int | None = None,
        final_activation: str | Callable | None = "linear",
        enable_deep_supervision: bool = False,
        dtype: str | keras.dtype_policies.DTypePolicy | None = None,
        **kwargs: Any,
    ) -> None:
        check_images(type(self).__name__, (None, *input_shape))
        config = checked(
            {
                "input_shape": tuple(input_shape),
                "depth": depth,
                "initial_filters": initial_filters,
                "filter_multiplier": filter_multiplier,
                "blocks_per_level": blocks_per_level,
                "drop_path_rate": drop_path_rate,
                "convnext_version": convnext_version,
                "use_bias": use_bias,
                "scale_equivariant": scale_equivariant,
                "normalization": normalization,
                "activation": activation,
                "kernel_regularizer": kernel_regularizer,
                "output_channels": input_shape[-1] if output_channels is None else output_channels,
                "final_activation": final_activation,
                "enable_deep_supervision": enable_deep_supervision,
            }
        )
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        images = keras.Input(input_shape, name="images")
        outputs = Parts(config, policy).wire(images)
        super().__init__(images, outputs if enable_deep_supervision else outputs[0], **kwargs)
        self._config = {**config, "dtype": policy}

    @classmethod
    def from_variant(cls, variant: str, **kwargs: Any) -> Self:
        """Return the network of a named size, a key of `MODEL_VARIANTS`.

        Args:
            variant: String, a key of `MODEL_VARIANTS`.
            **kwargs: Any argument of the class; it overrides the variant's.

        Raises:
            ValueError: If there is no such variant, or an argument is out of range.
        """
        check_choice("variant", variant, tuple(cls.MODEL_VARIANTS))
        return cls(**{"name": f"convunext_{variant}", **cls.MODEL_VARIANTS[variant], **kwargs})


def create_convunext_variant(
    variant: str,
    input_shape: tuple[int | None, int | None, int] = (None, None, 3),
    enable_deep_supervision: bool = False,
    output_channels: int | None = None,
    pretrained: str | os.PathLike | None = None,
    **kwargs: Any,
) -> ConvUNextModel:
    """Return a ConvUNext of a named size.

    Args:
        variant: One of "tiny", "small", "base", "large", "xlarge".
        input_shape: `(height, width, channels)`; sides may be None.
        enable_deep_supervision: Boolean. True gives a list of outputs, finest first.
        output_channels: Whole number; None gives as many as the input has.
        pretrained: None for random weights, or the path of a `.keras` or `.weights.h5` file. A stem or output that does
            not fit keeps its random weights, and a warning in the log names it.
        **kwargs: Any other argument of `ConvUNextModel`, `name` and `trainable` among them; it overrides the variant's.

    Raises:
        ValueError: If there is no such variant, an argument is unknown or out of range, or the weights do not fit.

    >>> model = create_convunext_variant("tiny", (None, None, 3))
    >>> model.count_params()
    1925088
    """
    check_arguments(create_convunext_variant, kwargs, ConvUNextModel)
    model = ConvUNextModel.from_variant(
        variant,
        input_shape=input_shape,
        enable_deep_supervision=enable_deep_supervision,
        output_channels=output_channels,
        **kwargs,
    )
    if pretrained:
        load_weights(model, pretrained, skip=("stem", "output"))
    return model


def create_inference_model_from_training_model(model: ConvUNextModel) -> ConvUNextModel:
    """Return the single-output network of a deeply supervised one, with its weights copied.

    Args:
        model: A `ConvUNextModel`, with or without deep supervision; it is left as it is.

    Returns:
        A `ConvUNextModel` whose output equals the finest of `model`.

    Raises:
        ValueError: If `model` is not a `ConvUNextModel`.

    >>> training = create_convunext_variant("tiny", (None, None, 1), enable_deep_supervision=True)
    >>> len(training.outputs), len(create_inference_model_from_training_model(training).outputs)
    (3, 1)
    """
    if not isinstance(model, ConvUNextModel):
        fail(
            "Only a ConvUNext can be stripped of its outputs.",
            "a `ConvUNextModel`",
            f"model of class {type(model).__name__}",
            "For another functional model, keras.Model(model.inputs, model.outputs[0]) does the same.",
        )
    single = ConvUNextModel.from_config({**model.get_config(), "enable_deep_supervision": False})
    for layer in single.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    return single
