"""A training that survives: killed at any moment and started again, it ends with the same weights, to the last bit.

`dlt.training.Checkpoint` writes all that a training is at the end of an epoch into one file. Which batches come next
follows from the epoch, if the data depend on seed, epoch and index alone, as those of `dlt.data` do.
`keras.callbacks.BackupAndRestore` writes its file in place and the epoch into a second one: killed between the two, it
goes on with another epoch's data.
"""

import csv
import json
import pathlib
import time

import keras
import numpy as np

import dlt
from benchmarks._precision import policy


class Log(keras.callbacks.Callback):
    """Appends a line of numbers per epoch to a .csv file, with the seconds of wall and CPU that it took."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_epoch_begin(self, epoch, logs=None):
        """Start the clocks."""
        self.began = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        """Write the line."""
        seconds = time.perf_counter() - self.began[0], time.process_time() - self.began[1]
        row = {"epoch": epoch, "seconds": round(seconds[0], 1), "cpu_seconds": round(seconds[1], 1)}
        row |= {name: f"{float(value):.6g}" for name, value in logs.items()}
        header = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if header:
                writer.writeheader()
            writer.writerow(row)


def rows_of(log):
    """Return the numbers of each epoch of a log, as strings; of an epoch that was logged twice, the later ones."""
    with log.open(newline="") as file:
        rows = {int(row["epoch"]): row for row in csv.DictReader(file)}
    return [rows[epoch] for epoch in sorted(rows)]


def draw(log, path):
    """Draw the curves of a log, what is measured on training and on validation data in the same axes."""
    rows = rows_of(log)
    names = [name for name in rows[0] if name not in ("epoch", "seconds", "cpu_seconds")]
    kinds = list(dict.fromkeys(name.removeprefix("val_") for name in names))
    epochs = np.array([int(row["epoch"]) + 1 for row in rows])
    with dlt.plot.figure(len(kinds), size=(6.5, 2.6 * len(kinds)), squeeze=False) as (fig, axes):
        for ax, kind in zip(axes.flat, kinds, strict=True):
            for name in (one for one in names if one.removeprefix("val_") == kind):
                ax.plot(epochs, [float(row[name]) for row in rows], label=name)
            ax.set(xlabel="epoch", ylabel=kind)
            ax.legend()
        fig.savefig(path)


def add_options(parser, **defaults):
    """Add to a command line what every long training can be told.

    Args:
        parser: `argparse.ArgumentParser`.
        **defaults: Values of `steps`, `batch_size`, `patch`, `rate`, `warm_up` and `ema`.
    """
    parser.add_argument("folder", type=pathlib.Path, help="for checkpoint, log and settings")
    parser.add_argument("--data", help="folder or .zip of the images; without it the archive is downloaded")
    parser.add_argument("--out", type=pathlib.Path, help="write weights and provenance, without the extension")
    parser.add_argument("--steps", type=int, help="of the whole cosine")
    parser.add_argument("--epoch", type=int, default=250, help="steps between checkpoints")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--patch", type=int, help="side of the patches in pixels")
    parser.add_argument("--rate", type=float, help="highest of the cosine")
    parser.add_argument("--warm-up", type=int, help="steps")
    parser.add_argument("--ema", type=float, help="momentum of the averaged weights")
    parser.add_argument("--dtype", default=policy(), help="mixed_bfloat16 or float32; by default what is fast here")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(**defaults)


def settings(folder, given):
    """Return the settings of a training: those it was begun with, or `given` ones, which are then written down.

    Args:
        folder: Path of the training's folder.
        given: Dict of numbers and strings.

    Raises:
        ValueError: If the training was begun with others.
    """
    file = pathlib.Path(folder) / "settings.json"
    if file.exists():
        begun = json.loads(file.read_text())
        different = [name for name in begun | given if begun.get(name) != given.get(name)]
        if different:
            expected, received = ({name: source.get(name) for name in different} for source in (begun, given))
            raise ValueError(
                f"This training was begun with other settings. Expected {expected}. Received: {received}. "
                "Name another folder to begin a new one."
            )
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(given, indent=1) + "\n")
    return given


def train(model, data, epochs, folder, validation_data=None, callbacks=(), verbose=2):
    """Train a compiled model to the end of `epochs`, from wherever the checkpoint in `folder` stands.

    Beside the checkpoint are `log.csv` and, drawn from it after every epoch, `curve.png`.

    Args:
        model: Compiled Keras model, built.
        data: `keras.utils.PyDataset` with an attribute `epoch`, which names the batches that come next.
        epochs: Whole number of epochs in all.
        folder: Path of a folder for checkpoint and log.
        validation_data: As in `keras.Model.fit`; with averaged weights (`use_ema`), it is these that are validated.
        callbacks: Keras callbacks.
        verbose: As in `keras.Model.fit`.

    Returns:
        List of a dict of strings per epoch, from the log, of all that were trained in this folder.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, log = folder / "checkpoint.npz", folder / "log.csv"
    done = dlt.training.resume(model, checkpoint)
    parts = [
        keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: setattr(data, "epoch", epoch)),
        *([keras.callbacks.SwapEMAWeights()] if model.optimizer.use_ema else []),
        *callbacks,
        Log(log),  # before the checkpoint: an epoch that was not saved is logged again
        dlt.training.Checkpoint(checkpoint),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: draw(log, folder / "curve.png")),
    ]
    if done < epochs:
        model.fit(
            data,
            initial_epoch=done,
            epochs=epochs,
            validation_data=validation_data,
            callbacks=parts,
            verbose=verbose,
            shuffle=False,  # by default Keras takes the batches of a PyDataset in an order that no seed of theirs knows
        )
    elif model.optimizer.use_ema:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    return rows_of(log)
