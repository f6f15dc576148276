"""The recipe of ConvNeXt on trial: one ingredient at a time, on CIFAR-10, several seeds.

KERAS_BACKEND=torch OMP_NUM_THREADS=1 python -m benchmarks.ablation --data DIR_OR_ZIP --out dlt/assets/ablation_cpu.json

The network is a residual one with batch normalization, since the paper tries the recipe on a ResNet, too, before it
changes the network; and dense convolutions learn most in a minute of a CPU. Runs that the file already holds are not
repeated, and several processes may add to one file: see --share.
"""

import argparse
import pathlib
import time

import keras
import numpy as np
from keras import layers

import dlt
from benchmarks._channels_last import spare_copies
from benchmarks._cifar10 import Augmented
from benchmarks._precision import policy
from benchmarks._provenance import provenance
from benchmarks._runs import add_run, runs_in
from benchmarks._schedule import warmed_cosine
from benchmarks.cifar10_network import standardise

WIDTHS = (32, 64, 128)
SETS = {"all": {"images": 50_000, "epochs": 10}, "a tenth": {"images": 5_000, "epochs": 100}}  # equally many steps
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
    "dtype": "mixed_bfloat16",
}
EMA = {"ema_momentum": 0.9975}  # looks back a tenth of the steps
RECIPES = {  # name: what it changes of the baseline
    "baseline": {},
    "no warm-up": {"warm_up": False},
    "no cosine": {"cosine": False},
    "no cosine, EMA": {"cosine": False} | EMA,
    "EMA": EMA,
    "no shifts, no mirroring": {"shift_and_mirror": False},
    "no weight decay": {"weight_decay": 0.0},
    "label smoothing": {"label_smoothing": 0.1},
    "CutMix": {"augment": [["CutMix"]]},
    "MixUp": {"augment": [["MixUp"]]},
    "random erasing": {"augment": [["erasing"]]},
    "full recipe": {"augment": [["MixUp", "erasing"], ["CutMix", "erasing"]], "label_smoothing": 0.1} | EMA,
    "float32": {"dtype": "float32"},
    "a quarter of the batch": {"batch_size": 32},
    "a quarter of the batch, half of the rate": {"batch_size": 32, "peak_learning_rate": 2e-3},
    "a quarter of both": {"batch_size": 32, "peak_learning_rate": 1e-3},
}
FIRST = [(images, name) for name in ("baseline", "CutMix") for images in SETS] + [("all", "no cosine")]
SECOND = [("all", "no warm-up"), ("all", "float32")]
THIRD = [("a tenth", "no shifts, no mirroring"), ("a tenth", "full recipe")]
REGULARISERS = "label smoothing", "MixUp", "no weight decay", "random erasing"
FOURTH = [("a tenth", name) for name in REGULARISERS]
FOURTH += [("all", name) for name in RECIPES if ("all", name) not in FIRST + SECOND]
PARTS = FIRST, SECOND, THIRD, FOURTH  # the most important runs first, all seeds of them
LAYERS = {  # settings of ConvNeXt's recipe
    "CutMix": lambda seed: layers.CutMix((1.0, 1.0), seed=seed),
    "MixUp": lambda seed: layers.MixUp(0.8, seed=seed),
    "erasing": lambda seed: layers.RandomErasing((0.25, 0.25), value_range=(0, 255), seed=seed),
}
NOTE = (
    "CIFAR-10 in JPEG copies, not its original pixels. All 10,000 test images after each epoch (of the tenth: each "
    "tenth epoch), with averaged weights where there are some; no setting was chosen by them, and what counts is the "
    "last epoch. The learning rate and the length were chosen on 5,000 training images. Every run of a seed starts "
    "from the same weights; the tenth is another one for each seed. One core of a shared machine: seconds are no "
    "benchmark. `dtype`: runs without it were in mixed_bfloat16; where the processor is slow at that, in float32. "
    "RandAugment is left out: Keras's takes 210 ms for a batch on this core, the network 75."
)


def network():
    """Return a residual network (He et al. 2015) of seven convolutions and a head, 16 to 4 pixels wide."""

    def convolve(x, filters):
        return layers.BatchNormalization(momentum=0.9)(layers.Conv2D(filters, 3, padding="same", use_bias=False)(x))

    images = x = keras.Input((32, 32, 3))
    for filters in WIDTHS:
        x = layers.ReLU()(layers.MaxPooling2D()(convolve(x, filters)))
        if filters > WIDTHS[0]:
            branch = convolve(layers.ReLU()(convolve(x, filters)), filters)
            x = layers.ReLU()(layers.Add()([x, branch]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(10, dtype="float32", name="head")(x))


class TestAccuracy(keras.callbacks.Callback):
    """Looks at the test images after every so many epochs."""

    def __init__(self, train, test, every, averaged):
        super().__init__()
        self.train, self.test, self.every, self.averaged, self.curve = train, test, every, averaged, []
        self.average = keras.callbacks.SwapEMAWeights()

    def on_epoch_end(self, epoch, logs=None):
        """Take the averaged weights for a moment, if there are some."""
        if (epoch + 1) % self.every:
            return
        if self.averaged:
            self.average.set_model(self.model)
            self.average.on_test_begin()
            renew_statistics(self.model, self.train)
        self.curve.append(accuracy(self.model, *self.test))
        if self.averaged:
            self.average.on_test_end()


def renew_statistics(model, images, batches=40):
    """Let batch normalization see what the averaged weights compute: its means and variances are the others' so far."""
    for part in np.array_split(images[: 128 * batches], batches):
        model(part, training=True)


def accuracy(model, images, labels):
    """Return the share of images that are classified right."""
    parts = [model.predict_on_batch(part) for part in np.array_split(images, -(-len(images) // 250))]
    return round(float(np.mean(np.concatenate(parts).argmax(1) == labels)), 4)


def rate(recipe, steps):
    """Return the learning rate of a recipe: a number or a schedule."""
    peak, warm_up = recipe["peak_learning_rate"], steps // 10
    if recipe["cosine"]:
        if not recipe["warm_up"]:
            return keras.optimizers.schedules.CosineDecay(peak, steps)
        return warmed_cosine(peak, steps, warm_up)
    if recipe["warm_up"]:
        return keras.optimizers.schedules.PolynomialDecay(0.0, warm_up, end_learning_rate=peak)
    return peak


def run(images, name, seed, train, test):
    """Train by one recipe and return what came out, as a dict that JSON can hold."""
    recipe, began, epochs = BASELINE | RECIPES[name], time.perf_counter(), SETS[images]["epochs"]
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(policy(recipe["dtype"]))
    model = network()
    keras.config.set_dtype_policy("float32")
    kept = np.random.default_rng(seed).permutation(len(train[0]))[: SETS[images]["images"]]
    x, y = train[0][kept], train[1][kept]
    chains = [[LAYERS[kind](seed) for kind in chain] for chain in recipe["augment"] or [[]]]
    one_hot = np.eye(10, dtype="float32")[y]
    batches = Augmented(x, one_hot, standardise, recipe["batch_size"], seed, recipe["shift_and_mirror"], chains=chains)
    averaged = recipe["ema_momentum"] is not None
    average = {"use_ema": True, "ema_momentum": recipe["ema_momentum"]} if averaged else {}
    optimizer = keras.optimizers.AdamW(rate(recipe, epochs * len(batches)), recipe["weight_decay"], **average)
    optimizer.exclude_from_weight_decay(var_list=[weight for weight in model.trainable_weights if weight.ndim == 1])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe["label_smoothing"])
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=keras.backend.backend() == "jax")
    plain = standardise(x[:5000])
    tested = TestAccuracy(plain, (standardise(test[0]), test[1]), max(epochs // 10, 1), averaged)
    history = model.fit(batches, epochs=epochs, verbose=0, callbacks=[tested]).history
    if averaged:  # `fit` leaves the averaged weights in the model
        renew_statistics(model, plain)
    return {
        "images": images,
        "recipe": name,
        "change": RECIPES[name],
        "seed": seed,
        "dtype": policy(recipe["dtype"]),
        "test_accuracy": tested.curve,
        "train_accuracy": accuracy(model, plain, y[:5000]),
        "loss": [round(float(value), 4) for value in history["loss"]],
        "seconds": round(time.perf_counter() - began),
    }


def described(args, runs):
    """Return everything known so far."""
    planned = args.seeds * sum(map(len, PARTS))
    command = f"python -m benchmarks.ablation --data DIR_OR_ZIP --seeds {args.seeds} --out {args.out.name}"
    model = network()
    return {
        "parameters": dlt.measure.parameters(model).total,
        "mega_macs": dlt.measure.macs(model).total / 1e6,
        "sets": SETS,
        "baseline": BASELINE,
        "planned": planned,
        "runs": sorted(runs, key=lambda run: (run["images"], list(RECIPES).index(run["recipe"]), run["seed"])),
        "provenance": provenance(command, list(range(args.seeds)), NOTE),
    }


def main():
    """Run what the file does not hold yet, and add it after each run."""
    spare_copies()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder or .zip of the images; without it the original is downloaded")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--share", default="0/1", help="0/2 and 1/2 are two processes that share the runs")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    share, shares = map(int, args.share.split("/"))
    train, test = dlt.data.cifar10(args.data)
    planned = [(*each, seed) for part in PARTS for seed in range(args.seeds) for each in part]
    for images, name, seed in planned[share::shares]:
        done = {(each["images"], each["recipe"], each["seed"]) for each in runs_in(args.out)}
        if (images, name, seed) not in done:
            result = run(images, name, seed, train, test)
            add_run(args.out, result, lambda runs: described(args, runs))
            print(images, name, seed, result["test_accuracy"][-1], result["train_accuracy"], flush=True)


if __name__ == "__main__":
    main()
