"""The recipe of ConvNeXt on trial: one ingredient at a time, on all of CIFAR-10, several seeds.

KERAS_BACKEND=torch nice -n 19 python -m benchmarks.ablation --data DIR_OR_ZIP --out dlt/assets/ablation_cpu.json

Runs that the file already holds are not repeated. All of seed 0 come first, so that an unfinished file is of use.
"""

import argparse
import json
import pathlib
import time

import keras
import numpy as np

import dlt
from benchmarks._channels_last import spare_copies
from benchmarks._cifar10 import Augmented
from benchmarks._provenance import provenance
from benchmarks.cifar10_network import standardise
from benchmarks.recipe import layer

NETWORK = {"depths": (1, 1, 2), "dims": (32, 64, 128), "num_classes": 10, "input_shape": (32, 32, 3), "patch_size": 2}
EPOCHS = 12
BASELINE = {
    "batch_size": 128,
    "peak_learning_rate": 4e-3,
    "warm_up": True,
    "cosine": True,
    "weight_decay": 0.05,
    "shift_and_mirror": True,
    "augment": [],
    "label_smoothing": 0.0,
    "ema_momentum": None,
    "drop_path_rate": 0.0,
}
RECIPES = {  # name: what it changes of the baseline
    "baseline": {},
    "no warm-up": {"warm_up": False},
    "no cosine": {"cosine": False},
    "neither": {"warm_up": False, "cosine": False},
    "no shifts, no mirroring": {"shift_and_mirror": False},
    "no weight decay": {"weight_decay": 0.0},
    "EMA": {"ema_momentum": 0.998},
    "no cosine, EMA": {"cosine": False, "ema_momentum": 0.998},
    "label smoothing": {"label_smoothing": 0.1},
    "stochastic depth": {"drop_path_rate": 0.1},
    "CutMix": {"augment": ["CutMix"]},
    "MixUp": {"augment": ["MixUp"]},
    "a quarter of the rate": {"peak_learning_rate": 1e-3},
    "a quarter of the batch": {"batch_size": 32},
    "a quarter of both": {"batch_size": 32, "peak_learning_rate": 1e-3},
    "a quarter of the batch, half of the rate": {"batch_size": 32, "peak_learning_rate": 2e-3},
}
NOTE = (
    "{done} of {planned} runs. All 50,000 training images of CIFAR-10, in JPEG copies; all 10,000 test images after "
    "each epoch, with averaged weights where there are some; nothing was chosen by them, and what counts is the last "
    "epoch. Every run of a seed starts from the same weights. One core of a shared machine: seconds are no benchmark."
)


class TestAccuracy(keras.callbacks.Callback):
    """Looks at the test images after each epoch."""

    def __init__(self, images, labels):
        super().__init__()
        self.images, self.labels, self.curve = standardise(images), labels, []
        self.average = keras.callbacks.SwapEMAWeights()

    def on_epoch_end(self, epoch, logs=None):
        """Take the averaged weights for a moment, if there are some."""
        averaged = self.model.optimizer.use_ema
        self.average.set_model(self.model)
        if averaged:
            self.average.on_test_begin()
        parts = [self.model.predict_on_batch(part) for part in np.split(self.images, 20)]
        logits = np.concatenate([np.asarray(part, "float32") for part in parts])
        if averaged:
            self.average.on_test_end()
        self.curve.append(round(float(np.mean(logits.argmax(1) == self.labels)), 4))


def rate(recipe, steps):
    """Return the learning rate of a recipe: a number or a schedule."""
    peak, warm_up = recipe["peak_learning_rate"], steps // 10
    if recipe["cosine"]:
        if not recipe["warm_up"]:
            return keras.optimizers.schedules.CosineDecay(peak, steps)
        return keras.optimizers.schedules.CosineDecay(0.0, steps - warm_up, warmup_target=peak, warmup_steps=warm_up)
    if recipe["warm_up"]:
        return keras.optimizers.schedules.PolynomialDecay(0.0, warm_up, end_learning_rate=peak)
    return peak


def run(name, seed, train, test):
    """Train by one recipe and return what came out, as a dict that JSON can hold."""
    recipe, began = BASELINE | RECIPES[name], time.perf_counter()
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    model = dlt.models.ConvNeXtV2(**NETWORK, drop_path_rate=recipe["drop_path_rate"], dtype="mixed_bfloat16")
    chains = [[layer(kind, seed) for kind in recipe["augment"]]]
    batches = Augmented(*train, standardise, recipe["batch_size"], seed, recipe["shift_and_mirror"], chains=chains)
    ema = recipe["ema_momentum"]
    average = {} if ema is None else {"use_ema": True, "ema_momentum": ema}
    optimizer = keras.optimizers.AdamW(
        rate(recipe, EPOCHS * len(batches)), weight_decay=recipe["weight_decay"], **average
    )
    optimizer.exclude_from_weight_decay(var_list=[weight for weight in model.trainable_weights if weight.ndim == 1])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe["label_smoothing"])
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=keras.backend.backend() == "jax")
    tested = TestAccuracy(*test)
    history = model.fit(batches, epochs=EPOCHS, verbose=0, callbacks=[tested]).history
    return {
        "recipe": name,
        "change": RECIPES[name],
        "seed": seed,
        "test_accuracy": tested.curve,
        "history": {key: [round(float(value), 4) for value in values] for key, values in history.items()},
        "seconds": round(time.perf_counter() - began),
    }


def write(args, runs):
    """Write everything known so far, in one stroke."""
    model = dlt.models.ConvNeXtV2(**NETWORK)
    planned = args.seeds * len(RECIPES)
    command = f"python -m benchmarks.ablation --data DIR_OR_ZIP --seeds {args.seeds} --out {args.out.name}"
    result = {
        "network": {"class": "dlt.models.ConvNeXtV2", **NETWORK},
        "parameters": dlt.measure.parameters(model).total,
        "mega_macs": dlt.measure.macs(model).total / 1e6,
        "epochs": EPOCHS,
        "baseline": BASELINE,
        "runs": runs,
        "provenance": provenance(command, list(range(args.seeds)), NOTE.format(done=len(runs), planned=planned)),
    }
    partial = args.out.with_suffix(".part")
    partial.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")
    partial.replace(args.out)


def main():
    """Run what the file does not hold yet, and write it after each run."""
    spare_copies()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder or .zip of the images; without it the original is downloaded")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    (x, y), test = dlt.data.cifar10(args.data)
    train = x, np.eye(10, dtype="float32")[y]
    runs = json.loads(args.out.read_text(encoding="utf8"))["runs"] if args.out.exists() else []
    done = {(each["recipe"], each["seed"]) for each in runs}
    for name, seed in ((name, seed) for seed in range(args.seeds) for name in RECIPES):
        if (name, seed) not in done:
            runs.append(run(name, seed, train, test))
            write(args, runs)
            print(f"{name}, seed {seed}: {runs[-1]['test_accuracy'][-1]:.4f}, {runs[-1]['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
