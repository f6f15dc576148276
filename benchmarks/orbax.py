"""Does `keras.callbacks.OrbaxCheckpoint` bring back all of a training?

pip install orbax-checkpoint; python -m benchmarks.orbax
"""

import tempfile

import keras
import numpy as np
from keras import layers, ops


def network(kind):
    """Return a small network with dropout, compiled."""
    hidden, drop, out = layers.Dense(16, "relu"), layers.Dropout(0.3, seed=23), layers.Dense(1)
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


def main():
    """Train for an epoch of eight steps, load what was saved, and print what has come back."""
    x = np.random.default_rng(23).normal(size=(64, 4)).astype("float32")
    for kind in ("functional", "Sequential"):
        with tempfile.TemporaryDirectory() as folder:
            model = network(kind)
            saver = keras.callbacks.OrbaxCheckpoint(folder, save_on_background=False)
            model.fit(x, x[:, :1], batch_size=8, callbacks=[saver], verbose=0)
            loaded = keras.saving.load_model(folder)
        pairs = zip(model.get_weights(), loaded.get_weights(), strict=True)
        apart = max(float(np.abs(a - b).max()) for a, b in pairs)
        steps = int(model.optimizer.iterations), int(loaded.optimizer.iterations)
        print(f"{kind}: weights {apart:.2g} apart, steps {steps}, masks drawn {counter(model), counter(loaded)}")


if __name__ == "__main__":
    main()
