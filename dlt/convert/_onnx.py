import os
import pathlib
from typing import Any

import keras

from dlt._check import fail


def mend_onnx(path: str | os.PathLike, model: keras.Model) -> bool:
    """Take the axes out of an exported ONNX file's outputs that its converter has left there by mistake.

    A network whose output has one channel comes back from `model.export(path, format="onnx")` now and then with the
    shape (1, batch, height, width, 1) in place of (batch, height, width, 1). Keras on TensorFlow exports with tf2onnx.
    Its optimizer turns the last transposition, from channels first to channels last, into a Reshape to
    [1, -1, 0, 0, 1] and a Squeeze of the first axis, and hands the Squeeze to whatever takes the Reshape's output. If
    that is already the output of the graph, nothing takes it, and the Squeeze is lost. Whether it comes to that depends
    on the order of names in a set, which is another one in every export. This function puts the Squeeze back. The
    models of `dlt.models` call it themselves when they are exported.

    Args:
        path: The file. It is written anew beside its place and then renamed, and only if it has the fault.
        model: The network it was exported from, with outputs of any shapes; a functional or `Sequential` model.

    Returns:
        Whether the file had the fault. Then its outputs have as many axes as the model's; all names are as before.

    Raises:
        ValueError: If an output has another number of axes than the model's for another reason, if there are more or
            fewer outputs, or if the model does not say what its outputs are.

    Source:
        tf2onnx 1.17, `ReshapeOptimizer` and `Graph.insert_node_on_output`:
        https://github.com/onnx/tensorflow-onnx/blob/v1.17.0/tf2onnx/optimizer/reshape_optimizer.py
    """
    import onnx

    path = pathlib.Path(path)
    expected = getattr(model, "outputs", None)
    if expected is None:
        fail(
            "This model does not say how many axes its outputs have.",
            "a functional model, or a Sequential one that has seen an input",
            f"a {type(model).__name__}",
            "Wrap it: `keras.Model(images, model(images))`.",
        )
    file = onnx.load_model_from_string(path.read_bytes())
    found = file.graph.output
    if len(found) != len(expected):
        fail(
            f"{path} is no export of {model.name}.",
            f"a file with {len(expected)} outputs",
            f"{len(found)}: {', '.join(output.name for output in found)}",
            "Pass the model that the file was exported from.",
        )
    pairs = zip(found, expected, strict=True)
    extras = [(output, axes_of(output, tensor) - len(tensor.shape)) for output, tensor in pairs]
    wrong = [(output, extra) for output, extra in extras if extra]
    for output, extra in wrong:
        check_fault(file.graph, output, extra, path)
        put_squeeze_back(file, output, extra)
    if wrong:
        part = path.with_name(path.name + ".part")
        part.write_bytes(file.SerializeToString())
        os.replace(part, path)
    return bool(wrong)


def axes_of(output: Any, tensor: Any) -> int:
    """Return the number of axes of an output of a graph; where the file does not tell, that of the model's."""
    kind = output.type.tensor_type
    return len(kind.shape.dim if kind.HasField("shape") else tensor.shape)


def maker_of(graph: Any, name: str) -> tuple[int, Any]:
    """Return where in the graph a tensor is made, and by which node; None if it is an input."""
    return next(((i, node) for i, node in enumerate(graph.node) if name in node.output), (0, None))


def check_fault(graph: Any, output: Any, extra: int, path: pathlib.Path) -> None:
    """Raise unless an output has `extra` axes too many because a Reshape has put them first."""
    import onnx

    _, maker = maker_of(graph, output.name)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    to = constants.get(maker.input[1]) if maker is not None and maker.op_type == "Reshape" else None
    shape = [] if to is None else onnx.numpy_helper.to_array(to).tolist()
    if extra > 0 and shape[:extra] == [1] * extra:
        return
    sizes = [dim.dim_value or dim.dim_param or "?" for dim in output.type.tensor_type.shape.dim]
    made_by = "no node" if maker is None else f"{maker.op_type}{f' to {shape}' if shape else ''}"
    fail(
        f"The output {output.name} of {path} has not as many axes as the model's, and this is no fault that is known.",
        f"{len(sizes) - extra} axes, or more with a size of 1 in front that a Reshape to constant sizes makes",
        f"({', '.join(map(str, sizes))}), made by {made_by}",
        "Export the model anew, and compare the answers of the file with the model's.",
    )


def put_squeeze_back(file: Any, output: Any, extra: int) -> None:
    """Let the first axes of an output end in a Squeeze."""
    import onnx

    graph, name = file.graph, output.name
    where, _ = maker_of(graph, name)
    long, axes = f"{name}_before_squeeze", f"{name}_squeezed_axes"
    for node in graph.node:  # what takes the output inside the graph takes it with all of its axes
        for names in (node.input, node.output):
            names[:] = [long if each == name else each for each in names]
    version = next(each.version for each in file.opset_import if each.domain in ("", "ai.onnx"))
    if version < 13:
        squeeze = onnx.helper.make_node("Squeeze", [long], [name], axes=range(extra))
    else:
        graph.initializer.append(onnx.helper.make_tensor(axes, onnx.TensorProto.INT64, [extra], range(extra)))
        squeeze = onnx.helper.make_node("Squeeze", [long, axes], [name])
    graph.node.insert(where + 1, squeeze)
    del output.type.tensor_type.shape.dim[:extra]
