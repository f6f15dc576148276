"""Any source of weights becomes a dict of arrays by name, whole checkpoints flattened with dots."""

import argparse
import contextlib
import importlib.util
import io
import json
import pathlib
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import keras
import numpy as np
import safetensors.numpy

from dlt._check import fail
from dlt.convert._diagnosis import diagnose
from dlt.convert._keras import values_by_path

NO_WEIGHTS = ("optimizer", "metrics", "compile_metrics", "seed_generator")
SHARD = re.compile(r"(.+-)\d{5}(-of-(\d{5})\..+)")  # model-00001-of-00003.safetensors


class UnreadableError(ValueError):
    """A file of weights is there, and cannot be read."""


def read(source: Any) -> dict[str, Any]:
    """Return the weights of `source` as `{name: array}`; the arrays may be PyTorch's, see `as_array`.

    Args:
        source: A path (see READERS), a dict of arrays, a whole checkpoint (dicts within dicts), a Keras model, or
            anything with a `state_dict` method.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is cut off, damaged or of an unknown kind.
    """
    if isinstance(source, keras.Model):
        return values_by_path(source)
    if isinstance(source, Mapping) or hasattr(source, "state_dict"):
        return dict(flat(source))
    path = pathlib.Path(source).expanduser()
    reader = next((reader for ending, reader in READERS.items() if path.name.endswith(ending)), None)
    if reader is None:
        fail("Unknown kind of weight file.", f"a name ending in {', '.join(READERS)}", str(path), "Convert it first.")
    if not path.is_file():
        raise FileNotFoundError(
            f"No weight file there. Expected an existing file. Received: {path}. Check the path and the directory "
            f"({pathlib.Path.cwd()}) it is relative to."
        )
    return {name: array for part in shards(path) for name, array in read_file(part, reader).items()}


def read_file(path: pathlib.Path, reader: Any) -> dict[str, Any]:
    """Read one file, or say what is wrong with it."""
    try:
        return reader(path)
    except (ImportError, FileNotFoundError, UnreadableError):
        raise
    except Exception as error:  # each format's library has errors of its own
        kind = reader.__name__.removeprefix("read_")
        what, fix = diagnose(path, kind, error)
        raise UnreadableError(
            f"Cannot read the weights: {what}. Expected a whole {kind} file. "
            f"Received: {path} ({path.stat().st_size:,} bytes). {fix}"
        ) from error


def shards(path: pathlib.Path) -> list[pathlib.Path]:
    """Return all files of a checkpoint that was split into numbered ones; otherwise the file itself."""
    match = SHARD.fullmatch(path.name)
    if match is None:
        return [path]
    count = int(match[3])
    paths = [path.with_name(f"{match[1]}{i:05}{match[2]}") for i in range(1, count + 1)]
    missing = [part.name for part in paths if not part.is_file()]
    if missing:
        raise FileNotFoundError(
            f"Parts of the checkpoint are missing. Expected {count} files beside each other. Received: {path}, "
            f"without {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}. Download them all."
        )
    return paths


def flat(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the arrays of dicts within dicts as `("state_dict.stem.0.weight", array)`; the rest is no weight."""
    tree = tree.state_dict() if hasattr(tree, "state_dict") else tree
    for name, value in tree.items():
        if isinstance(value, Mapping) or hasattr(value, "state_dict"):
            yield from flat(value, f"{prefix}{name}.")
        elif hasattr(value, "shape"):
            yield f"{prefix}{name}", value


def as_array(value: Any) -> np.ndarray:
    """Return a NumPy array, from a torch tensor too, in float32 if the type is one that NumPy does not know."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.dequantize() if value.is_quantized else value
        value = value.float() if value.is_floating_point() else value
    return np.asarray(value)


def read_h5(path: Any) -> dict[str, Any]:
    """Read a .weights.h5 file (a path or an open file); names are `layer/sublayer/index`."""
    weights = {}

    def walk(group, prefix):
        for key, item in group.items():
            if not isinstance(item, h5py.Group) or key == "vars" or key.startswith(NO_WEIGHTS):
                continue
            variables = item.get("vars", item)  # Keras writes a layer's name beside its variables
            name = variables.attrs.get("name")
            path = f"{prefix}{name}/" if name else prefix
            if "vars" in item:
                weights.update({f"{path}{index}": variable[()] for index, variable in variables.items()})
            walk(item, path)

    with h5py.File(path, "r") as file:
        walk(file, "")
    return weights


def read_keras(path: pathlib.Path) -> dict[str, Any]:
    """Read the weights in a .keras archive."""
    with zipfile.ZipFile(path) as archive:
        return read_h5(io.BytesIO(archive.read("model.weights.h5")))


def read_safetensors(path: pathlib.Path) -> dict[str, Any]:
    """Read a .safetensors file."""
    return safetensors.numpy.load_file(path)


def read_pth(path: pathlib.Path) -> dict[str, Any]:
    """Read a PyTorch checkpoint with PyTorch, tensors only: nothing in the file is executed."""
    if importlib.util.find_spec("torch") is None:
        raise ImportError(
            f"Only PyTorch reads .pth files. Expected torch to be installed. Received: {path}. "
            "Run `pip install torch`, or take the .safetensors file that timm or Hugging Face offers."
        )
    torch = importlib.import_module("torch")
    # Training scripts keep their arguments in the file: a Namespace holds values and does nothing.
    with getattr(torch.serialization, "safe_globals", contextlib.nullcontext)([argparse.Namespace]):
        return dict(flat(torch.load(path, map_location="cpu", weights_only=True)))


def read_index(path: pathlib.Path) -> dict[str, Any]:
    """Read a checkpoint in several files, listed in a .index.json as Hugging Face writes it."""
    names = sorted(set(json.loads(path.read_text(encoding="utf8"))["weight_map"].values()))
    missing = [name for name in names if not path.with_name(name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"Parts of the checkpoint are missing. Expected {len(names)} files beside {path.name}. "
            f"Received: {path}, without {', '.join(missing[:3])}. Download them all."
        )
    arrays = {}
    for name in names:
        reader = read_safetensors if name.endswith(".safetensors") else read_pth
        arrays |= read_file(path.with_name(name), reader)
    return arrays


def read_shards(path: pathlib.Path) -> dict[str, Any]:
    """Say how to load what Keras has saved in several files: only the model knows which part lies where."""
    raise UnreadableError(
        f"Keras has split these weights into several files. Expected one file. Received: {path}. Build the model they "
        "are of, call its `load_weights` with this path, and pass that model as the source."
    )


READERS = {
    ".keras": read_keras,
    ".weights.h5": read_h5,
    ".safetensors": read_safetensors,
    ".pth": read_pth,
    ".pt": read_pth,
    ".pth.tar": read_pth,  # timm's training script and older ones of PyTorch's; no tar archive
    ".ckpt": read_pth,  # Lightning
    ".bin": read_pth,  # Hugging Face
    ".index.json": read_index,
    ".weights.json": read_shards,
}
