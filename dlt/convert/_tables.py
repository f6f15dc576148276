"""Where a weight of another library lives in ours.

A row is (pattern of their layer, our layer). The first table in which any row matches is taken, and what follows the
layer's name (`weight`, `bias`, `gamma`, ...) is translated by `leaf`.
"""

import re

import numpy as np

# FCMAE's sparse networks have the same names with `ln` and `linear` inside: `norm.ln.weight`, `pwconv1.linear.weight`.
OFFICIAL = (
    (r"downsample_layers\.0\.0", r"stem_conv"),
    (r"downsample_layers\.0\.1(?:\.ln)?", r"stem_norm"),
    (r"downsample_layers\.(\d+)\.0(?:\.ln)?", r"downsample_\1_norm"),
    (r"downsample_layers\.(\d+)\.1", r"downsample_\1_conv"),
    (r"stages\.(\d+)\.(\d+)\.dwconv", r"stage_\1_block_\2/depthwise"),
    (r"stages\.(\d+)\.(\d+)\.norm(?:\.ln)?", r"stage_\1_block_\2/norm"),
    (r"stages\.(\d+)\.(\d+)\.pwconv1(?:\.linear)?", r"stage_\1_block_\2/expand"),
    (r"stages\.(\d+)\.(\d+)\.grn", r"stage_\1_block_\2/grn"),
    (r"stages\.(\d+)\.(\d+)\.pwconv2(?:\.linear)?", r"stage_\1_block_\2/project"),
    (r"stages\.(\d+)\.(\d+)", r"stage_\1_block_\2/layer_scale"),
    (r"norm", r"head_norm"),
    (r"head", r"head"),
)

# With `features_only=True` timm writes `stem_0` and `stages_1`. Stems of several convolutions, a normalization before
# the pooling and a hidden layer in the head have no place in our networks; EXPLAINED says so.
TIMM = (
    (r"stem[._]0", r"stem_conv"),
    (r"stem[._]1", r"stem_norm"),
    (r"stem[._]([23])", r"stem/second_conv_\1"),
    (r"stages[._](\d+)\.downsample\.0", r"downsample_\1_norm"),
    (r"stages[._](\d+)\.downsample\.1", r"downsample_\1_conv"),
    (r"stages[._](\d+)\.blocks\.(\d+)\.conv_dw", r"stage_\1_block_\2/depthwise"),
    (r"stages[._](\d+)\.blocks\.(\d+)\.norm", r"stage_\1_block_\2/norm"),
    (r"stages[._](\d+)\.blocks\.(\d+)\.mlp\.fc1", r"stage_\1_block_\2/expand"),
    (r"stages[._](\d+)\.blocks\.(\d+)\.mlp\.grn", r"stage_\1_block_\2/grn"),
    (r"stages[._](\d+)\.blocks\.(\d+)\.mlp\.fc2", r"stage_\1_block_\2/project"),
    (r"stages[._](\d+)\.blocks\.(\d+)", r"stage_\1_block_\2/layer_scale"),
    (r"norm_pre", r"head/norm_before_pooling"),
    (r"head\.norm", r"head_norm"),
    (r"head\.pre_logits\.fc", r"head/hidden"),
    (r"head\.fc", r"head"),
)

EXPLAINED = (  # (pattern of a path, what the source has that our networks do not)
    (r"stem/second_conv_.*", "its stem has several convolutions, ours is one"),
    (r"head/norm_before_pooling/.*", "its head normalizes before it pools, ours after"),
    (r"head/hidden/.*", "its head has a hidden layer"),
)
OUTSIDE = {  # whose names -> pattern of what its files may hold beside the network
    "official": r"(?:mask_token|(?:decoder|proj|pred)\..*|(?:norms|projectors)\..*)",  # FCMAE's decoder; distillation
    "Hugging Face": r"(?:.*\.)?hidden_states_norms\..*",  # backbones: norms behind the feature maps
}

_HF = r"(?:convnext(?:v2)?\.)?"
_HF_BLOCK = _HF + r"encoder\.stages\.(\d+)\.layers\.(\d+)"
HUGGING_FACE = (
    (_HF + r"embeddings\.patch_embeddings", r"stem_conv"),
    (_HF + r"embeddings\.layernorm", r"stem_norm"),
    (_HF + r"encoder\.stages\.(\d+)\.downsampling_layer\.0", r"downsample_\1_norm"),
    (_HF + r"encoder\.stages\.(\d+)\.downsampling_layer\.1", r"downsample_\1_conv"),
    (_HF_BLOCK + r"\.dwconv", r"stage_\1_block_\2/depthwise"),
    (_HF_BLOCK + r"\.layernorm", r"stage_\1_block_\2/norm"),
    (_HF_BLOCK + r"\.pwconv1", r"stage_\1_block_\2/expand"),
    (_HF_BLOCK + r"\.grn", r"stage_\1_block_\2/grn"),
    (_HF_BLOCK + r"\.pwconv2", r"stage_\1_block_\2/project"),
    (_HF_BLOCK, r"stage_\1_block_\2/layer_scale"),
    (_HF + r"layernorm", r"head_norm"),
    (r"classifier", r"head"),
)

_APP_BLOCK = r".+_stage_(\d+)_block_(\d+)"
KERAS_APPLICATIONS = (
    (r"(?:.+/)?.+_stem_conv", r"stem_conv"),
    (r"(?:.+/)?.+_stem_layernorm", r"stem_norm"),
    (r"(?:.+/)?.+_downsampling_layernorm_(\d+)", lambda m: f"downsample_{int(m[1]) + 1}_norm"),
    (r"(?:.+/)?.+_downsampling_conv_(\d+)", lambda m: f"downsample_{int(m[1]) + 1}_conv"),
    (_APP_BLOCK + r"_depthwise_conv", r"stage_\1_block_\2/depthwise"),
    (_APP_BLOCK + r"_layernorm", r"stage_\1_block_\2/norm"),
    (_APP_BLOCK + r"_pointwise_conv_1", r"stage_\1_block_\2/expand"),
    (_APP_BLOCK + r"_pointwise_conv_2", r"stage_\1_block_\2/project"),
    (_APP_BLOCK + r"_layer_scale", r"stage_\1_block_\2/layer_scale"),
    (r".+_head_layernorm", r"head_norm"),
    (r"layer_normalization(?:_\d+)?", r"head_norm"),  # with include_top=False it has no name of its own
    (r".+_head_dense", r"head"),
)

_SE = {"fc1": "reduce", "fc2": "restore", "bn": "norm"}
_SQE = {f"sqe.{theirs}": f"excite/{ours}" for theirs, ours in _SE.items()}
_FUSION = {"conv1": "project/conv", "batchnorm": "norm", **_SQE}
_FUSIONS = {"blks": "compile", "mrg": "merge", "": "compile", "_mrg": "merge"}
_HANC_BLOCK = {
    "conv1": "expand",
    "norm1": "expand_norm",
    "conv2": "depthwise",
    "norm2": "depthwise_norm",
    "hnc.cnv": "hanc/project/conv",
    "hnc.bn": "hanc/norm",
    "norm": "sum_norm",
    "conv3": "project",
    "norm3": "project_norm",
    **_SQE,
}


def _one_of(names):
    """Return a pattern for any of these names."""
    return f"({'|'.join(map(re.escape, names))})"


def _block(m):
    """Return our name of a block; their levels count down the encoder from 1 to 5, and up the decoder to 9."""
    level = int(m[1])
    place = f"encoder_{level - 1}" if level < 5 else "bottleneck" if level == 5 else f"decoder_{9 - level}"
    return f"{place}_block_{int(m[2]) - 1}/{_HANC_BLOCK[m[3]]}"


def _path(m):
    """Return our name of a ResPath."""
    return f"respath_{int(m[1]) - 1}"


def _mlfc(m):
    """Return what our names of the parts of an MLFC layer begin with: the layer and the level."""
    return f"mlfc_{int(m['layer']) - 1}/iteration_0_level_{int(m['level']) - 1}"


_ACC_PATH, _ACC_MLFC, _ACC_LEVEL = r"rspth(\d)\.", r"mlfc(?P<layer>\d+)\.", r"(?P<level>\d)"
ACC_UNET = (
    (rf"cnv([1-9])([12])\.{_one_of(_HANC_BLOCK)}", _block),
    (_ACC_PATH + r"convs\.(\d)", lambda m: f"{_path(m)}/block_{m[2]}_conv"),
    (_ACC_PATH + r"bns\.(\d)", lambda m: f"{_path(m)}/block_{m[2]}_norm"),
    (_ACC_PATH + rf"sqes\.(\d)\.{_one_of(_SE)}", lambda m: f"{_path(m)}/block_{m[2]}_excite/{_SE[m[3]]}"),
    (_ACC_PATH + r"bn", lambda m: f"{_path(m)}/sum_norm"),
    (_ACC_PATH + r"sqe", lambda m: f"{_path(m)}/out_norm"),  # it is a batch normalization
    (
        _ACC_MLFC + rf"cnv_(?P<kind>blks|mrg){_ACC_LEVEL}\.0\.(?P<name>{_one_of(_FUSION)})",
        lambda m: f"{_mlfc(m)}_{_FUSIONS[m['kind']]}/{_FUSION[m['name']]}",
    ),
    (
        _ACC_MLFC + rf"bns(?P<kind>|_mrg){_ACC_LEVEL}\.0",
        lambda m: f"{_mlfc(m)}_{_FUSIONS[m['kind']]}/out_norm",
    ),
    (_ACC_MLFC + rf"sqe{_ACC_LEVEL}\.(?P<name>{_one_of(_SE)})", lambda m: f"{_mlfc(m)}_excite/{_SE[m['name']]}"),
    (r"up([6-9])", lambda m: f"up_{9 - int(m[1])}"),
    (r"out", r"output"),
)

# Kernels of a concatenation whose channels are interleaved: channel c of part j stands at c * parts + j.
INTERLEAVED = (
    (r"cnv[123789][12]\.hnc\.cnv\.weight", 5),  # HANC, k = 3: the map, two averages, two maxima
    (r"cnv[46][12]\.hnc\.cnv\.weight", 3),
    (r"mlfc\d+\.cnv_mrg\d\.0\.conv1\.weight", 2),
)


def part_by_part(name: str, array: np.ndarray) -> np.ndarray:
    """Return a kernel `(out, in, 1, 1)` with its input channels part after part, if its name says they interleave."""
    parts = next((parts for pattern, parts in INTERLEAVED if re.fullmatch(pattern, name)), None)
    if parts is None:
        return array
    out, channels = array.shape[:2]
    return array.reshape(out, channels // parts, parts).swapaxes(1, 2).reshape(array.shape)


TABLES = {
    "keras.applications": KERAS_APPLICATIONS,
    "Hugging Face": HUGGING_FACE,
    "timm": TIMM,
    "official": OFFICIAL,
    "ACC-UNet": ACC_UNET,
}
SCALES = ("weight", "gamma", "layer_scale_parameter")
OFFSETS = ("bias", "beta")
STATISTICS = {"running_mean": "moving_mean", "running_var": "moving_variance"}


def leaf(layer: str, name: str) -> str:
    """Return our name of a weight: normalizations and scales have gamma and beta, the others kernel and bias."""
    scales = layer.endswith(("norm", "grn", "layer_scale"))
    if name in SCALES or name.startswith("variable"):  # keras.applications leaves its LayerScale's unnamed
        return "gamma" if scales else "kernel"
    if name in OFFSETS:
        return "beta" if scales else "bias"
    return STATISTICS.get(name, name)


def translate(name: str, table: tuple) -> str | None:
    """Return the path that a weight of another library has in ours, or None if the table has no row for it."""
    layer, _, last = name.rpartition("/" if "/" in name else ".")
    for pattern, ours in table:
        match = re.fullmatch(pattern, layer)
        if match:
            path = ours(match) if callable(ours) else match.expand(ours)
            return f"{path}/{leaf(path, last)}"
    return None


def explain(path: str) -> str:
    """Return why a weight of the source has no place in the model."""
    reasons = (reason for pattern, reason in EXPLAINED if re.fullmatch(pattern, path))
    return next(reasons, "the model has no such weight")
