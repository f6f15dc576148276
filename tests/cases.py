"""One row per public layer and model; `test_contracts.py` puts every row through every promise."""

import dataclasses
from collections.abc import Callable

import keras

from dlt import layers, models
from tests.helpers import as_model


@dataclasses.dataclass(frozen=True)
class Case:
    cls: type
    make: Callable  # (**kwargs) -> a fresh layer or model
    shape: tuple | list  # of a batch it takes, or of several
    bad: tuple  # of (arguments, words of the error): constructors that must raise
    still: str = (
        "$^"  # pattern of weights whose gradient is zero on paper: a batch normalization takes away what they add
    )

    @property
    def name(self):
        return self.cls.__name__


BLOCK_ERRORS = (
    ({"kernel_size": 0}, "kernel_size=0"),
    ({"drop_path_rate": 1.0}, r"a number in \[0, 1\)"),
    ({"drop_path_rate": -0.1}, "drop_path_rate=-0.1"),
)
MODEL_ERRORS = (
    ({"num_classes": 0}, "num_classes=0"),
    ({"drop_path_rate": 1.0}, "drop_path_rate=1.0"),
    ({"dropout_rate": -0.5}, "dropout_rate=-0.5"),
    ({"patch_size": -4}, "patch_size=-4"),
    ({"depths": (1, 1)}, r"depths=\(1, 1\)"),
    ({"depths": (1, 0, 1, 1)}, "depths=0"),
    ({"input_shape": (32, 32)}, "fixed number of channels"),
    ({"input_shape": (32, 32, None)}, "fixed number of channels"),
    ({"input_shape": (7, 64, 3)}, "height and width of at least 8"),
)
UNEXT_ERRORS = (
    ({"depth": 1}, "depth=1"),
    ({"initial_filters": 0}, "initial_filters=0"),
    ({"blocks_per_level": 1.5}, "blocks_per_level=1.5"),
    ({"drop_path_rate": 1}, "drop_path_rate=1"),
    ({"convnext_version": "v3"}, "one of 'v1', 'v2'"),
    ({"normalization": "batch"}, "one of 'layer', 'bias_free_batch', None"),
    ({"output_channels": -1}, "output_channels=-1"),
    ({"input_shape": (32, 32)}, "fixed number of channels"),
    ({"scale_equivariant": True, "use_bias": True}, "`use_bias` breaks the scale"),
    ({"scale_equivariant": True, "normalization": "layer"}, "`normalization` breaks the scale"),
    ({"scale_equivariant": True, "activation": "gelu"}, "`activation` breaks the scale"),
    ({"scale_equivariant": True, "final_activation": "sigmoid"}, "`final_activation` breaks the scale"),
)
# In ACC-UNet, convolutions with a bias stand before batch normalizations, some with sums or 1x1 convolutions between.
CONSTANT = r"(before_\d|expand|depthwise|project|conv|up_\d)/bias$|block(_\d)?/sum_norm/beta$|respath_\d/out_norm/beta$"
SMALL = {"depths": (1, 1, 2, 1), "dims": (8, 8, 16, 16), "num_classes": 5, "input_shape": (None, None, 3)}
SMALL_UNEXT = {"depth": 2, "initial_filters": 4, "blocks_per_level": 1, "input_shape": (None, None, 3)}


def upsample_and_add(**kwargs):
    """UpsampleLike uses the size of its second input alone; here its values count too, and get their gradients."""
    layer = layers.UpsampleLike(**kwargs)
    return as_model(lambda maps: keras.ops.add(layer(maps), maps[1]), [(2, 4, 3, 5), (2, 7, 6, 5)])


def predicted_patches(**kwargs):
    """A masked autoencoder gives two tensors, one of them of random numbers; here it hides nothing and gives one."""
    policy = {name: kwargs.pop(name) for name in ("dtype",) if name in kwargs}
    two_stages = {"depths": (1, 1), "dims": (8, 12), "patch_size": 2, "input_shape": (None, None, 3)}
    encoder = models.ConvNeXtV2(**two_stages, include_top=False, **policy)
    model = models.MaskedAutoencoder(**{"encoder": encoder, "mask_ratio": 0.0, "decoder_width": 8, **kwargs})
    return as_model(lambda images: model(images)["patches"], (2, 8, 12, 3))


def compile_and_join(**kwargs):
    """MLFCLayer gives a list of maps; here they are brought to one size and joined."""
    layer = layers.MLFCLayer(**{"channels_list": [3, 5], **kwargs})

    def joined(maps):
        fine, coarse = layer(maps)
        return keras.layers.Concatenate()([fine, keras.layers.UpSampling2D(2, "channels_last")(coarse)])

    return as_model(joined, [(2, 8, 6, 3), (2, 4, 3, 5)])


CASES = [
    Case(
        layers.LayerScale,
        lambda **kwargs: layers.LayerScale(**{"initial_value": 0.1, **kwargs}),
        (2, 6, 5, 4),
        (({"initial_value": 0.0}, "initial_value=0.0"), ({"initial_value": float("nan")}, "finite number")),
    ),
    Case(
        layers.StochasticDepth,
        lambda **kwargs: layers.StochasticDepth(**{"rate": 0.0, **kwargs}),
        (2, 6, 5, 4),
        (({"rate": 1.0}, "rate=1.0"), ({"rate": "half"}, "rate='half'"), ({"rate": True}, "rate=True")),
    ),
    Case(
        layers.GlobalResponseNormalization,
        layers.GlobalResponseNormalization,
        (2, 6, 5, 4),
        (({"epsilon": -1}, "epsilon=-1"), ({"epsilon": "small"}, "epsilon='small'")),
    ),
    Case(
        layers.ConvNeXtV1Block,
        lambda **kwargs: layers.ConvNeXtV1Block(**{"layer_scale": 0.5, **kwargs}),
        (2, 9, 8, 4),
        (*BLOCK_ERRORS, ({"layer_scale": -1}, "layer_scale=-1")),
    ),
    Case(
        layers.BiasFreeBatchNormalization,
        layers.BiasFreeBatchNormalization,
        (2, 6, 5, 4),
        (({"momentum": 1.0}, "momentum=1.0"), ({"epsilon": -1e-5}, "epsilon=-1e-05")),
    ),
    Case(layers.ConvNeXtV2Block, layers.ConvNeXtV2Block, (2, 9, 8, 4), BLOCK_ERRORS),
    Case(models.ConvNeXtV1, lambda **kwargs: models.ConvNeXtV1(**{**SMALL, **kwargs}), (2, 32, 36, 3), MODEL_ERRORS),
    Case(models.ConvNeXtV2, lambda **kwargs: models.ConvNeXtV2(**{**SMALL, **kwargs}), (2, 32, 36, 3), MODEL_ERRORS),
    Case(
        layers.ConvUNextStem,
        lambda **kwargs: layers.ConvUNextStem(**{"filters": 8, **kwargs}),
        (2, 9, 8, 4),
        (
            ({"filters": 0}, "filters=0"),
            ({"kernel_size": -7}, "kernel_size=-7"),
            ({"normalization": "batch"}, "None"),
        ),
    ),
    Case(
        layers.SqueezeExcitation,
        layers.SqueezeExcitation,
        (2, 6, 5, 16),
        (({"reduction": 0}, "reduction=0"), ({"reduction": 0.5}, "reduction=0.5")),
    ),
    Case(
        layers.HANCLayer,
        lambda **kwargs: layers.HANCLayer(**{"filters": 5, "k": 3, **kwargs}),
        (2, 8, 12, 4),
        (({"filters": 0}, "filters=0"), ({"k": 0}, "k=0")),
        still=CONSTANT,
    ),
    Case(
        layers.HANCBlock,
        lambda **kwargs: layers.HANCBlock(**{"filters": 8, "input_channels": 4, "k": 2, **kwargs}),
        (2, 6, 8, 4),
        (
            ({"filters": 1.5}, "filters=1.5"),
            ({"input_channels": 0}, "input_channels=0"),
            ({"k": -1}, "k=-1"),
            ({"expansion": 0}, "expansion=0"),
        ),
        still=CONSTANT,
    ),
    Case(
        layers.ResPath,
        lambda **kwargs: layers.ResPath(**{"num_blocks": 2, **kwargs}),
        (2, 7, 6, 8),
        (({"num_blocks": 0}, "num_blocks=0"),),
        still=r"_conv/bias$",
    ),
    Case(
        layers.MLFCLayer,
        compile_and_join,
        [(2, 8, 6, 3), (2, 4, 3, 5)],
        (
            ({"channels_list": [8]}, "at least two levels"),
            ({"channels_list": [8, 0]}, "channels_list=0"),
            ({"num_iterations": 0}, "num_iterations=0"),
        ),
        still=CONSTANT,
    ),
    Case(
        models.AccUNet,
        lambda **kwargs: models.AccUNet(
            **{"base_filters": 4, "mlfc_iterations": 1, "expansion": 3, "final_activation": "linear", **kwargs}
        ),
        (2, 32, 16, 3),
        (
            ({"input_channels": 0}, "input_channels=0"),
            ({"num_classes": 0}, "num_classes=0"),
            ({"base_filters": -8}, "base_filters=-8"),
            ({"mlfc_iterations": -1}, "mlfc_iterations=-1"),
            ({"expansion": 0}, "expansion=0"),
            ({"input_shape": (32, 32, 3)}, "height and width of the images"),
            ({"input_shape": (40, 32)}, "nearest that work: 32 or 48 and 32"),
        ),
        still=CONSTANT,
    ),
    Case(
        models.MaskedAutoencoder,
        predicted_patches,
        (2, 8, 12, 3),
        (
            ({"mask_ratio": 1.0}, "mask_ratio=1.0"),
            ({"decoder_width": 0}, "decoder_width=0"),
            ({"encoder": None}, "needs an encoder"),
        ),
        still=r"token$",
    ),
    Case(layers.UpsampleLike, upsample_and_add, [(2, 4, 3, 5), (2, 7, 6, 5)], ()),
    Case(
        models.ConvUNextModel,
        lambda **kwargs: models.ConvUNextModel(**{**SMALL_UNEXT, **kwargs}),
        (2, 11, 6, 3),
        UNEXT_ERRORS,
    ),
    Case(
        models.UNet,
        lambda **kwargs: models.UNet(**{"depth": 2, "initial_filters": 4, **kwargs}),
        (2, 11, 6, 3),
        (
            ({"depth": 0}, "depth=0"),
            ({"initial_filters": 1.5}, "initial_filters=1.5"),
            ({"input_shape": (8, 8)}, "fixed"),
        ),
    ),
    Case(
        models.ResidualUNet,
        lambda **kwargs: models.ResidualUNet(**{"filters": (4, 8), "blocks": (1, 1), **kwargs}),
        (2, 11, 6, 3),
        (
            ({"filters": (4, 8, 16)}, r"two sequences of the same length, at least 1. Received: filters=\(4, 8, 16\)"),
            ({"filters": (0, 8)}, "filters=0"),
            ({"blocks": (1, 1.5)}, "blocks=1.5"),
            ({"input_shape": (8, 8)}, "fixed"),
        ),
    ),
]
