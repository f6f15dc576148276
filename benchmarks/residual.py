"""A chain of 32 convolutions: plain, with a residual sum, LayerScale, layer norm in the branch, stochastic depth.

python -m benchmarks.residual --seeds 1 2 3 --out dlt/assets/residual_cpu.json
"""

import argparse
import itertools
import json
import pathlib

import keras
import numpy as np
from keras import layers

from benchmarks._provenance import provenance
from dlt.data import textures
from dlt.layers import LayerScale, StochasticDepth

DEPTH, WIDTH, EPOCHS, BATCH = 32, 16, 8, 64
RATES = (1e-3, 3e-3)
ARMS = {  # depth, residual sum, LayerScale's gamma, layer norm at the start of the branch, stochastic depth
    "plain, 4 layers": (4, False, None, False, 0.0),
    "plain": (DEPTH, False, None, False, 0.0),
    "sum": (DEPTH, True, None, False, 0.0),
    "sum, layer norm": (DEPTH, True, None, True, 0.0),
    "sum, LayerScale 0.1": (DEPTH, True, 0.1, False, 0.0),
    "sum, LayerScale 1e-6": (DEPTH, True, 1e-6, False, 0.0),
    "sum, LayerScale 0.1, stochastic depth 0.2": (DEPTH, True, 0.1, False, 0.2),
}
NOTE = (
    "Stem of 4 x 4 patches, then 32 layers (4 in one arm) of ReLU and convolution 3 x 3 with He's initialization, "
    "average pool, layer norm, dense. 8 epochs of 1,600 textures in batches of 64, Adam, cosine decay. `test` is the "
    "accuracy in percent on 1,600 test images, `train` that on the training images, both at inference."
)


def network(depth, residual, gamma, norm, rate):
    """Return the classifier of 32 x 32 grey patches."""
    x = images = keras.Input((32, 32, 1))
    x = layers.Conv2D(WIDTH, 4, strides=4)(x)  # (B, 8, 8, WIDTH)
    for d in range(depth):
        y = layers.LayerNormalization(epsilon=1e-6)(x) if norm else x
        y = layers.Conv2D(WIDTH, 3, padding="same", kernel_initializer="he_normal")(layers.ReLU()(y))
        y = LayerScale(gamma)(y) if gamma else y
        y = StochasticDepth(rate * d / (depth - 1))(y) if rate else y
        x = layers.Add()([x, y]) if residual else y
    x = layers.LayerNormalization(epsilon=1e-6)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(images, layers.Dense(8)(x))


def train(arm, learning_rate, seed):
    """Train one network and return its accuracies, in percent, as a dict."""
    (x, y), (x_test, y_test) = textures(train_per_class=200, test_per_class=200, seed=0)
    keras.utils.set_random_seed(seed)
    model = network(*ARMS[arm])
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, EPOCHS * len(x) // BATCH)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(schedule), loss, jit_compile=False)
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    accuracies = {}
    for name, images, labels in (("test", x_test, y_test), ("train", x, y)):
        guesses = model.predict(images, batch_size=400, verbose=0).argmax(-1)
        accuracies[name] = round(100 * float(np.mean(guesses == labels)), 2)
    return accuracies


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    seeds = " ".join(map(str, options.seeds))
    command = f"python -m benchmarks.residual --seeds {seeds} --out {options.out}"
    settings = {"width": WIDTH, "depth": DEPTH, "epochs": EPOCHS, "batch": BATCH, "images": 1600, "rates": RATES}
    runs = []
    for seed, arm, rate in itertools.product(options.seeds, ARMS, RATES):
        runs.append({"arm": arm, "rate": rate, "seed": seed, **train(arm, rate, seed)})
        print(runs[-1], flush=True)
        if options.out:
            result = {"provenance": provenance(command, options.seeds, NOTE), "settings": settings, "runs": runs}
            options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
