import itertools
import os
import pathlib

import keras
import numpy as np
from keras import ops

from dlt._check import fail


class Checkpoint(keras.callbacks.Callback):
    """Write down at the end of every epoch all that a training is, so that `resume` can go on with it.

    That is every variable of the model and of its optimizer, and the number of epochs: the states of the model's random
    layers are among the variables, which Keras's own files leave out. All of it stands in one file, and the file with
    the right name is always a whole one: it is written beside its place and renamed, which is one step for the
    operating system. A process may be killed at any moment.

    What other callbacks remember (the patience of `EarlyStopping`) is not in it, nor the data: their epoch is the
    number that `resume` returns.

    Args:
        path: Path of the file, which ends in ".npz". Its folder is made when the training begins, if it is missing.

    Raises:
        OSError: If the folder cannot be made.
        ValueError: If the path has another ending, or at the end of an epoch if the model has no optimizer.

    >>> Checkpoint("state.npz").path.name
    'state.npz'
    """

    def __init__(self, path: str | os.PathLike) -> None:
        super().__init__()
        self.path = checked_path(path)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Make the folder, before there is an epoch to lose."""
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Write the file anew."""
        arrays = {f"{i} {v.path}": ops.convert_to_numpy(v) for i, v in enumerate(variables(self.model))}
        part = self.path.with_name(self.path.name + ".part")
        with part.open("wb") as file:
            np.savez(file, epoch=epoch + 1, **arrays)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave a renamed file that is empty
        os.replace(part, self.path)


def resume(model: keras.Model, path: str | os.PathLike) -> int:
    """Bring a model to where `Checkpoint` last saw it, and return how many epochs it had been trained for.

    Without a file nothing is done and 0 returned, so that the same lines begin a training and go on with it:

        done = dlt.training.resume(model, "state.npz")
        data = dlt.data.NoisyPatches(images, epoch=done)
        model.fit(data, initial_epoch=done, epochs=100, shuffle=False, callbacks=[Checkpoint("state.npz")])

    Args:
        model: Compiled Keras model, built by the same code. Variables are told apart by their order and shape, since
            Keras numbers their names anew.
        path: Path of the file.

    Returns:
        Whole number of epochs.

    Raises:
        ValueError: If the file is damaged or of another model or optimizer; the model is left as it was.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> resume(model, "not_yet.npz")
    0
    """
    path = checked_path(path)
    own = variables(model)
    if not path.exists():
        return 0
    epoch, saved = read(path)
    check_same(own, saved, path)
    for variable, value in zip(own, saved.values(), strict=True):
        if value.dtype.kind == "V":  # NumPy has no bfloat16: it keeps the bytes
            value = value.view(ops.convert_to_numpy(variable).dtype)
        variable.assign(value)
    return epoch


def checked_path(path: str | os.PathLike) -> pathlib.Path:
    """Return a path that ends in ".npz"."""
    path = pathlib.Path(path)
    if path.suffix != ".npz":
        fail("Invalid `path`.", "the name of a file that ends in .npz", f"path={str(path)!r}", "Call it state.npz.")
    return path


def variables(model: keras.Model) -> list:
    """Return all that a training changes: weights, states of random layers, and the optimizer's variables."""
    if getattr(model, "optimizer", None) is None:
        fail("The model has no optimizer.", "a compiled model", f"{model.name}", "Call its `compile` first.")
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


def read(path: pathlib.Path) -> tuple[int, dict[str, np.ndarray]]:
    """Return the number of epochs and the values by name."""
    try:
        with path.open("rb") as file, np.load(file) as arrays:  # each has a checksum
            values = dict(arrays)
        return int(values.pop("epoch")), values
    except Exception as error:  # zip, NumPy and the operating system have errors of their own
        fail("Cannot read the checkpoint.", "a whole file", f"{path} ({error})", "Take an older one, or begin anew.")


def check_same(own: list, saved: dict[str, np.ndarray], path: pathlib.Path) -> None:
    """Raise if the values are not those of these variables, as far as shapes can tell."""
    expected = [f"{v.path} {tuple(v.shape)}" for v in own]
    received = [f"{name.partition(' ')[2]} {value.shape}" for name, value in saved.items()]
    shapes = [[line.partition(" ")[2] for line in lines] for lines in (expected, received)]
    if shapes[0] != shapes[1]:
        pairs = itertools.zip_longest(expected, received, shapes[0], shapes[1], fillvalue="nothing")
        first = next((a, b) for a, b, own_shape, other_shape in pairs if own_shape != other_shape)
        fail(
            "The checkpoint is of another model or optimizer.",
            f"{len(expected)} variables, and in the first place where they differ {first[0]}",
            f"{len(received)} variables, there {first[1]}, in {path}",
            "Build and compile the model as it was, or begin with another file.",
        )
