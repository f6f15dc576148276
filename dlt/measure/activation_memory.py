import dataclasses
import math

import keras

from dlt._check import check_positive_int
from dlt.measure._propagate import nodes_behind, symbolic_weights
from dlt.measure._table import Table
from dlt.measure._trace import symbolic_inputs


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
    """

    per_layer: dict
    total: int
    peak: int
    peak_at: str

    def rows(self):
        """Return the five largest outputs, the peak, and the total."""
        largest = sorted(self.per_layer.items(), key=lambda item: -item[1])[:5]
        rows = [*largest, (f"peak at inference ({self.peak_at})", self.peak), ("all, as in training", self.total)]
        return [("layer", "MiB"), *((name, f"{size / 2**20:.2f}") for name, size in rows)]

    def plot(self):
        """Draw the bytes of every output in the order of computation."""
        from dlt.plot import curves  # matplotlib is slow to import, and only figures need it

        sizes = [size / 2**20 for size in self.per_layer.values()]
        return curves({"output": sizes}, xlabel="layer or operation, in order", ylabel="output in MiB")


@dataclasses.dataclass
class Step:
    """One operation: its path, the tensors it reads, and the tensors it makes, by name (a number) with their bytes."""

    path: str
    reads: list
    makes: dict


def activation_memory(model, input_shape=None, batch_size=1):
    """Count the bytes of a model's maps, per layer, at the peak of inference, and all together.

    The model is called on symbolic tensors, so nothing is computed. Composite layers and nested models are followed
    inside, down to single layers and operations; each counts one output. What a layer needs inside itself while it
    runs is not seen, and neither is a compiler that fuses operations: this is what the network asks for, not what a
    device reports. A layer of several others that cannot be followed counts as one.

    Args:
        model: A built Keras model or layer.
        input_shape: Shape of one input without the batch; needed where the model leaves sides open.
        batch_size: Whole number of inputs in the batch.

    Returns:
        An `ActivationMemory`.

    Raises:
        ValueError: If the shape of the input is not known, or `batch_size` is not a positive whole number.

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
    live = {name_of(tensor, names): size_of(tensor) for tensor in keras.tree.flatten(inputs)}
    outputs = keras.tree.flatten(model(inputs))
    walk(nodes_behind(outputs), names, None, steps)
    outputs = [name_of(output, names) for output in outputs]
    total = sum(live.values()) + sum(sum(step.makes.values()) for step in steps)
    return ActivationMemory(per_layer_of(steps), total, *peak_of(live, steps, outputs))


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


def walk(nodes, names, prefix, steps):
    """Add a `Step` for every operation of some nodes and inside them, and name their outputs.

    Args:
        nodes: List of a graph's nodes in the order of computation.
        names: Dict, id of a symbolic tensor -> (its name, itself).
        prefix: String before the paths of the operations; None leaves the outermost name out of what is inside.
        steps: List that grows.
    """
    for node in nodes:
        if type(node.operation).__name__ == "ConvertToTensor":  # what a functional model does to its inputs: nothing
            names[id(node.outputs[0])] = (name_of(node.input_tensors[0], names), node.outputs[0])
            continue
        path = (prefix or "") + node.operation.name
        inside = steps_inside(node, names, "" if prefix is None else path + "/")
        if inside is None:
            reads = [names[id(x)][0] for x in node.input_tensors if id(x) in names]
            makes = {name_of(output, names): size_of(output) for output in node.outputs}
            inside = [Step(path, reads, makes)]
        steps += inside
    forget(nodes)


def steps_inside(node, names, prefix):
    """Return the steps of a layer made of layers, and name its outputs; None where there are none to follow."""
    layer, arguments = node.operation, (node.arguments.args, node.arguments.kwargs)
    if not isinstance(layer, keras.Layer) or not layer._flatten_layers(include_self=False):
        return None
    args, kwargs = keras.tree.map_structure(lambda x: renewed(x, names), arguments)
    try:
        with symbolic_weights(layer):
            outputs = keras.tree.flatten(layer.call(*args, **kwargs))
    except Exception:  # a layer that calls its backend directly fails in any way it likes; it then counts as one
        return None
    steps = []
    walk(nodes_behind(outputs), names, prefix, steps)
    for outer, inner in zip(node.outputs, outputs, strict=True):
        names[id(outer)] = (name_of(inner, names), outer)
    return steps


def renewed(x, names):
    """Return a symbolic tensor with no past that has the same name; anything else as it is."""
    if not isinstance(x, keras.KerasTensor) or id(x) not in names:
        return x
    new = keras.KerasTensor(x.shape, dtype=x.dtype)
    names[id(new)] = (names[id(x)][0], new)
    return new


def name_of(tensor, names):
    """Return the name of a symbolic tensor, a new one if it has none. The tensor is kept: its id stays its own."""
    return names.setdefault(id(tensor), (len(names), tensor))[0]


def size_of(tensor):
    """Return the bytes of a symbolic tensor."""
    bits = {"bool": 8}.get(tensor.dtype) or int("".join(filter(str.isdigit, tensor.dtype)))
    return math.prod(tensor.shape) * bits // 8


def forget(nodes):
    """Take the notes back that symbolic calls have left on the layers."""
    for node in nodes:
        node.operation._inbound_nodes.remove(node)
        for tensor in node.input_tensors:
            if tensor._keras_history.operation is not None:
                tensor._keras_history.operation._outbound_nodes.remove(node)


def per_layer_of(steps):
    """Return the bytes of each path; a layer that runs often counts often."""
    totals = {}
    for step in steps:
        totals[step.path] = totals.get(step.path, 0) + sum(step.makes.values())
    return totals
