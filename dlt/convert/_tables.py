"""Where a weight of another library lives in ours.

A row is (pattern of their layer, our layer). The first table in which any row matches is taken, and what follows the
layer's name (`weight`, `bias`, `gamma`, ...) is translated by `leaf`.
"""

import re

OFFICIAL = (
    (r"downsample_layers\.0\.0", r"stem_conv"),
    (r"downsample_layers\.0\.1", r"stem_norm"),
    (r"downsample_layers\.(\d+)\.0", r"downsample_\1_norm"),
    (r"downsample_layers\.(\d+)\.1", r"downsample_\1_conv"),
    (r"stages\.(\d+)\.(\d+)\.dwconv", r"stage_\1_block_\2/depthwise"),
    (r"stages\.(\d+)\.(\d+)\.norm", r"stage_\1_block_\2/norm"),
    (r"stages\.(\d+)\.(\d+)\.pwconv1", r"stage_\1_block_\2/expand"),
    (r"stages\.(\d+)\.(\d+)\.grn", r"stage_\1_block_\2/grn"),
    (r"stages\.(\d+)\.(\d+)\.pwconv2", r"stage_\1_block_\2/project"),
    (r"stages\.(\d+)\.(\d+)", r"stage_\1_block_\2/layer_scale"),
    (r"norm", r"head_norm"),
    (r"head", r"head"),
)

TIMM = (
    (r"stem\.0", r"stem_conv"),
    (r"stem\.1", r"stem_norm"),
    (r"stages\.(\d+)\.downsample\.0", r"downsample_\1_norm"),
    (r"stages\.(\d+)\.downsample\.1", r"downsample_\1_conv"),
    (r"stages\.(\d+)\.blocks\.(\d+)\.conv_dw", r"stage_\1_block_\2/depthwise"),
    (r"stages\.(\d+)\.blocks\.(\d+)\.norm", r"stage_\1_block_\2/norm"),
    (r"stages\.(\d+)\.blocks\.(\d+)\.mlp\.fc1", r"stage_\1_block_\2/expand"),
    (r"stages\.(\d+)\.blocks\.(\d+)\.mlp\.grn", r"stage_\1_block_\2/grn"),
    (r"stages\.(\d+)\.blocks\.(\d+)\.mlp\.fc2", r"stage_\1_block_\2/project"),
    (r"stages\.(\d+)\.blocks\.(\d+)", r"stage_\1_block_\2/layer_scale"),
    (r"head\.norm", r"head_norm"),
    (r"head\.fc", r"head"),
)

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
    (r".+_head_dense", r"head"),
)

TABLES = {
    "keras.applications": KERAS_APPLICATIONS,
    "Hugging Face": HUGGING_FACE,
    "timm": TIMM,
    "official": OFFICIAL,
}
SCALES = ("weight", "gamma", "layer_scale_parameter")
OFFSETS = ("bias", "beta")


def leaf(layer, name):
    """Return our name of a weight: normalizations and scales have gamma and beta, the others kernel and bias."""
    scales = layer.endswith(("norm", "grn", "layer_scale"))
    if name in SCALES or name.startswith("variable"):  # keras.applications leaves its LayerScale's unnamed
        return "gamma" if scales else "kernel"
    if name in OFFSETS:
        return "beta" if scales else "bias"
    return name


def translate(name, table):
    """Return the path that a weight of another library has in ours, or None if the table has no row for it."""
    layer, _, last = name.rpartition("/" if "/" in name else ".")
    for pattern, ours in table:
        match = re.fullmatch(pattern, layer)
        if match:
            path = ours(match) if callable(ours) else match.expand(ours)
            return f"{path}/{leaf(path, last)}"
    return None


def recognise(names):
    """Return the table that knows most of these names, and what it is called; (None, None) if none knows any."""
    counts = {title: sum(translate(name, table) is not None for name in names) for title, table in TABLES.items()}
    title = max(counts, key=counts.get)
    return (title, TABLES[title]) if counts[title] else (None, None)
