"""Which layer was called on which shapes: one symbolic run of a model, in which nothing is computed."""

import contextlib
import dataclasses
import functools

import keras

from dlt._check import fail


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of one layer: the layer, its path in the model, the shapes it got and gave (None is the batch)."""

    layer: keras.Layer
    path: str
    input_shape: tuple
    output_shape: tuple


class Run(keras.Layer):
    """Calls a model inside a layer, so that Keras traces it with shapes only, down to the innermost layer.

    `begin` is called first. On PyTorch a trace without data can fail half-way, and Keras then begins it anew.
    """

    def __init__(self, model, begin):
        super().__init__(name="trace")
        self._begin = begin
        self._run = lambda inputs: model(inputs)  # behind a function, the model is not tracked as a sublayer

    def call(self, inputs):
        self._begin()
        return self._run(inputs)


def calls(model, input_shape=None):
    """Return a `Call` for every call of every layer inside `model`, in order, on one input.

    Args:
        model: A built Keras model or layer. Subclassed and nested ones are followed inside; a layer without layers
            inside stands for itself.
        input_shape: Shape of one input without the batch; None takes the model's own.

    Raises:
        ValueError: If the model does not fix the shape of its input and none is given.
    """
    inputs = symbolic_inputs(model, input_shape)
    record = []
    with contextlib.ExitStack() as stack:
        for path, layer in list(sublayers(model)) or [(model.name, model)]:
            stack.enter_context(listening(layer, functools.partial(note, record, layer, path)))
        Run(model, begin=record.clear)(inputs)
    return record


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


def note(record, layer, path, args, kwargs, outputs):
    """Add the `Call` of a layer to the record."""
    record.append(Call(layer, path, shape_of(args[0] if args else None), shape_of(outputs)))


@contextlib.contextmanager
def listening(layer, hear):
    """While open, every call of the layer goes on to `hear(args, kwargs, outputs)`."""
    with calling(layer, layer.call) as original:

        @functools.wraps(original)
        def call(*args, **kwargs):
            outputs = original(*args, **kwargs)
            hear(args, kwargs, outputs)
            return outputs

        vars(layer)["call"] = call
        yield


@contextlib.contextmanager
def calling(layer, function):
    """While open, the layer computes `function` in place of its own `call`, which an instance attribute shadows."""
    original = layer.call
    vars(layer)["call"] = function
    try:
        yield original
    finally:
        del vars(layer)["call"]


def shape_of(tensors):
    """Return the shape of a tensor as a tuple, of a list of tensors as a tuple of shapes."""
    return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), tensors)
