"""What a ConvNeXt learns of CIFAR-10 in a given number of minutes.

python -m benchmarks.train_cifar10 --data DIR_OR_ZIP --minutes 15 --out dlt/assets/cifar10_convnext_v1_cpu.json
python -m benchmarks.train_cifar10 --network v2_atto --data DIR_OR_ZIP --minutes 60 --out ...
"""

import argparse
import json
import math
import pathlib
import time

import keras
import numpy as np

import dlt
from benchmarks._cifar10 import Batches, standardiser
from benchmarks._provenance import provenance

TASK = {"num_classes": 10, "input_shape": (32, 32, 3)}
NETWORKS = {  # name: class, constructor's arguments, peak learning rate
    "v1_small": ("ConvNeXtV1", {"depths": (1, 2, 1), "dims": (32, 64, 128)}, 4e-3),
    "v2_atto": ("ConvNeXtV2", {**dlt.models.ConvNeXtV2.MODEL_VARIANTS["atto"], "patch_size": 2}, 2e-3),
}
HELD_OUT = 2_000  # training images that are only looked at, once per epoch
NOTE = (
    "CPU run stopped by the clock, on a machine shared with other work: a start, not the limit of the network. "
    "The learning rate follows the clock, so a second run takes another number of steps. "
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
        self.model.stop_training = time.perf_counter() - self.start >= self.seconds


def train(network, data, minutes, seed=0, batch_size=128, weight_decay=0.05):
    """Return network, history and test accuracy as a dict that JSON can hold."""
    keras.utils.set_random_seed(seed)
    (x, y), (x_test, y_test) = dlt.data.cifar10(data)
    held_out, kept = np.split(np.random.default_rng(seed).permutation(len(x)), [HELD_OUT])
    standardise = standardiser(x)
    name, arguments, learning_rate = NETWORKS[network]
    model = getattr(dlt.models, name)(**arguments, **TASK)
    optimizer = keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay)
    optimizer.exclude_from_weight_decay(var_list=[w for w in model.trainable_weights if len(w.shape) == 1])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    batches, clock = Batches(x[kept], y[kept], standardise, batch_size, seed), Clock(minutes, learning_rate)
    validation = standardise(x[held_out]), y[held_out]
    history = model.fit(batches, epochs=10_000, validation_data=validation, callbacks=[clock], verbose=2).history
    _, accuracy = model.evaluate(standardise(x_test), y_test, batch_size=500, verbose=0)
    return {
        "network": {"class": f"dlt.models.{name}", **arguments, **TASK, "patch_size": model.get_config()["patch_size"]},
        "parameters": dlt.measure.parameters(model).total,
        "mega_macs": dlt.measure.macs(model).total / 1e6,
        "recipe": {"batch_size": batch_size, "peak_learning_rate": learning_rate, "weight_decay": weight_decay},
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
    parser.add_argument("--data", help="folder or .zip of the images; without it the original is downloaded")
    parser.add_argument("--minutes", type=float, default=15, help="how long to train")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    command = (
        f"python -m benchmarks.train_cifar10 --network {args.network} --data DIR_OR_ZIP --minutes {args.minutes:g} "
        f"--seed {args.seed} --out {args.out.name}"
    )
    result = train(args.network, args.data, args.minutes, args.seed)
    result["provenance"] = provenance(command, args.seed, NOTE)
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")
    print(f"{args.out}: test accuracy {result['test_accuracy']:.3f} after {result['epochs']} epochs")


if __name__ == "__main__":
    main()
