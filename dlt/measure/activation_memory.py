import contextlib
import dataclasses
import math
import re
from collections.abc import Iterator

import keras

from dlt._check import check_positive_int, fail
from dlt.measure._propagate import nodes_behind, symbolic_weights
from dlt.measure._trace import symbolic_inputs
from dlt.show import Table

HIDING = (keras.layers.AdditiveAttention, keras.layers.Attention, keras.layers.RNN)  # with maps or states inside
LOOPS = ("AssociativeScan", "Cond", "ForiLoop", "Map", "Scan", "Switch", "VectorizedMap", "WhileLoop")  # and branches


@dataclasses.dataclass(frozen=True, repr=False)
class ActivationMemory(Table):
    """Bytes of the maps that a model computes on one batch, weights not included.

    Attributes:
        per_layer: Dict, path of a layer or operation -> bytes of its output, in the order of computation.
        total: Whole number of bytes of the input and all outputs together: what training holds, since the backward
            pass needs them all (recomputation and fused kernels need less).
        peak: Whole number of bytes, the most that is alive at once at inference, where a map is freed after its last
            use. A skip connection keeps its map alive.
        peak_at: String, the path of the layer that runs at the peak.
        uncounted: Tuple of the paths of layers and operations that make maps inside themselves which are not counted.
            If there are any, `total` and `peak` are lower bounds.
    """

    per_layer: dict
    total: int
    peak: int
    peak_at: str
    uncounted: tuple = ()

    def rows(self):
        """Return the five largest outputs, the peak, the total, and what was not counted."""
        largest = sorted(self.per_layer.items(), key=lambda item: -item[1])[:5]
        rows = [*largest, (f"peak at inference ({self.peak_at})", self.peak), ("all, as in training", self.total)]
        missing = [(f"maps inside {path}", "not counted") for path in self.uncounted]
        return [("layer", "MiB"), *((name, f"{size / 2**20:.2f}") for name, size in rows), *missing]

    def plot(self):
        """Draw the bytes of every output in the order of computation."""
        from dlt.plot import curves  # matplotlib is slow to import, and only figures need it

        sizes = [size / 2**20 for size in self.per_layer.values()]
        return curves({"output": sizes}, xlabel="layer or operation, in order", ylabel="output in MiB")


@dataclasses.dataclass
class Step:
    """One operation.

    Attributes:
        path: String, its path.
        reads: List of the names (numbers) of the tensors that it reads.
        makes: Dict, name of a tensor that it makes -> bytes.
        hides: Whether it makes others inside itself.
    """

    path: str
    reads: list
    makes: dict
    hides: bool


def activation_memory(model: keras.Layer, input_shape: tuple | None = None, batch_size: int = 1) -> ActivationMemory:
    """Count the bytes of a model's maps, per layer, at the peak of inference, and all together.

    The model is called on symbolic tensors, so nothing is computed. Composite layers and nested models are followed
    inside, down to single layers and operations; each counts one output. What a single layer needs inside itself while
    it runs is not seen, and neither is a compiler that fuses operations: this is what the network asks for, not what a
    device reports. A layer of several others that cannot be followed counts as one output, and is listed in
    `uncounted`; so are attention, whose maps (queries times keys) a fused kernel may never write down, recurrent
    layers, which keep the state of every step, loops and branches. Operations run in the order in which Keras runs
    them, and maps have the dtypes that they have there.

    Args:
        model: A built Keras model or layer.
        input_shape: Shape of one input without the batch; needed where the model leaves sides open.
        batch_size: Whole number of inputs in the batch.

    Returns:
        An `ActivationMemory`.

    Raises:
        ValueError: If the shape of the input or of a map inside is not known, or `batch_size` is not a positive whole
            number.

    >>> from keras import layers
    >>> model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(16, 1, name="wide"), layers.Conv2D(2, 1)])
    >>> memory = activation_memory(model)  # float32: 4 bytes each
    >>> memory.per_layer["wide"] == 4 * 8 * 8 * 16
    True
    >>> memory.peak == 4 * 8 * 8 * (3 + 16), memory.peak_at
    (True, 'wide')
    """
    batch = check_positive_int("batch_size", batch_size)
    inputs = keras.tree.map_structure(
        lambda tensor: keras.KerasTensor((batch, *tensor.shape[1:]), dtype=tensor.dtype),
        symbolic_inputs(model, input_shape),
    )
    names, steps = {}, []
    live = {name_of(tensor, names): size_of(tensor, "input") for tensor in keras.tree.flatten(inputs)}
    with nodes_in_order() as order:
        outputs = keras.tree.flatten(model(inputs))
        walk(outputs, names, None, steps, order)
    outputs = [name_of(output, names) for output in outputs]
    total = sum([*live.values(), *(sum(step.makes.values()) for step in steps)])
    uncounted = tuple(dict.fromkeys(step.path for step in steps if step.hides))
    peak, peak_at = peak_of(live, steps, outputs)
    return ActivationMemory(per_layer_of(steps), total, peak, peak_at, uncounted)


@contextlib.contextmanager
def nodes_in_order() -> Iterator[dict]:
    """While open, symbolic calls are noted, node -> its number; then their nodes are taken from the layers again."""
    kind = type(keras.Input((1,))._keras_history.operation._inbound_nodes[0])
    order, original = {}, kind.__init__

    def note(node, *args, **kwargs):
        original(node, *args, **kwargs)
        order[node] = len(order)

    kind.__init__ = note
    try:
        yield order
    finally:
        kind.__init__ = original
        for node in order:
            forget(node)


def peak_of(live, steps, outputs):
    """Return the most bytes that are alive at once, and the path of the step where they are.

    Args:
        live: Dict, name -> bytes of the tensors that are there before the first step.
        steps: List of `Step`.
        outputs: Names of the tensors that are wanted at the end.
    """
    last_use = {name: index for index, step in enumerate(steps) for name in step.reads}
    last_use |= dict.fromkeys(outputs, len(steps))
    peak = (0, "")
    for index, step in enumerate(steps):
        live = live | step.makes
        peak = max(peak, (sum(live.values()), step.path), key=lambda pair: pair[0])
        live = {name: size for name, size in live.items() if last_use.get(name, -1) > index}
    return peak


def walk(outputs, names, prefix, steps, order):
    """Add a `Step` for every operation that leads to some outputs and inside them, and name what they make.

    Args:
        outputs: List of symbolic tensors.
        names: Dict, id of a symbolic tensor -> (its name, itself).
        prefix: String before the paths of the operations; None leaves the outermost name out of what is inside.
        steps: List that grows.
        order: Dict, node -> its number in the order of computation.
    """
    for node in sorted(nodes_behind(outputs), key=order.get):
        if does_nothing(node):
            names[id(node.outputs[0])] = (name_of(node.input_tensors[0], names), node.outputs[0])
            continue
        path = (prefix or "") + node.operation.name
        inside = steps_inside(node, names, "" if prefix is None else path + "/", order)
        if inside is None:
            reads = [names[id(x)][0] for x in node.input_tensors if id(x) in names]
            makes = {name_of(output, names): size_of(output, path) for output in node.outputs}
            inside = [Step(path, reads, makes, hides(node.operation))]
        steps += inside


def hides(operation):
    """Return whether an operation that counts as one output makes maps inside: layers, attention, loops, branches."""
    if not isinstance(operation, keras.Layer):
        return type(operation).__name__ in ("DotProductAttention", *LOOPS)
    return isinstance(operation, HIDING) or bool(operation._flatten_layers(include_self=False))


def does_nothing(node):
    """Return whether an operation gives what it gets: what a functional model does to its inputs, and idle casts."""
    kind, inputs = type(node.operation).__name__, node.input_tensors
    return kind == "ConvertToTensor" or (kind == "Cast" and inputs[0].dtype == node.outputs[0].dtype)


def steps_inside(node, names, prefix, order):
    """Return the steps of a layer made of layers, and name its outputs; None where there are none to follow."""
    layer, arguments = node.operation, (node.arguments.args, node.arguments.kwargs)
    if not isinstance(layer, keras.Layer) or not layer._flatten_layers(include_self=False):
        return None
    args, kwargs = keras.tree.map_structure(lambda x: renewed(x, names, layer), arguments)
    try:
        with symbolic_weights(layer):
            outputs = keras.tree.flatten(layer.call(*args, **kwargs))
    except Exception:  # a layer that calls its backend directly fails in any way it likes; it then counts as one
        return None
    if not isinstance(layer, keras.Model) and any(None in output.shape for output in outputs):
        return None  # attention loses the lengths of its sequences
    steps = []
    walk(outputs, names, prefix, steps, order)
    for outer, inner in zip(node.outputs, outputs, strict=True):
        names[id(outer)] = (name_of(inner, names), outer)
    return steps


def renewed(x, names, layer):
    """Return a symbolic tensor with no past that has the same name, as the layer gets it; anything else as it is."""
    if not isinstance(x, keras.KerasTensor) or id(x) not in names:
        return x
    casts = layer._convert_input_args and layer.autocast and keras.backend.is_float_dtype(x.dtype)
    new = keras.KerasTensor(x.shape, dtype=layer.compute_dtype if casts else x.dtype)
    names[id(new)] = (names[id(x)][0], new)
    return new


def name_of(tensor, names):
    """Return the name of a symbolic tensor, a new one if it has none. The tensor is kept: its id stays its own."""
    return names.setdefault(id(tensor), (len(names), tensor))[0]


def size_of(tensor, path):
    """Return the bytes of a symbolic tensor; `path` says whose it is."""
    if None in tensor.shape:
        fail(
            f"The size of a map is unknown: that of {path}.",
            "operations whose output shapes Keras can infer",
            f"shape={tuple(tensor.shape)}",
            "Give the layer around it a `compute_output_shape`, or measure a part of the model.",
        )
    bits = {"bool": 8}.get(tensor.dtype) or int(re.search(r"\d+", tensor.dtype)[0])  # float8_e4m3fn has 8
    return math.prod(tensor.shape) * bits // 8


def forget(node):
    """Take back the notes that a symbolic call has left on layers."""
    lists = [node.operation._inbound_nodes]
    lists += [x._keras_history.operation._outbound_nodes for x in node.input_tensors if x._keras_history.operation]
    for nodes in lists:
        nodes[:] = [other for other in nodes if other is not node]


def per_layer_of(steps):
    """Return the bytes of each path; a layer that runs often counts often."""
    totals = {}
    for step in steps:
        totals[step.path] = totals.get(step.path, 0) + sum(step.makes.values())
    return totals
