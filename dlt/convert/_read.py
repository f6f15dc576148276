"""Any source of weights becomes a dict of NumPy arrays by name."""

import importlib.util
import io
import pathlib
import zipfile

import h5py
import keras
import numpy as np
import safetensors.numpy

from dlt._check import fail

NO_WEIGHTS = ("optimizer", "metrics", "compile_metrics", "seed_generator")


def read(source):
    """Return the weights of `source` as `{name: array}`.

    Args:
        source: A path ending in .keras, .weights.h5, .safetensors, .pth or .pt; a dict of arrays; a Keras model.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is cut off, damaged or of an unknown kind.
    """
    if isinstance(source, keras.Model):
        return {weight.path: keras.ops.convert_to_numpy(weight) for weight in source.weights}
    if isinstance(source, dict):
        return {name: as_array(value) for name, value in source.items()}
    path = pathlib.Path(source).expanduser()
    reader = next((reader for ending, reader in READERS.items() if path.name.endswith(ending)), None)
    if reader is None:
        fail("Unknown kind of weight file.", f"a name ending in {', '.join(READERS)}", str(path), "Convert it first.")
    if not path.is_file():
        raise FileNotFoundError(
            f"No weight file there. Expected an existing file. Received: {path}. Check the path and the directory "
            f"({pathlib.Path.cwd()}) it is relative to."
        )
    try:
        return reader(path)
    except ImportError:
        raise
    except Exception as error:  # each format's library has errors of its own
        raise ValueError(
            f"Cannot read the weights: {error}. Expected a whole {reader.__name__.removeprefix('read_')} file. "
            f"Received: {path} ({path.stat().st_size:,} bytes). It may be cut off: download or save it again."
        ) from error


def as_array(value):
    """Return a NumPy array, from a torch tensor too, in float32 if the type is one that NumPy does not know."""
    value = value.detach().cpu().float() if hasattr(value, "detach") else value
    return np.asarray(value)


def read_h5(path):
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


def read_keras(path):
    """Read the weights in a .keras archive."""
    with zipfile.ZipFile(path) as archive:
        return read_h5(io.BytesIO(archive.read("model.weights.h5")))


def read_safetensors(path):
    """Read a .safetensors file."""
    return safetensors.numpy.load_file(path)


def read_pth(path):
    """Read a PyTorch checkpoint with PyTorch, tensors only: nothing in the file is executed."""
    if importlib.util.find_spec("torch") is None:
        raise ImportError(
            f"Only PyTorch reads .pth files. Expected torch to be installed. Received: {path}. "
            "Run `pip install torch`, or take the .safetensors file that timm or Hugging Face offers."
        )
    state = importlib.import_module("torch").load(path, map_location="cpu", weights_only=True)
    for wrapper in ("model", "state_dict"):
        state = state.get(wrapper, state)
    return {name: as_array(tensor) for name, tensor in state.items()}


READERS = {
    ".keras": read_keras,
    ".weights.h5": read_h5,
    ".safetensors": read_safetensors,
    ".pth": read_pth,
    ".pt": read_pth,
}
