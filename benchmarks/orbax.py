"""Does `keras.callbacks.OrbaxCheckpoint` bring back all of a training?

pip install orbax-checkpoint; python -m benchmarks.orbax --out dlt/assets/orbax_cpu.json
"""

import argparse
import importlib.metadata
import json
import pathlib
import tempfile

import keras
import numpy as np
from keras import layers, ops

from benchmarks._provenance import provenance

SEED = 23


def network(kind):
    """Return a small network with dropout, compiled."""
    hidden, drop, out = layers.Dense(16, "relu"), layers.Dropout(0.3, seed=SEED), layers.Dense(1)
    inputs = keras.Input((4,))
    if kind == "functional":
        model = keras.Model(inputs, out(drop(hidden(inputs))))
    else:
        model = keras.Sequential([inputs, hidden, drop, out])
    model.compile("adam", "mse")
    return model


def counter(model):
    """Return how many masks the dropout has drawn."""
    (state,) = (v for v in model.variables if v.path.endswith("seed_generator_state"))
    return int(ops.convert_to_numpy(state)[1])


def trial(kind):
    """Train for an epoch of eight steps, load what was saved, and return what was there and what has come back."""
    x = np.random.default_rng(SEED).normal(size=(64, 4)).astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        model = network(kind)
        saver = keras.callbacks.OrbaxCheckpoint(folder, save_on_background=False)
        model.fit(x, x[:, :1], batch_size=8, callbacks=[saver], verbose=0)
        loaded = keras.saving.load_model(folder)
    pairs = zip(model.get_weights(), loaded.get_weights(), strict=True)
    both = model, loaded
    return {
        "weights apart": max(float(np.abs(a - b).max()) for a, b in pairs),
        "steps": [int(ops.convert_to_numpy(one.optimizer.iterations)) for one in both],
        "masks": [counter(one) for one in both],
    }


def main():
    """Run and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    given = parser.parse_args()
    keras.utils.set_random_seed(SEED)
    found = {kind: trial(kind) for kind in ("functional", "Sequential")}
    print(found)
    note = "steps and masks: in the model that was saved, in the one that was loaded"
    source = provenance(f"python -m benchmarks.orbax --out {given.out.name}", SEED, note)
    source["versions"]["orbax-checkpoint"] = importlib.metadata.version("orbax-checkpoint")
    given.out.write_text(json.dumps({"provenance": source, "models": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
