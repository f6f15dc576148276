"""A training that goes on from a checkpoint ends where the uninterrupted one does; what is damaged is refused."""

import random

import keras
import numpy as np
import pytest
from keras import layers, ops

from dlt.assets.saving import killed
from dlt.training import Checkpoint, resume

EPOCHS, STEPS = 3, 4


class Draws(keras.utils.PyDataset):
    """Batches whose random numbers follow from epoch and index; the epoch is set from outside."""

    def __init__(self, epoch=0):
        super().__init__()
        self.epoch = epoch

    def __len__(self):
        return STEPS

    def __getitem__(self, index):
        x = np.random.default_rng((self.epoch, index)).normal(size=(4, 3)).astype("float32")
        return x, x[:, :1] ** 2


def network(units=5, optimizer="adam", dtype="float32"):
    keras.utils.set_random_seed(1)
    hidden, drop = layers.Dense(units, "relu", dtype=dtype), layers.Dropout(0.5, seed=2, dtype=dtype)
    model = keras.Sequential([keras.Input((3,)), hidden, drop, layers.Dense(1, dtype=dtype)])
    model.compile(optimizer, "mse", run_eagerly=True)
    return model


def train(path, epochs=EPOCHS, first=None, **kwargs):
    """Train, from the checkpoint if there is one, and return the model; `first` is another epoch of the data."""
    model = network(**kwargs)
    done = resume(model, path)
    data = Draws(done if first is None else first)
    follow = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: setattr(data, "epoch", epoch if first is None else first)
    )
    plan = {"initial_epoch": done, "epochs": epochs, "shuffle": False, "verbose": 0}
    model.fit(data, callbacks=[follow, Checkpoint(path)], **plan)
    return model


def difference(a, b):
    return max(np.abs(x - y).max() for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_going_on_is_not_having_stopped(optimizer, tmp_path):
    whole = train(tmp_path / "whole.npz", optimizer=optimizer)
    for epochs in (1, 2, EPOCHS):
        broken = train(tmp_path / "broken.npz", epochs, optimizer=optimizer)
    assert difference(whole, broken) == 0
    assert int(broken.optimizer.iterations) == EPOCHS * STEPS
    assert not list(tmp_path.glob("*.part"))


def test_controls_that_end_elsewhere(tmp_path):
    whole, path = train(tmp_path / "whole.npz"), tmp_path / "broken.npz"
    train(path, 1)
    content = path.read_bytes()
    assert difference(whole, train(path, first=0)) > 1e-4  # the first epoch's data again
    path.write_bytes(content)
    with np.load(path) as file:
        kept = dict(file)
    seed = next(name for name in kept if name.endswith("seed_generator_state"))
    np.savez(path, **kept | {seed: np.array([2, 0], kept[seed].dtype)})
    assert difference(whole, train(path)) > 1e-4  # the first epoch's masks again


def test_what_is_over_stays_over(tmp_path):
    model = train(tmp_path / "state.npz")
    again = network()
    assert resume(again, tmp_path / "state.npz") == EPOCHS
    assert difference(model, again) == 0


def test_bfloat16(tmp_path):
    model = train(tmp_path / "state.npz", 1, dtype="bfloat16")
    again = network(dtype="bfloat16")
    assert resume(again, tmp_path / "state.npz") == 1
    for a, b in zip(model.variables, again.variables, strict=True):
        np.testing.assert_array_equal(*(ops.convert_to_numpy(ops.cast(v, "float32")) for v in (a, b)))


def untouched(model, path, match):
    """Assert that the checkpoint is refused and the model left as it was."""
    before = model.get_weights()
    with pytest.raises(ValueError, match=match):
        resume(model, path)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_model_or_optimizer(tmp_path):
    train(tmp_path / "state.npz", 1)
    untouched(
        network(units=6), tmp_path / "state.npz", r"another model .* differ .*kernel \(3, 6\). Received: .*\(3, 5\)"
    )
    untouched(network(optimizer="sgd"), tmp_path / "state.npz", "Expected 7 variables.*Received: 15 variables")


@pytest.mark.parametrize("damage", ["half", "bit", "nothing"])
def test_a_damaged_file(damage, tmp_path):
    path = tmp_path / "state.npz"
    train(path, 1)
    content = bytearray(path.read_bytes())
    with np.load(path) as file:
        content[content.index(file[file.files[1]].tobytes())] ^= 1
    whole = path.read_bytes()
    path.write_bytes({"half": whole[: len(whole) // 2], "bit": content, "nothing": b""}[damage])
    untouched(network(), path, "Cannot read the checkpoint. Expected a whole file")


def test_a_file_that_would_run_code(tmp_path):
    np.savez(tmp_path / "state.npz", epoch=1, weights=np.array([{}], dtype=object))
    untouched(network(), tmp_path / "state.npz", "Cannot read the checkpoint.*allow_pickle")


def test_bad_arguments(tmp_path):
    for action in (Checkpoint, lambda path: resume(network(), path)):
        with pytest.raises(ValueError, match=r"ends in .npz. Received: path='state.h5'. Call it state.npz"):
            action("state.h5")
    bare = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    with pytest.raises(ValueError, match=r"no optimizer.*Call its `compile` first"):
        resume(bare, tmp_path / "state.npz")


def test_a_failed_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "state.npz"
    train(path, 1)
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        train(path, 2)
    assert path.read_bytes() == before


def test_killed_in_mid_epoch(tmp_path):
    """On the backend of this process, at a random step; `BackupAndRestore` alone is the control."""
    step = random.Random().randrange(killed.STEPS, killed.EPOCHS * killed.STEPS) + 1
    ends = killed.interrupted(keras.backend.backend(), step, tmp_path)
    assert ends["Checkpoint"] == 0, step
    assert ends["BackupAndRestore"] > 1e-4, step


def test_a_folder_is_made_before_there_is_an_epoch_to_lose(tmp_path):
    path = tmp_path / "runs" / "first" / "state.npz"
    train(path, 1)
    assert resume(network(), path) == 1
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError, match="taken"):
        train(tmp_path / "taken" / "state.npz", 1)
