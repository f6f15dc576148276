"""A chain of 32 convolutions: plain, with a residual sum, LayerScale, a norm in the branch, stochastic depth.

python -m benchmarks.residual --seeds 1 2 3 --out dlt/assets/residual_cpu.json
python -m benchmarks.residual --seeds 1 2 3 --batch-norm --out dlt/assets/residual_batch_norm_cpu.json
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
ARMS = {  # depth, residual sum, LayerScale's gamma, norm at the start of the branch, stochastic depth
    "plain, 4 layers": (4, False, None, None, 0.0),
    "plain": (DEPTH, False, None, None, 0.0),
    "sum": (DEPTH, True, None, None, 0.0),
    "sum, layer norm": (DEPTH, True, None, "layer", 0.0),
    "sum, LayerScale 0.1": (DEPTH, True, 0.1, None, 0.0),
    "sum, LayerScale 1e-6": (DEPTH, True, 1e-6, None, 0.0),
    "sum, LayerScale 0.1, stochastic depth 0.2": (DEPTH, True, 0.1, None, 0.2),
}
BATCH_NORM_ARMS = {  # He and colleagues' own comparison: their deep plain networks have batch norm
    "plain, batch norm": (DEPTH, False, None, "batch", 0.0),
    "sum, batch norm": (DEPTH, True, None, "batch", 0.0),
}
NOTE = (
    "Stem of 4 x 4 patches, then 32 layers (4 in one arm) of ReLU and convolution 3 x 3 with He's initialization, "
    "average pool, layer norm, dense; batch norm, where there is one, has momentum 0.9. 8 epochs of 1,600 textures in "
    "batches of 64, Adam, cosine decay. `test` is the accuracy in percent on 1,600 test images, `train` that "
    "on the training images, both at inference."
)


def new_norm(kind):
    """Return a normalization; the moving averages of a short training have to forget their start."""
    if kind == "batch":
        return layers.BatchNormalization(momentum=0.9)
    return layers.LayerNormalization(epsilon=1e-6)


def network(depth, residual, gamma, norm, rate):
    """Return the classifier of 32 x 32 grey patches."""
    x = images = keras.Input((32, 32, 1))
    x = layers.Conv2D(WIDTH, 4, strides=4)(x)  # (B, 8, 8, WIDTH)
    for d in range(depth):
        y = new_norm(norm)(x) if norm else x
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
    model = network(*(ARMS | BATCH_NORM_ARMS)[arm])
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
    parser.add_argument("--batch-norm", action="store_true", help="train the arms with batch norm, and no others")
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    seeds = " ".join(map(str, options.seeds))
    flag = "--batch-norm " if options.batch_norm else ""
    command = f"python -m benchmarks.residual --seeds {seeds} {flag}--out {options.out}"
    arms, rates = (BATCH_NORM_ARMS, RATES[1:]) if options.batch_norm else (ARMS, RATES)
    settings = {"width": WIDTH, "depth": DEPTH, "epochs": EPOCHS, "batch": BATCH, "images": 1600, "rates": rates}
    runs = []
    for seed, arm, rate in itertools.product(options.seeds, arms, rates):
        runs.append({"arm": arm, "rate": rate, "seed": seed, **train(arm, rate, seed)})
        print(runs[-1], flush=True)
        if options.out:
            result = {"provenance": provenance(command, options.seeds, NOTE), "settings": settings, "runs": runs}
            options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
