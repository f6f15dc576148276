"""Files that are not what their names say: each is told apart, with what to do about it."""

import argparse
import gzip
import importlib.util
import io
import json
import struct
import zipfile

import numpy as np
import pytest
import safetensors.numpy
from keras import ops

from dlt.convert import load_weights
from dlt.models import ConvNeXtV2
from tests.convert.other_names import state_dict
from tests.helpers import randomise

TINY = {"depths": (1, 1), "dims": (4, 8), "num_classes": 3, "input_shape": (16, 16, 3), "patch_size": 4}
needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="only PyTorch writes and reads .pth files: make test-backends"
)


@pytest.fixture(scope="module")
def trained():
    return randomise(ConvNeXtV2(**TINY))


@pytest.fixture(scope="module")
def state(trained):
    return {name: np.ascontiguousarray(array) for name, array in state_dict(trained, "timm").items()}


def a_zip(name, content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content)
    return file.getvalue()


def a_tensor_of(dtype):
    header = json.dumps({"a": {"dtype": dtype, "shape": [2], "data_offsets": [0, 2]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(2)


FILES = {
    "empty": (lambda: b"", "the file is empty", "Download or save it again"),
    "web page": (lambda: b"\n<!DOCTYPE html><html>", "it is a web page", "check the address"),
    "Git LFS": (
        lambda: b"version https://git-lfs.github.com/spec/v1",
        "a Git LFS pointer",
        "git lfs pull",
    ),
    "gzip": (lambda: gzip.compress(b"weights"), "it is a gzip archive", "Unpack it"),
    "tar": (lambda: bytes(257) + b"ustar" + bytes(300), "it is a tar archive", "Unpack it"),
    "GGUF": (lambda: b"GGUF" + bytes(20), "it is a GGUF file", "unquantized"),
    "noise": (lambda: bytes(range(40, 140)), "it is cut off, damaged", "Download or save it again"),
}
ENDINGS = [".keras", ".weights.h5", ".safetensors", pytest.param(".pth", marks=needs_torch)]


def refused(path, content):
    """Return what `load_weights` says of a file with this content."""
    path.write_bytes(content)
    with pytest.raises(ValueError, match="Cannot read the weights") as caught:
        load_weights(ConvNeXtV2(**TINY), path)
    assert f"Received: {path} ({len(content):,} bytes)" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", FILES)
def test_what_is_no_file_of_weights(kind, ending, tmp_path):
    content, what, cure = FILES[kind]
    message = refused(tmp_path / f"model{ending}", content())
    assert what in message
    assert cure in message


@pytest.mark.parametrize(
    ("ending", "other", "what", "cure"),
    [
        (".keras", ".weights.h5", "it is an HDF5 file", "Call it .weights.h5"),
        (".weights.h5", ".keras", "it is a zip archive", "Unpack it"),
        (".safetensors", ".weights.h5", "it is an HDF5 file", "Call it .weights.h5"),
        (".keras", ".safetensors", "it is a safetensors file", "Call it .safetensors"),
        pytest.param(".pth", ".safetensors", "it is a safetensors file", "Call it .safetensors", marks=needs_torch),
    ],
)
def test_a_file_under_another_name(ending, other, what, cure, trained, state, tmp_path):
    path = tmp_path / f"right{other}"
    if other == ".keras":
        trained.save(path)
    elif other == ".weights.h5":
        trained.save_weights(path)
    else:
        safetensors.numpy.save_file(state, path)
    message = refused(tmp_path / f"wrong{ending}", path.read_bytes())
    assert what in message
    assert cure in message


def test_an_archive_without_weights(tmp_path):
    message = refused(tmp_path / "model.keras", a_zip("config.json", "{}"))
    assert "an archive without weights" in message


def test_numbers_of_eight_bits_are_no_damage(tmp_path):
    message = refused(tmp_path / "model.safetensors", a_tensor_of("F8_E4M3"))
    assert "type that NumPy has not" in message
    assert "cut off" not in message
    assert "float32, float16 or bfloat16" in message


def test_several_files(trained, state, tmp_path):
    names = sorted(state)
    parts = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    for i, part in enumerate(parts):
        safetensors.numpy.save_file({name: state[name] for name in names[i::2]}, tmp_path / part)
    index = {"weight_map": {name: parts[i % 2] for i, name in enumerate(names)}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    for source in (*parts, "model.safetensors.index.json"):
        assert len(load_weights(ConvNeXtV2(**TINY), tmp_path / source).loaded) == len(trained.weights)
    (tmp_path / parts[1]).unlink()
    for source in (parts[0], "model.safetensors.index.json"):
        with pytest.raises(FileNotFoundError, match=r"Parts .* are missing.* without model-00002-of-00002"):
            load_weights(ConvNeXtV2(**TINY), tmp_path / source)


def test_what_keras_split_is_refused_with_the_way(tmp_path):
    (tmp_path / "model.weights.json").write_text("{}")
    with pytest.raises(ValueError, match=r"Keras has split.*`load_weights` with this path"):
        load_weights(ConvNeXtV2(**TINY), tmp_path / "model.weights.json")


@needs_torch
@pytest.mark.parametrize("name", ["model.pth", "model.pt", "model_best.pth.tar", "last.ckpt", "pytorch_model.bin"])
def test_training_checkpoints_with_their_arguments(name, trained, state, tmp_path):
    import torch

    tensors = {key: torch.tensor(array) for key, array in state.items()}
    torch.save({"state_dict": tensors, "args": argparse.Namespace(lr=1e-3), "epoch": 7}, tmp_path / name)
    report = load_weights(ConvNeXtV2(**TINY), tmp_path / name)
    assert (len(report.loaded), report.unused) == (len(trained.weights), {})


@needs_torch
def test_more_than_tensors_is_named(tmp_path):
    import torch

    for content, what, cure in (
        ({"model": torch.nn.Linear(2, 2)}, "only running code could read that: torch.nn", "weights_only=False"),
        ({"state_dict": {}, "path": tmp_path}, "only running code could read that: pathlib", "pass what it returns"),
    ):
        torch.save(content, tmp_path / "saved.pth")
        message = refused(tmp_path / "model.pth", (tmp_path / "saved.pth").read_bytes())
        assert what in message
        assert cure in message
        assert "cut off" not in message


@needs_torch
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "float8_e5m2"])
def test_other_floating_types(dtype, state, tmp_path):
    import torch

    tensors = {key: torch.tensor(array).to(getattr(torch, dtype)) for key, array in state.items()}
    torch.save(tensors, tmp_path / "model.pth")
    model = ConvNeXtV2(**TINY)
    load_weights(model, tmp_path / "model.pth")
    expected = tensors["stem.1.bias"].float().numpy()
    beta = next(weight for weight in model.weights if weight.path == "stem_norm/beta")
    np.testing.assert_array_equal(ops.convert_to_numpy(beta), expected)
