"""Our weights under the names of other libraries."""

from keras import ops

from dlt.models import ConvNeXtV1, ConvNeXtV2


def state_dict(model, style):
    """Write a model's weights under the names, axes and shapes of another library, spelled out one by one."""
    state = {}

    def put(name, path):
        array = ops.convert_to_numpy(next(weight for weight in model.weights if weight.path == path))
        if array.ndim == 4:
            array = array.transpose((2, 3, 0, 1) if "depthwise" in path else (3, 2, 0, 1))
        state[name] = array.T if array.ndim == 2 else array

    def layer(name, path):
        scales = path.endswith("norm")
        put(f"{name}.weight", f"{path}/{'gamma' if scales else 'kernel'}")
        put(f"{name}.bias", f"{path}/{'beta' if scales else 'bias'}")

    hf = {ConvNeXtV1: "convnext.", ConvNeXtV2: "convnextv2."}[type(model)]
    stem = {"official": "downsample_layers.0.{}", "timm": "stem.{}", "hf": hf + "embeddings.{}"}[style]
    down = {
        "official": "downsample_layers.{}.{}",
        "timm": "stages.{}.downsample.{}",
        "hf": hf + "encoder.stages.{}.downsampling_layer.{}",
    }[style]
    block = {"official": "stages.{}.{}", "timm": "stages.{}.blocks.{}", "hf": hf + "encoder.stages.{}.layers.{}"}[style]
    inner = {
        "official": ("dwconv", "norm", "pwconv1", "pwconv2", "gamma", "grn.gamma", "grn.beta"),
        "timm": ("conv_dw", "norm", "mlp.fc1", "mlp.fc2", "gamma", "mlp.grn.weight", "mlp.grn.bias"),
        "hf": ("dwconv", "layernorm", "pwconv1", "pwconv2", "layer_scale_parameter", "grn.weight", "grn.bias"),
    }[style]
    layer(stem.format("patch_embeddings" if style == "hf" else 0), "stem_conv")
    layer(stem.format("layernorm" if style == "hf" else 1), "stem_norm")
    for i, depth in enumerate(model.get_config()["depths"]):
        if i:
            layer(down.format(i, 0), f"downsample_{i}_norm")
            layer(down.format(i, 1), f"downsample_{i}_conv")
        for j in range(depth):
            theirs, ours = block.format(i, j), f"stage_{i}_block_{j}"
            for name, path in zip(inner, ("depthwise", "norm", "expand", "project"), strict=False):
                layer(f"{theirs}.{name}", f"{ours}/{path}")
            if isinstance(model, ConvNeXtV1):
                put(f"{theirs}.{inner[4]}", f"{ours}/layer_scale/gamma")
                continue
            for name, path in zip(inner[5:], ("grn/gamma", "grn/beta"), strict=True):
                put(f"{theirs}.{name}", f"{ours}/{path}")
                if style != "timm":
                    state[f"{theirs}.{name}"] = state[f"{theirs}.{name}"].reshape(1, 1, 1, -1)
    layer({"official": "norm", "timm": "head.norm", "hf": hf + "layernorm"}[style], "head_norm")
    layer({"official": "head", "timm": "head.fc", "hf": "classifier"}[style], "head")
    return state
