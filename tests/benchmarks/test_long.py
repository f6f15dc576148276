"""A long training that is killed at a random step goes on as if nothing had happened."""

import csv
import os
import pathlib
import random
import signal
import subprocess
import sys

import keras
import matplotlib.figure
import numpy as np
import pytest

import dlt
from benchmarks._long import draw, settings, train
from tests.helpers import ROOT

EPOCHS, STEPS, NEVER = 3, 4, -1
PROCESS = """
import os, pathlib, signal, sys, keras, numpy as np
from tests.benchmarks.test_long import run
for folder, step in zip(sys.argv[1::2], map(int, sys.argv[2::2])):
    seen = iter(range(100))
    def kill(batch, logs):
        if next(seen) == step:
            os.kill(os.getpid(), signal.SIGKILL)
    weights, _ = run(pathlib.Path(folder), [keras.callbacks.LambdaCallback(on_train_batch_end=kill)])
    np.savez(pathlib.Path(folder) / "weights.npz", *weights)
"""


def run(folder, callbacks=()):
    """Train a small denoiser with everything that a long training has, and return its weights and log."""
    keras.utils.set_random_seed(3)
    images = [np.random.default_rng(0).integers(0, 256, (24, 24, 1), dtype="uint8")]
    data = dlt.data.NoisyPatches(images, size=8, batch_size=2, steps=STEPS, seed=5)
    model = dlt.models.create_convunext_denoiser(initial_filters=4, depth=2)
    schedule = keras.optimizers.schedules.CosineDecay(1e-2, EPOCHS * STEPS)
    model.compile(keras.optimizers.Adam(schedule, use_ema=True, ema_momentum=0.9), "mse")
    log = train(model, data, EPOCHS, folder, validation_data=data[0], callbacks=callbacks, verbose=0)
    return model.get_weights(), log


def process(*trainings):
    """Run trainings, (folder, the step after which it is killed) each, in a process: two threads add in any order."""
    one = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROCESS, *(str(word) for training in trainings for word in training)]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | one, timeout=300, capture_output=True, text=True, check=False
    )


def results(folder):
    """Return the weights that a process ended with, and its log but for the seconds."""
    with np.load(folder / "weights.npz") as weights, (folder / "log.csv").open() as log:
        rows = {row["epoch"]: (row["loss"], row["val_loss"]) for row in csv.DictReader(log)}
        return [weights[name] for name in weights.files], rows


@pytest.mark.slow
def test_killed_at_a_random_step(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    step = random.Random().randrange(STEPS, EPOCHS * STEPS)
    killed = process((whole, NEVER), (broken, step))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len((broken / "log.csv").read_text().splitlines()) == 1 + step // STEPS
    assert (done := process((broken, NEVER))).returncode == 0, done.stderr
    weights, log = results(whole)
    resumed, second = results(broken)
    assert log == second
    for a, b in zip(weights, resumed, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=f"killed at step {step}")


def test_what_is_over_stays_over(tmp_path):
    weights, log = run(tmp_path)
    again, second = run(tmp_path)
    assert second == log  # nothing was trained
    for a, b in zip(weights, again, strict=True):
        np.testing.assert_array_equal(a, b)  # the averages are there again


def test_a_curve_is_drawn_of_what_the_log_says(tmp_path, monkeypatch):
    """After each epoch; training and validation share their axes; of an epoch logged twice, the later line counts."""
    pictures = []
    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", lambda fig, path: pictures.append((fig, path)))
    _, log = run(tmp_path)
    assert [path for _, path in pictures] == [tmp_path / "curve.png"] * EPOCHS
    with (tmp_path / "log.csv").open("a") as file:
        file.write("1,0.1,0.1,5.0,7.0\n")
    draw(tmp_path / "log.csv", "again.png")
    (axes,) = pictures[-1][0].axes
    lines = {line.get_label(): line.get_ydata().tolist() for line in axes.lines}
    for name, later in (("loss", 5.0), ("val_loss", 7.0)):
        assert lines[name] == [float(log[0][name]), later, float(log[2][name])]


def test_other_data_would_be_noticed(tmp_path):
    """The control: whoever goes on with the first epoch's batches ends elsewhere."""
    weights, _ = run(tmp_path / "whole")

    class Forgets(dlt.data.NoisyPatches):
        epoch = property(lambda self: 0, lambda self, value: None)

    patched, dlt.data.NoisyPatches = dlt.data.NoisyPatches, Forgets
    try:
        other, _ = run(tmp_path / "other")
    finally:
        dlt.data.NoisyPatches = patched
    assert max(np.abs(a - b).max() for a, b in zip(weights, other, strict=True)) > 1e-4


def test_settings_are_kept(tmp_path):
    folder = pathlib.Path(tmp_path) / "run"
    assert settings(folder, {"rate": 0.1, "patch": 64}) == {"rate": 0.1, "patch": 64}
    assert settings(folder, {"rate": 0.1, "patch": 64}) == {"rate": 0.1, "patch": 64}
    with pytest.raises(ValueError, match=r"Expected \{'rate': 0.1\}. Received: \{'rate': 0.2\}"):
        settings(folder, {"rate": 0.2, "patch": 64})
