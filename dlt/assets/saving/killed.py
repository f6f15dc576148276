"""A training that is killed in mid-epoch and goes on: how far from the uninterrupted one does it end?

`interrupted("jax", 19, folder)` answers that; it starts this file twice, as `python killed.py FOLDER KILL WAY...`
"""

import os
import pathlib
import random
import signal
import subprocess
import sys

import keras
import numpy as np
from keras import layers

import dlt

EPOCHS, STEPS = 4, 8
WAYS = ("Checkpoint", "BackupAndRestore")
ENVIRONMENT = {  # the processor, and one thread of it: several add in any order; XLA optimizes nothing that runs once
    "CUDA_VISIBLE_DEVICES": "",
    "JAX_PLATFORMS": "cpu",
    "OMP_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "XLA_FLAGS": os.environ.get("XLA_FLAGS", "")
    + " --xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=0",
}


def keepers(folder):
    """Return by name what saves a training at the end of every epoch."""
    return {
        "Checkpoint": dlt.training.Checkpoint(folder / "state.npz"),
        "BackupAndRestore": keras.callbacks.BackupAndRestore(folder / "backup"),
    }


def network():
    """Return a small denoiser with dropout, compiled."""
    random.seed(23)  # Keras draws its seeds here; its own `set_random_seed` would import TensorFlow, on JAX too
    model = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.Dropout(0.3, seed=23),
            layers.Conv2D(1, 3, padding="same"),
        ]
    )
    model.compile("adam", "mse")
    return model


def train(folder, way, callbacks):
    """Train to the end, from where `way` stopped, if it did, and write the weights down."""
    model = network()
    done = dlt.training.resume(model, folder / "state.npz") if way == "Checkpoint" else 0
    photo = dlt.data.photos("camera")["camera"]
    data = dlt.data.NoisyPatches([photo], size=16, steps=STEPS, epoch=done)
    plan = {"initial_epoch": done, "epochs": EPOCHS, "shuffle": False, "verbose": 0}
    model.fit(data, callbacks=callbacks, **plan)
    np.savez(folder / f"{way}.npz", *model.get_weights())


def killer(step):
    """Return a callback that kills its own process, which cannot help it, after so many steps."""
    steps = iter(range(1, 10**6))

    def shoot(batch, logs):
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return keras.callbacks.LambdaCallback(on_train_batch_end=shoot)


def run(backend, script, *arguments, python=sys.executable):
    """Run a script on a backend in a process of its own, for a quarter of an hour at most."""
    command = [str(part) for part in (python, script, *arguments)]
    environment = os.environ | ENVIRONMENT | {"KERAS_BACKEND": backend}
    return subprocess.run(command, env=environment, timeout=900, capture_output=True, text=True, check=False)


def distance(one, other):
    """Return the largest difference of any weight in two files."""
    with np.load(one) as a, np.load(other) as b:
        return max(float(np.abs(a[name] - b[name]).max()) for name in a.files)


def run_to(code, *arguments, **kwargs):
    """Run this file as `run` does, and raise if it ends otherwise than with this code."""
    done = run(arguments[0], __file__, *arguments[1:], **kwargs)
    if done.returncode != code:
        raise RuntimeError(f"{arguments} ended with {done.returncode}, not {code}.\n{done.stderr}")


def interrupted(backend, step, folder, python=sys.executable):
    """Kill a training after `step` steps, go on by each way, and return how far from the uninterrupted one each ends.

    Args:
        backend: "tensorflow", "jax" or "torch".
        step: Whole number, from 9, the first step after something was saved, to 32, the last.
        folder: Path of a folder for what the processes write.
        python: Path of the Python that has the backend.
    """
    place = pathlib.Path(folder) / f"{backend}-{step}"
    run_to(-signal.SIGKILL, backend, place, step, "whole", python=python)
    run_to(0, backend, place, 0, "whole", *WAYS, python=python)
    return {way: distance(place / f"{way}.npz", place / "whole.npz") for way in WAYS}


def main(folder, kill, *ways):
    """Train once for each way; a process that will be killed keeps its state in all ways at once."""
    folder, kill = pathlib.Path(folder), int(kill)
    folder.mkdir(parents=True, exist_ok=True)
    for way in ways:
        saving = keepers(folder)
        kept = [*saving.values(), killer(kill)] if kill else [saving[way]] if way in saving else []
        train(folder, way, kept)


if __name__ == "__main__":
    main(*sys.argv[1:])
