"""Layers: what is computed. One public layer per file; each works on every Keras backend."""

from dlt.layers.bias_free_batch_normalization import BiasFreeBatchNormalization
from dlt.layers.convnext_v1_block import ConvNeXtV1Block
from dlt.layers.convnext_v2_block import ConvNeXtV2Block
from dlt.layers.convunext_stem import ConvUNextStem
from dlt.layers.global_response_normalization import GlobalResponseNormalization
from dlt.layers.hanc_block import HANCBlock
from dlt.layers.hanc_layer import HANCLayer
from dlt.layers.layer_scale import LayerScale
from dlt.layers.mlfc_layer import MLFCLayer
from dlt.layers.res_path import ResPath
from dlt.layers.squeeze_excitation import SqueezeExcitation
from dlt.layers.stochastic_depth import StochasticDepth
from dlt.layers.upsample_like import UpsampleLike

ConvNextV1Block, ConvNextV2Block = ConvNeXtV1Block, ConvNeXtV2Block  # as the classes of other libraries are spelled

__all__ = [
    "BiasFreeBatchNormalization",
    "ConvNeXtV1Block",
    "ConvNeXtV2Block",
    "ConvUNextStem",
    "GlobalResponseNormalization",
    "HANCBlock",
    "HANCLayer",
    "LayerScale",
    "MLFCLayer",
    "ResPath",
    "SqueezeExcitation",
    "StochasticDepth",
    "UpsampleLike",
]
