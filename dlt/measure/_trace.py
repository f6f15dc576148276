"""What is inside a model, and how to hear it: its parts by path, their calls, a symbolic run of it."""

import contextlib
import functools
from collections.abc import Callable, Iterator

import keras

from dlt._check import fail


class Run(keras.Layer):
    """Calls a model inside a layer, so that Keras traces it with shapes only, down to the innermost layer.

    `begin` is a context that is entered first, with the inputs. On PyTorch a trace without data can fail half-way,
    and Keras then begins it anew.
    """

    def __init__(self, model: keras.Layer, begin: Callable):
        super().__init__(name="trace")
        self._begin = begin
        self._run = lambda inputs: model(inputs)  # behind a function, the model is not tracked as a sublayer

    def call(self, inputs):
        with self._begin(inputs):
            return self._run(inputs)


def symbolic_inputs(model, input_shape):
    """Return symbolic inputs of batch 1 for a model: of the given shape, or of its own."""
    if input_shape is not None:
        return keras.Input(input_shape, batch_size=1)
    own = None
    if getattr(model, "inputs", None):  # a Sequential has `inputs`, but its `input` raises
        own = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    if own is None or any(None in tensor.shape[1:] for tensor in keras.tree.flatten(own)):
        fail(
            f"{model.name} does not fix the shape of its input, so shapes inside it are unknown.",
            "`input_shape`, without None and without the batch",
            f"input_shape={input_shape}",
            "Pass for example input_shape=(224, 224, 3).",
        )
    return keras.tree.map_structure(lambda t: keras.Input(t.shape[1:], batch_size=1, dtype=t.dtype), own)


def sublayers(layer, prefix="", seen=None):
    """Yield (path, layer) for all layers inside `layer`, outer ones first, each once."""
    seen = set() if seen is None else seen
    for child in layer._flatten_layers(include_self=False, recursive=False):
        if id(child) not in seen:
            seen.add(id(child))
            yield f"{prefix}{child.name}", child
            yield from sublayers(child, f"{prefix}{child.name}/", seen)


def parts(part: keras.Operation, path: str = "", prefix: str = "", seen: set | None = None) -> Iterator[tuple]:
    """Yield (path, part) for a model and all layers and operations inside, outer ones first, each once.

    Of several with the same path, all but the first have a number: "conv", "conv (2)".
    """
    seen = set() if seen is None else seen
    if id(part) in seen:
        return
    seen.add(id(part))
    yield path or part.name, part
    for name, child in named(children(part)):
        yield from parts(child, prefix + name, f"{prefix}{name}/", seen)


def children(part: keras.Operation) -> list:
    """Return the layers directly inside a layer, and the operations of its graph if it is functional."""
    if not isinstance(part, keras.Layer):
        return []
    inside = {id(child): child for child in getattr(part, "operations", [])}
    inside |= {id(child): child for child in part._flatten_layers(include_self=False, recursive=False)}
    return [child for child in inside.values() if not isinstance(child, keras.layers.InputLayer)]


def named(layers: list) -> list:
    """Return (name, layer) of layers side by side; all but the first of one name have a number."""
    names = [layer.name for layer in layers]
    times = [names[:index].count(name) for index, name in enumerate(names)] if len(set(names)) < len(names) else None
    if times is None:
        return list(zip(names, layers, strict=True))
    return [(f"{name} ({n + 1})" if n else name, x) for name, n, x in zip(names, times, layers, strict=True)]


@contextlib.contextmanager
def listening(layer, hear):
    """While open, every call of the layer goes on to `hear(args, kwargs, outputs)`."""
    _, original = own_call(layer)

    @functools.wraps(original)
    def call(*args, **kwargs):
        outputs = original(*args, **kwargs)
        hear(args, kwargs, outputs)
        return outputs

    with calling(layer, call):
        yield


@contextlib.contextmanager
def calling(layer, function, name=None):
    """While open, the layer computes `function` in place of its own `call`, which an instance attribute shadows."""
    name = name or own_call(layer)[0]
    original = getattr(layer, name)
    vars(layer)[name] = function
    try:
        yield original
    finally:
        del vars(layer)[name]


def own_call(layer: keras.Operation) -> tuple[str, Callable]:
    """Return what a layer computes with, and its name: a quantized one has a `quantized_call`."""
    name = "call" if getattr(layer, "quantization_mode", None) is None else "quantized_call"
    return name, getattr(layer, name)
