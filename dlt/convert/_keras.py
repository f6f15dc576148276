"""The weights of a Keras model by path, as they act: low-rank updates (LoRA) are part of their kernels."""

from collections import Counter
from collections.abc import Iterator

import keras
import numpy as np

from dlt._check import fail

LOW_RANK = "lora_"


def stored(layer: keras.Layer) -> Iterator[tuple[str, object, str]]:
    """Yield what Keras would store of a layer: its key, its value, and the path of the weight it belongs to.

    The value is a variable, or a tensor where Keras merges a low-rank update into a kernel.
    """
    store: dict = {}
    layer.save_own_variables(store)
    variables = {value.path for value in store.values() if hasattr(value, "path")}
    rest = (weight.path for weight in layer.weights if weight.path not in variables and LOW_RANK not in weight.name)
    for key, value in store.items():
        path = value.path if hasattr(value, "path") else next(rest, None)
        if path is not None:
            yield key, value, path


def layers_of(model: keras.Model) -> Iterator[keras.Layer]:
    """Yield every layer with its own weights, blocks' layers included."""
    yield from model._flatten_layers(include_self=False)


def weights_by_path(model: keras.Model) -> dict:
    """Return `{path: variable}`, without low-rank updates.

    Raises:
        ValueError: If two weights have the same path.
    """
    weights = [weight for weight in model.weights if LOW_RANK not in weight.name]
    path, count = max(Counter(weight.path for weight in weights).items(), key=lambda item: item[1], default=("", 1))
    if count > 1:
        fail(
            f"Weights of {model.name} share a name, so that nothing tells them apart.",
            "weights with different paths",
            f"{count} weights with the path {path}",
            "Take one part of the model after the other, for example `model.get_layer(name)`.",
        )
    return {weight.path: weight for weight in weights}


def values_by_path(model: keras.Model) -> dict[str, np.ndarray]:
    """Return `{path: array}` of all weights, low-rank updates merged into their kernels."""
    values = {path: keras.ops.convert_to_numpy(weight) for path, weight in weights_by_path(model).items()}
    for layer in layers_of(model):
        if getattr(layer, "lora_enabled", False):
            values |= {path: keras.ops.convert_to_numpy(value) for _, value, path in stored(layer)}
    return values


def addresses(model: keras.Model) -> dict[str, str]:
    """Return `{address: path}` for every weight: its path, and its place in its layer as .h5 files have it."""
    paths = {path: path for path in weights_by_path(model)}
    for layer in layers_of(model):
        paths |= {f"{path.rpartition('/')[0]}/{key}": path for key, _, path in stored(layer)}
    return paths


def end_low_rank_updates(model: keras.Model, paths: set[str]) -> list[str]:
    """Set to zero what would be added to the kernels at `paths`; return the names of the layers that had such updates.

    The second factor alone is set to zero: with both, no gradient would ever reach either.
    """
    ended = []
    for layer in layers_of(model):
        if getattr(layer, "lora_enabled", False) and paths & {path for _, _, path in stored(layer)}:
            for weight in layer.weights:
                if weight.name.startswith(LOW_RANK) and weight.name.endswith("_b"):
                    weight.assign(keras.ops.zeros(weight.shape, weight.dtype))  # JAX: no zeros_like of a variable
            ended.append(layer.name)
    return ended


def quantized_layers(model: keras.Model) -> dict[str, str]:
    """Return `{path of a weight: mode}` for the layers that Keras has quantized to integers."""
    return {
        weight.path: layer.quantization_mode
        for layer in layers_of(model)
        if getattr(layer, "quantization_mode", None)
        for weight in layer.weights
        if keras.backend.is_int_dtype(weight.dtype)
    }
