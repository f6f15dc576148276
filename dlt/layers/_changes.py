"""What was done to the layers inside a layer or model since it was made: frozen, quantized, given another dtype, LoRA.

A block or a model of this package describes itself by the arguments of its constructor. Those say how it was made; what
happened to its parts later has to go into the file beside them, or a frozen layer would come back trainable and a
quantized one not at all.
"""

import keras


def changes(layer: keras.layers.Layer, policy: keras.dtype_policies.DTypePolicy | None = None) -> dict:
    """Return `{path: {what: value}}` for the layers inside whose state is not the one of the layer around them.

    Args:
        layer: A built layer or model.
        policy: The dtype policy that it gave to its parts; None takes its own.
    """
    found, policy = {}, policy or layer.dtype_policy
    for part in parts(layer):
        state = {}
        if part.trainable != layer.trainable:
            state["trainable"] = part.trainable
        if part.dtype_policy != policy and not isinstance(part, keras.layers.InputLayer):
            state["dtype"] = keras.dtype_policies.serialize(part.dtype_policy)
        if part.dtype_policy.quantization_mode:
            state["quantization_config"] = keras.saving.serialize_keras_object(part.quantization_config)
        if getattr(part, "lora_enabled", False):
            state["lora"] = {"rank": part.lora_rank, "lora_alpha": part.lora_alpha}
        if state:
            found[part.name] = state
        found |= {f"{part.name}/{path}": inside for path, inside in changes(part).items()}
    return found


def apply_changes(layer: keras.layers.Layer, found: dict) -> None:
    """Do to the layers inside a newly built layer or model what `changes` found in another one.

    Args:
        layer: A built layer or model.
        found: What `changes` returned, also after a journey through JSON.
    """
    for part in parts(layer):
        state = found.get(part.name, {})
        trainable = state.get("trainable", layer.trainable)
        if part.trainable != trainable:  # what is inside follows, and is corrected after it
            part.trainable = trainable
        if "dtype" in state:
            set_dtype(part, keras.dtype_policies.deserialize(state["dtype"]), state.get("quantization_config"))
        if "lora" in state:
            part.enable_lora(**state["lora"])
        inside = f"{part.name}/"
        apply_changes(part, {path[len(inside) :]: state for path, state in found.items() if path.startswith(inside)})


def set_dtype(layer, policy, quantization_config):
    """Give a layer a dtype policy; one that is quantized quantizes the layer."""
    if policy.quantization_mode is None:
        layer.dtype_policy = policy
    else:
        config = keras.saving.deserialize_keras_object(quantization_config)
        layer.quantize(policy.quantization_mode, config=config)


def parts(layer):
    """Return the layers directly inside."""
    return list(layer._flatten_layers(include_self=False, recursive=False))
