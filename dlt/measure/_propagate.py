"""What every layer of a model sees: its graph, found by calling it on symbolic tensors, then walked with the rules."""

import contextlib
import dataclasses

import keras

from dlt.measure._probe import probe
from dlt.measure._rules import RULES, split
from dlt.measure._seen import blind, start


@dataclasses.dataclass
class Trace:
    """What a walk through a model found.

    Attributes:
        layers: Dict, path of a layer -> its first output, as a pair of `Seen`, for height and for width.
        outputs: List of the model's outputs, each such a pair.
        probed: List of the paths of what has no rule and no graph, and was probed with numbers.
        nodes: List of the graph's nodes that the walk has made.
    """

    layers: dict = dataclasses.field(default_factory=dict)
    outputs: list = dataclasses.field(default_factory=list)
    probed: list = dataclasses.field(default_factory=list)
    nodes: list = dataclasses.field(default_factory=list)


def propagate(model, shape, axes=(1, 2)):
    """Return the `Trace` of a model on one image.

    Args:
        model: A built Keras model or layer that takes one tensor.
        shape: Tuple, the shape of the input with its batch of one, without None.
        axes: The axes of the input that are height and width.

    Raises:
        NotImplementedError: If the model's own `call` does not run on symbolic tensors.
    """
    trace, image = Trace(), keras.KerasTensor(shape, dtype=model.compute_dtype)
    try:
        trace.outputs = descend(model, [image], {}, {id(image): [start(shape, axis) for axis in axes]}, "", trace)
    finally:  # the symbolic calls have left notes on the model's own layers
        for node in trace.nodes:
            node.operation._inbound_nodes.remove(node)
            for tensor in node.input_tensors:
                if tensor._keras_history.operation is not None:
                    tensor._keras_history.operation._outbound_nodes.remove(node)
    return trace


def descend(layer, args, kwargs, known, prefix, trace):
    """Return what a layer's outputs see, by calling it on symbolic tensors and visiting every operation inside."""
    try:
        with symbolic_weights(layer):
            outputs = keras.tree.flatten(layer.call(*args, **kwargs))
    except Exception as error:  # a layer that calls its backend directly fails in any way it likes
        raise NotImplementedError(str(error)) from error
    inside = nodes_behind(outputs)
    trace.nodes += inside
    for node in inside:
        if any(id(x) in known for x in node.input_tensors):  # the others compute with weights alone
            known.update(zip(map(id, node.outputs), visit(node, known, prefix, trace), strict=True))
    return [known.get(id(output)) or [blind(output.shape)] * 2 for output in outputs]


@contextlib.contextmanager
def symbolic_weights(layer):
    """While open, the layer's own weights are symbols: a weight times a symbol is an error, two symbols are not."""
    own = {name: value for name, value in vars(layer).items() if isinstance(value, keras.Variable)}
    vars(layer).update({name: keras.KerasTensor(value.shape, dtype=value.dtype) for name, value in own.items()})
    try:
        yield
    finally:
        vars(layer).update(own)


def nodes_behind(outputs):
    """Return the nodes of the graph that leads to some symbolic tensors, in the order of computation."""
    order, done, stack = [], set(), [(tensor, False) for tensor in outputs]
    while stack:
        tensor, after_its_inputs = stack.pop()
        operation, index = getattr(tensor, "_keras_history", (None, 0))[:2]  # none: where the graph begins
        if operation is None or id(node := operation._inbound_nodes[index]) in done:
            continue
        if after_its_inputs:
            done.add(id(node))
            order.append(node)
        else:
            stack += [(tensor, True), *((x, False) for x in node.input_tensors)]
    return order


def visit(node, known, prefix, trace):
    """Return what the outputs of one operation see, each for height and for width."""
    operation, path = node.operation, prefix + node.operation.name
    args, kwargs, inputs = renewed(node.arguments.args, node.arguments.kwargs, known)
    if not isinstance(operation, keras.Layer):
        return by_rule_or_probe(operation, args, kwargs, inputs, path, trace)
    try:
        results = descend(operation, args, kwargs, inputs, path + "/", trace)
    except NotImplementedError:
        results = by_rule_or_probe(operation, args, kwargs, inputs, path, trace)
    trace.layers.setdefault(path, results[0])
    return results


def by_rule_or_probe(operation, args, kwargs, known, path, trace):
    """Return what the outputs of an operation see, by its rule, or by trying where there is none."""
    try:
        return by_rule(operation, args, kwargs, known)
    except NotImplementedError:
        trace.probed.append(path)
        return probe(operation, args, kwargs, known)


def renewed(args, kwargs, seen):
    """Return arguments with new symbols for the old, sides that Keras could not tell filled in, and what they see."""
    known = {}

    def renew(x):
        if not isinstance(x, keras.KerasTensor):
            return x
        fresh = keras.KerasTensor(seen[id(x)][0].shape if id(x) in seen else x.shape, dtype=x.dtype)
        known.update({id(fresh): seen[id(x)]} if id(x) in seen else {})
        return fresh

    return *keras.tree.map_structure(renew, (args, kwargs)), known


def by_rule(operation, args, kwargs, known):
    """Return what the outputs of an operation see, according to its rule."""
    rule = RULES.get(type(operation).__name__)
    if rule is None or not type(operation).__module__.startswith("keras."):
        raise NotImplementedError
    results = []
    for index, output in enumerate(keras.tree.flatten(operation.compute_output_spec(*args, **kwargs))):
        which = {"index": index} if rule is split else {}
        results.append([])
        for axis in (0, 1):
            seen_args, seen_kwargs = keras.tree.map_structure(
                lambda x, axis=axis: known[id(x)][axis] if id(x) in known else x, (args, kwargs)
            )
            results[-1].append(rule(operation, output.shape, *seen_args, **seen_kwargs, **which))
    return results
