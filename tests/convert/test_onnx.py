"""The fault of tf2onnx that leaves an axis too many, in files that have it and in files that have not."""

import re

import keras
import numpy as np
import pytest

from dlt.convert import mend_onnx

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
IMAGES = np.random.default_rng(0).normal(size=(2, 1, 4, 12)).astype("float32")  # channels first: what is made last
SHAPE = ("batch", "height", "width", 1)


def network(outputs=1, axes=4):
    """Return a model whose outputs have so many axes; nothing else of it counts."""
    images = keras.Input((None,) * (axes - 1))
    return keras.Model(images, [keras.layers.ReLU()(images) for _ in range(outputs)])


def write(path, nodes, *outputs, opset=18, **constants):
    """Write a graph that takes IMAGES; `outputs` are (name, shape); without a shape the file does not tell it."""
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(*node) for node in nodes],
        "graph",
        [value("images", onnx.TensorProto.FLOAT, ("batch", 1, "height", "width"))],
        [value(name, onnx.TensorProto.FLOAT, shape) for name, shape in outputs],
        [onnx.numpy_helper.from_array(np.array(of, "int64"), name) for name, of in constants.items()],
    )
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8)
    if all(shape for _, shape in outputs):
        onnx.checker.check_model(made, full_check=True)
    onnx.save(made, path)
    return path


def run(path):
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    answers = session.run(None, {"images": IMAGES})
    return dict(zip([output.name for output in session.get_outputs()], answers, strict=True))


RESHAPE = ("Reshape", ["images", "sizes"], ["out"])


@pytest.mark.parametrize("opset", [11, 12, 13, 18])  # Squeeze has its axes as an attribute, and since 13 as an input
@pytest.mark.parametrize("extra", [1, 2])
def test_the_squeeze_is_put_back(opset, extra, tmp_path):
    sizes = [1, -1, 0, 0, 1] if extra == 1 else [1, 1, -1, 4, 12, 1]
    path = write(tmp_path / "a.onnx", [RESHAPE], ("out", (1,) * extra + SHAPE), opset=opset, sizes=sizes)
    assert run(path)["out"].shape == (1,) * extra + (2, 4, 12, 1)
    assert mend_onnx(path, network()) is True
    np.testing.assert_array_equal(run(path)["out"], IMAGES.transpose(0, 2, 3, 1))
    dims = onnx.load(path).graph.output[0].type.tensor_type.shape.dim
    assert tuple(dim.dim_param or dim.dim_value for dim in dims) == SHAPE
    assert mend_onnx(str(path), network()) is False
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"]


def test_what_takes_the_output_inside_the_graph_takes_it_as_before(tmp_path):
    """Of two outputs, the second is made of the first, which lacks its Squeeze."""
    nodes = [RESHAPE, ("Squeeze", ["out", "first"], ["squeezed"]), ("Neg", ["squeezed"], ["negative"])]
    outputs = [("out", (1, *SHAPE)), ("negative", SHAPE)]
    path = write(tmp_path / "a.onnx", nodes, *outputs, sizes=[1, -1, 0, 0, 1], first=[0])
    assert mend_onnx(path, network(outputs=2))
    answers = run(path)
    assert list(answers) == ["out", "negative"]
    np.testing.assert_array_equal(answers["out"], IMAGES.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(answers["negative"], -answers["out"])


@pytest.mark.parametrize("shape", [SHAPE, None], ids=["told", "untold"])
def test_a_file_without_the_fault_stays_as_it_is(shape, tmp_path):
    path = write(tmp_path / "a.onnx", [RESHAPE], ("out", shape), sizes=[-1, 4, 12, 1])
    before, when = path.read_bytes(), path.stat().st_mtime_ns
    assert mend_onnx(path, network()) is False
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, when)


REFUSED = {  # what is in the file: (nodes, shape of the output, constants, words of the refusal)
    "another operation made the axis": (
        [("Unsqueeze", ["images", "first"], ["out"])],
        (1, "batch", 1, "height", "width"),
        {"first": [0]},
        "(1, batch, 1, height, width), made by Unsqueeze",
    ),
    "the axis is no leading one": (
        [RESHAPE],
        ("batch", 1, "height", "width", 1),
        {"sizes": [-1, 1, 4, 12, 1]},
        "(batch, 1, height, width, 1), made by Reshape to [-1, 1, 4, 12, 1]",
    ),
    "too few": ([RESHAPE], ("a", "b"), {"sizes": [-1, 48]}, "(a, b), made by Reshape to [-1, 48]"),
    "the shape is computed": (
        [("Identity", ["five"], ["sizes"]), RESHAPE],
        (1, *SHAPE),
        {"five": [1, -1, 0, 0, 1]},
        "(1, batch, height, width, 1), made by Reshape.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_such_fault_is_refused_and_left(case, tmp_path):
    nodes, shape, constants, words = REFUSED[case]
    path = write(tmp_path / "a.onnx", nodes, ("out", shape), **constants)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=re.escape(words)) as refusal:
        mend_onnx(path, network())
    assert "Expected 4 axes" in str(refusal.value)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"]


def test_another_models_file_is_refused(tmp_path):
    path = write(tmp_path / "a.onnx", [RESHAPE], ("out", SHAPE), sizes=[-1, 4, 12, 1])
    with pytest.raises(ValueError, match=r"Expected a file with 2 outputs. Received: 1: out."):
        mend_onnx(path, network(outputs=2))


def test_a_model_that_does_not_know_its_outputs_is_refused(tmp_path):
    path = write(tmp_path / "a.onnx", [RESHAPE], ("out", SHAPE), sizes=[-1, 4, 12, 1])
    for unknowing in (keras.Sequential([keras.layers.ReLU()]), keras.Model()):
        with pytest.raises(ValueError, match="does not say how many axes"):
            mend_onnx(path, unknowing)
