"""What a ConvNeXt learns of CIFAR-10 in a given number of minutes.

python -m benchmarks.train_cifar10 --data DIR_OR_ZIP --minutes 15 --out dlt/assets/cifar10_convnext_v1_cpu.json
python -m benchmarks.train_cifar10 --network v2_atto --data DIR_OR_ZIP --minutes 60 --out ...
python -m benchmarks.train_cifar10 --network v2_atto --recipe full --batch-size 512 --minutes 4 --out ...
"""

import argparse
import json
import math
import pathlib
import time

import keras
import numpy as np

import dlt
from benchmarks._cifar10 import Augmented, Batches, standardiser
from benchmarks._provenance import provenance
from benchmarks.recipe import layer

TASK = {"num_classes": 10, "input_shape": (32, 32, 3)}
NETWORKS = {  # name: class, constructor's arguments, peak learning rate
    "v1_small": ("ConvNeXtV1", {"depths": (1, 2, 1), "dims": (32, 64, 128)}, 4e-3),
    "v2_atto": ("ConvNeXtV2", {**dlt.models.ConvNeXtV2.MODEL_VARIANTS["atto"], "patch_size": 2}, 2e-3),
}
RECIPES = {  # name: chains of augmentation layers that take turns, label smoothing, momentum of the averaged weights
    "baseline": ((), 0.0, None),
    "full": ((("RandAugment", "MixUp"), ("RandAugment", "CutMix")), 0.1, 0.999),
}
HELD_OUT = 2_000  # training images that are only looked at, once per epoch
NOTE = (
    "Stopped by the clock, on a machine shared with other work: not the limit of the network. "
    "The learning rate follows the clock, so a second run takes another number of steps. "
    "Every recipe shifts and mirrors the training images. "
    "The images are JPEG copies of CIFAR-10, not its original pixels. "
    "`history` has one entry per epoch, the last one cut short; `val` is on held-out training images. "
    "The test images were looked at once, at the end."
)


class Clock(keras.callbacks.Callback):
    """Warm up over the first tenth of the time, then a cosine to zero; stop when the time is over."""

    def __init__(self, minutes, peak):
        super().__init__()
        self.seconds, self.peak, self.steps = 60 * minutes, peak, 0

    def on_train_begin(self, logs=None):
        self.start = time.perf_counter()

    def on_train_batch_begin(self, batch, logs=None):
        elapsed = min(1.0, (time.perf_counter() - self.start) / self.seconds)
        cosine = 0.5 * (1 + math.cos(math.pi * (elapsed - 0.1) / 0.9))
        self.model.optimizer.learning_rate = self.peak * (elapsed / 0.1 if elapsed < 0.1 else cosine)

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == 1:  # what it takes to build the graph is no training
            self.start = time.perf_counter()
        self.model.stop_training = time.perf_counter() - self.start >= self.seconds


def train(network, recipe, data, minutes, seed=0, batch_size=128, learning_rate=None, weight_decay=0.05):
    """Return network, history and test accuracy as a dict that JSON can hold."""
    keras.utils.set_random_seed(seed)
    (x, y), (x_test, y_test) = dlt.data.cifar10(data)
    y, y_test = (np.eye(10, dtype="float32")[labels] for labels in (y, y_test))
    held_out, kept = np.split(np.random.default_rng(seed).permutation(len(x)), [HELD_OUT])
    standardise = standardiser(x)
    name, arguments, usual_rate = NETWORKS[network]
    learning_rate = learning_rate or usual_rate
    model = getattr(dlt.models, name)(**arguments, **TASK)
    chains, smoothing, momentum = RECIPES[recipe]
    average = {"use_ema": True, "ema_momentum": momentum} if momentum else {}
    optimizer = keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay, **average)
    optimizer.exclude_from_weight_decay(var_list=[w for w in model.trainable_weights if len(w.shape) == 1])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    model.compile(optimizer, loss, metrics=[keras.metrics.CategoricalAccuracy("accuracy")])
    batches, clock = Batches(x[kept], y[kept], standardise, batch_size, seed), Clock(minutes, learning_rate)
    if chains:
        layers = [[layer(name, seed) for name in chain] for chain in chains]
        batches = Augmented(x[kept], y[kept], standardise, batch_size, seed, chains=layers)
    validation = standardise(x[held_out]), y[held_out]
    history = model.fit(batches, epochs=10_000, validation_data=validation, callbacks=[clock], verbose=2).history
    _, accuracy = model.evaluate(standardise(x_test), y_test, batch_size=500, verbose=0)
    return {
        "network": {"class": f"dlt.models.{name}", **arguments, **TASK, "patch_size": model.get_config()["patch_size"]},
        "parameters": dlt.measure.parameters(model).total,
        "mega_macs": dlt.measure.macs(model).total / 1e6,
        "recipe": {"batch_size": batch_size, "peak_learning_rate": learning_rate, "weight_decay": weight_decay}
        | {"augmentation": chains, "label_smoothing": smoothing, "ema_momentum": momentum},
        "minutes": minutes,
        "steps": clock.steps,
        "epochs": round(clock.steps / len(batches), 2),
        "test_images": len(y_test),
        "test_accuracy": accuracy,
        "history": {name: [round(value, 4) for value in values] for name, values in history.items()},
    }


def main():
    """Train as the command line says, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, default="v1_small")
    parser.add_argument("--recipe", choices=RECIPES, default="baseline")
    parser.add_argument("--data", help="folder or .zip of the images; without it the original is downloaded")
    parser.add_argument("--minutes", type=float, default=15, help="how long to train")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rate", type=float, help="highest learning rate, if not the network's usual one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    result = train(args.network, args.recipe, args.data, args.minutes, args.seed, args.batch_size, args.rate)
    command = (
        f"python -m benchmarks.train_cifar10 --network {args.network} --recipe {args.recipe} --data DIR_OR_ZIP "
        f"--minutes {args.minutes:g} --batch-size {args.batch_size} --rate {result['recipe']['peak_learning_rate']:g} "
        f"--seed {args.seed} --out {args.out.name}"
    )
    result["provenance"] = provenance(command, args.seed, NOTE)
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")
    print(f"{args.out}: test accuracy {result['test_accuracy']:.3f} after {result['epochs']} epochs")


if __name__ == "__main__":
    main()
