"""What every layer of a model sees: its graph, found by calling it on symbolic tensors, then walked with the rules."""

import contextlib
import dataclasses
import inspect

import keras
from keras import ops

from dlt._check import fail
from dlt.measure._gradients import packed
from dlt.measure._probe import MOST, NotProbed, probe
from dlt.measure._rules import JOINING, RULES, SEVERAL, seen_in
from dlt.measure._seen import Seen, blind, join, start, summed_up
from dlt.measure._windows import data_format

BRANCHES = ("Cond",)  # operations that call functions which use tensors of the graph around them


@dataclasses.dataclass
class Trace:
    """What a walk through a model found.

    Attributes:
        image: What the input sees, a pair of `Seen`, for height and for width.
        most: Whole number, how many numbers may be computed to probe an operation.
        layers: Dict, path of a layer -> its first output, as a pair of `Seen`.
        outputs: List of the model's outputs, each such a pair.
        probed: List of the paths of what has no rule and no graph, and was probed with numbers.
        unknown: List of the paths of what could not be probed either, and counts as seeing all it is given.
        ambiguous: Set of the paths that several layers have.
        maps: List of the outputs of operations that change the size of a map, each such a pair.
        nodes: List of the graph's nodes that the walk has made.
        owners: Dict, path of a layer -> the layer.
    """

    image: list
    most: int = MOST
    layers: dict = dataclasses.field(default_factory=dict)
    outputs: list = dataclasses.field(default_factory=list)
    probed: list = dataclasses.field(default_factory=list)
    unknown: list = dataclasses.field(default_factory=list)
    ambiguous: set = dataclasses.field(default_factory=set)
    maps: list = dataclasses.field(default_factory=list)
    nodes: list = dataclasses.field(default_factory=list)
    owners: dict = dataclasses.field(default_factory=dict)


def propagate(model, shape, local=False, most=MOST):
    """Return the `Trace` of a model on one image.

    Args:
        model: A built Keras model or layer that takes one tensor.
        shape: Tuple, the shape of the input with its batch of one, without None.
        local: Whether sums over the entire image see nothing, so that only what has a place in it counts.
        most: Whole number, how many numbers may be computed to probe an operation.

    Raises:
        NotImplementedError: If the model's own `call` does not run on symbolic tensors.
    """
    image = keras.KerasTensor(shape, dtype=model.compute_dtype)
    trace = Trace([start(shape, axis, local) for axis in (1, 2)], most)
    with untouched(model, trace):
        trace.outputs = descend(model, [packed(model, image)], {}, {id(image): trace.image}, "", trace)
    return trace


@contextlib.contextmanager
def untouched(model, trace):
    """While open, symbolic calls leave nodes on a model's layers and operations; then all are taken back."""
    parts = {id(part): part for layer in model._flatten_layers() for part in (layer, *getattr(layer, "operations", ()))}
    before = [(nodes, list(nodes)) for part in parts.values() for nodes in (part._inbound_nodes, part._outbound_nodes)]
    try:
        yield
    finally:
        for node in trace.nodes:  # those on what a function has in its closure, no part of the model
            without(node.operation._inbound_nodes, node)
            for tensor in node.input_tensors:
                if tensor._keras_history.operation is not None:
                    without(tensor._keras_history.operation._outbound_nodes, node)
        for nodes, own in before:
            nodes[:] = own


def without(nodes, node):
    """Take a node out of a list of nodes."""
    nodes[:] = [other for other in nodes if other is not node]


def descend(layer, args, kwargs, known, prefix, trace):
    """Return what a layer's outputs see, by calling it on symbolic tensors and visiting every operation inside."""
    outputs = symbolic_outputs(layer, layer.call, *args, **at_inference(layer, kwargs))
    visit_all(outputs, known, prefix, trace, layer)
    return [known.get(id(output)) or [blind(output.shape)] * 2 for output in outputs]


def symbolic_outputs(layer, function, *args, **kwargs):
    """Return what a function of a layer gives on symbolic tensors."""
    seeds = [(seed.state, ops.convert_to_numpy(seed.state)) for seed in layer._seed_generators]
    try:
        with symbolic_weights(layer):
            outputs = keras.tree.flatten(function(*args, **kwargs))
    except Exception as error:  # a layer that calls its backend directly fails in any way it likes
        raise NotImplementedError(str(error)) from error
    if any((ops.convert_to_numpy(state) != before).any() for state, before in seeds):
        for state, before in seeds:
            state.assign(before)
        raise NotImplementedError(f"{layer.name} draws random numbers, which now are constants of its graph")
    return outputs


def at_inference(layer, kwargs):
    """Return the named arguments of a layer's call, with `training` false unless the caller wrote that it is true."""
    training = inspect.signature(layer.call).parameters.get("training")
    if training is None:
        return {name: value for name, value in kwargs.items() if name != "training"}
    return {**kwargs, "training": training.default is not True and bool(kwargs.get("training"))}


@contextlib.contextmanager
def symbolic_weights(layer):
    """While open, the layer's own weights are symbols: a weight times a symbol is an error, two symbols are not."""
    own = {name: value for name, value in vars(layer).items() if isinstance(value, keras.Variable)}
    vars(layer).update({name: keras.KerasTensor(x.shape, dtype=read_as(layer, x)) for name, x in own.items()})
    try:
        yield
    finally:
        vars(layer).update(own)


def read_as(layer, weight):
    """Return the dtype that a layer reads its weight in: half, in mixed precision."""
    casts = layer.autocast and keras.backend.is_float_dtype(weight.dtype)
    return layer.compute_dtype if casts else weight.dtype


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


def visit_all(outputs, known, prefix, trace, owner):
    """Visit the nodes that lead from known tensors to some outputs of a layer, and note what theirs see."""
    inside = [node for node in nodes_behind(outputs) if id(node.outputs[0]) not in known]
    trace.nodes += inside
    for node in inside:
        branches = type(node.operation).__name__ in BRANCHES
        if branches or any(id(x) in known for x in node.input_tensors):  # the others compute with weights alone
            results = (visit_branches if branches else visit)(node, known, prefix, trace, owner)
            known.update(zip(map(id, node.outputs), results, strict=True))


def visit_branches(node, known, prefix, trace, owner):
    """Return what the outputs of a condition see: all that it may take, and what it looks at to choose."""
    arguments = keras.tree.flatten((node.arguments.args, node.arguments.kwargs))
    parts = [
        [[summed_up(seen, y.shape) for seen in known[id(x)]] for y in node.outputs] for x in arguments if id(x) in known
    ]
    for function in filter(callable, arguments):
        outputs = symbolic_outputs(owner, function)
        visit_all(outputs, known, prefix, trace, owner)
        parts.append([known.get(id(y)) or [blind(y.shape)] * 2 for y in outputs])
    return [[join([part[i][axis] for part in parts], y.shape) for axis in (0, 1)] for i, y in enumerate(node.outputs)]


def visit(node, known, prefix, trace, owner):
    """Return what the outputs of one operation see, each for height and for width."""
    operation, path = node.operation, prefix + node.operation.name
    args, kwargs, inputs = renewed(node.arguments.args, node.arguments.kwargs, known)
    check_layout(operation, list(inputs.values()))
    if not isinstance(operation, keras.Layer):
        return by_rule_or_probe(node, args, kwargs, inputs, path, trace, owner)
    kwargs = at_inference(operation, kwargs)
    if trace.owners.setdefault(path, operation) is not operation:
        trace.ambiguous.add(path)
    probed = list(trace.probed)
    try:
        if is_masked(kwargs):
            raise NotImplementedError
        results = descend(operation, args, kwargs, inputs, path + "/", trace)
    except NotImplementedError:
        trace.probed = probed
        results = by_rule_or_probe(node, args, kwargs, inputs, path, trace, owner)
    trace.layers.setdefault(path, results[0])
    return results


def is_masked(kwargs):
    """Return whether a layer is told to leave something out, which only numbers show."""
    masks = keras.tree.flatten([value for name, value in kwargs.items() if "mask" in name])
    return any(mask is not None and mask is not False for mask in masks)


def check_layout(operation, pairs):
    """Raise if the image has its channels first: if a window slides over its columns but sums over its rows."""
    if data_format(operation) != "channels_first":
        return
    for height, width in pairs:
        along = [[axis for axis, side in enumerate(seen.first.shape) if side > 1] for seen in (height, width)]
        if along == [[1], [2]]:
            fail(
                f"{operation.name} takes the first axis of the image for its channels.",
                "images of shape (batch, height, width, channels)",
                f"data_format='channels_first', an input of shape {height.shape}",
                "Put keras.layers.Permute((3, 1, 2)) in front: keras.Sequential([keras.Input((height, width, "
                "channels)), keras.layers.Permute((3, 1, 2)), model]).",
            )


def check_channels_last(model, shape):
    """Raise if a model takes images of some shape with their channels first."""
    layers = model._flatten_layers() if isinstance(model, keras.Layer) else []
    if any(data_format(layer) == "channels_first" for layer in layers):
        try:
            propagate(model, (1, *shape))
        except NotImplementedError as error:
            fail(
                f"{model.name} has layers that take channels first, and it does not show which axis of the image it "
                "takes for them.",
                "a model of images (batch, height, width, channels) that computes with layers and keras.ops",
                f"an image of shape {shape}; {' '.join(str(error).split())[:200]}",
                "Build its layers with data_format='channels_last'.",
            )


def by_rule_or_probe(node, args, kwargs, known, path, trace, owner):
    """Return what the outputs of an operation see, by its rule, or by trying where there is none."""
    operation, shapes = node.operation, {pair[0].shape for pair in known.values()}
    try:
        results = by_rule(operation, args, kwargs, known)
    except NotImplementedError:
        try:
            results = probe(operation, args, kwargs, known, trace.most)
            trace.probed.append(path)
        except NotProbed as error:
            if not isinstance(operation, keras.Layer) and not isinstance(owner, keras.Model):
                raise NotImplementedError(f"{path}: {error}") from error  # then the layer around it is probed
            results = [everything(output.shape, node, known, trace) for output in node.outputs]
            trace.unknown.append(path)
    trace.maps += [pair for pair in results if len(pair[0].shape) == 4 and pair[0].shape not in shapes]
    return results


def everything(shape, node, known, trace):
    """Return an output that may see all that its operation is given, for height and for width."""
    if any(map(callable, keras.tree.flatten((node.arguments.args, node.arguments.kwargs)))):
        pairs = [trace.image]  # a function may have any tensor in its closure
    else:
        pairs = known.values()
    parts = [join([summed_up(pair[axis], shape) for pair in pairs], shape) for axis in (0, 1)]
    return [dataclasses.replace(part, loose=True) for part in parts]


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
        which = {"index": index} if rule in SEVERAL else {}
        results.append([])
        for axis in (0, 1):
            seen_args, seen_kwargs = keras.tree.map_structure(
                lambda x, axis=axis: known[id(x)][axis] if id(x) in known else x, (args, kwargs)
            )
            alone = isinstance(next(iter(seen_args), None), Seen) and len(seen_in((seen_args, seen_kwargs))) == 1
            if not alone and rule not in JOINING:
                raise NotImplementedError
            results[-1].append(rule(operation, output.shape, *seen_args, **seen_kwargs, **which))
    return results
