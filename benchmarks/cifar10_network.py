"""Train a ConvNeXt V2 on all of CIFAR-10, for an hour of a CPU, and write its weights.

KERAS_BACKEND=torch nice -n 19 python -m benchmarks.cifar10_network FOLDER --data DIR_OR_ZIP
KERAS_BACKEND=torch nice -n 19 python -m benchmarks.cifar10_network FOLDER --data DIR_OR_ZIP --out OUT
KERAS_BACKEND=torch nice -n 19 python -m benchmarks.cifar10_network NEW --data DIR_OR_ZIP --cut-mix --begin-with OUT

Killed at any moment and called again, it goes on from the last epoch in FOLDER. With --out it trains nothing more, but
looks at the test images, once, and writes the averaged weights to OUT.safetensors (float16), and OUT.json beside it.
"""

import argparse
import json
import pathlib

import keras
import numpy as np
import safetensors.numpy

import dlt
from benchmarks._channels_last import spare_copies
from benchmarks._long import add_options, settings, train
from benchmarks._provenance import provenance
from benchmarks._schedule import warmed_cosine
from dlt.data._epochs import RandomBatches

NETWORK = {"depths": (1, 1, 4), "dims": (32, 64, 160), "num_classes": 10, "input_shape": (32, 32, 3), "patch_size": 2}
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # of ImageNet, as everybody's
LONGEST = {"erase": 16, "cut_mix": 28}  # pixels, of the side of a rectangle
NOTE = (
    "All 50,000 training images of CIFAR-10, in JPEG copies, not its original pixels; shifted by up to 4 pixels and "
    "mirrored. In half of them a rectangle is erased or, with `cut_mix`, comes from another image, and the label is "
    "mixed alike. Test accuracy is that of averaged weights, rounded to float16 as they are stored."
)


def standardise(images):
    """Return images of 0 to 255 with the mean and deviation that networks of ImageNet expect."""
    return ((images / 255 - MEAN) / DEVIATION).astype("float32")


class Images(RandomBatches):
    """Training batches, each image shifted and mirrored at random; half of them lose a rectangle.

    What is there instead is nothing ("erase") or a part of another image, with its share of the label ("cut_mix").
    """

    def __init__(self, images, labels, batch_size, steps, seed=0, how="erase"):
        super().__init__(steps, seed, 0)
        self.images = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)), "reflect")
        self.labels, self.batch_size, self.how = np.eye(10, dtype="float32")[labels], batch_size, how

    def __getitem__(self, index):
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.images))
        chosen, rng = order[index * self.batch_size : (index + 1) * self.batch_size], self.random(index)
        rows, columns = (rng.integers(9, size=(len(chosen), 1, 1)) + np.arange(32) for _ in "hw")
        columns = np.where(rng.random((len(chosen), 1, 1)) < 0.5, columns[..., ::-1], columns)
        images = standardise(self.images[chosen[:, None, None], rows.transpose(0, 2, 1), columns])
        labels = self.labels[chosen]
        for i in range(0, len(images) - 1, 2) if self.how else ():
            top, left = rng.integers(32, size=2)
            height, width = rng.integers(4, LONGEST[self.how] + 1, size=2)
            place = slice(top, top + height), slice(left, left + width)
            if self.how == "erase":
                images[i][place] = 0
            else:  # the neighbour stays whole
                share = images[i][place].size / images[i].size
                images[i][place] = images[i + 1][place]
                labels[i] = (1 - share) * labels[i] + share * labels[i + 1]
        return images, labels


def compiled(options):
    """Return the network of these settings, compiled."""
    keras.utils.set_random_seed(options["seed"])
    model = dlt.models.ConvNeXtV2(**NETWORK, dtype=options["dtype"])
    if options["begin_with"]:
        dlt.convert.load_weights(model, options["begin_with"])
    schedule = warmed_cosine(options["rate"], options["steps"], options["warm_up"])
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=0.05, clipnorm=1.0, use_ema=True, ema_momentum=options["ema"]
    )
    optimizer.exclude_from_weight_decay(var_list=[weight for weight in model.trainable_weights if weight.ndim == 1])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=keras.backend.backend() == "jax")
    return model


def finish(model, options, log, test, out):
    """Round the weights, test them, and write them with all there is to know about them."""
    weights = {weight.path: keras.ops.convert_to_numpy(weight).astype("float16") for weight in model.weights}
    safetensors.numpy.save_file(weights, f"{out}.safetensors")
    tested = dlt.models.ConvNeXtV2(**NETWORK)
    dlt.convert.load_weights(tested, f"{out}.safetensors")
    images, labels = test
    logits = tested.predict(standardise(images), batch_size=500, verbose=0)
    first = pathlib.Path(options["begin_with"] or "")
    options = options | {"begin_with": first.name or None}
    given = {name: value for name, value in options.items() if value not in (None, False)}
    flags = " ".join(f"--{name.replace('_', '-')} {'' if value is True else value}" for name, value in given.items())
    result = {
        "network": {"class": "dlt.models.ConvNeXtV2", **NETWORK},
        "settings": options,
        "parameters": dlt.measure.parameters(model).total,
        "mega_macs": dlt.measure.macs(model).total / 1e6,
        "steps": len(log) * options["epoch"],
        "images_seen": len(log) * options["epoch"] * options["batch_size"],
        "minutes": round(sum(float(row["seconds"]) for row in log) / 60, 1),
        "cpu_minutes": round(sum(float(row["cpu_seconds"]) for row in log) / 60, 1),
        "test_accuracy": float(np.mean(logits.argmax(1) == labels)),
        "test_accuracy_of_class": [float(np.mean(logits[labels == k].argmax(1) == k)) for k in range(10)],
        "before": json.loads(first.with_suffix(".json").read_text()) if first.name else None,
        "history": {name: [round(float(row[name]), 4) for row in log] for name in ("loss", "accuracy")},
        "provenance": provenance(f"python -m benchmarks.cifar10_network FOLDER {flags}", options["seed"], NOTE),
    }
    out.with_name(f"{out.name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")
    print(f"{out}: test accuracy {result['test_accuracy']:.4f}")


def main():
    """Train as the command line says, or write what was trained."""
    spare_copies()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, steps=35 * 390, epoch=390, batch_size=128, patch=32, rate=3e-3, warm_up=780, ema=0.998)
    parser.add_argument("--cut-mix", action="store_true", help="in place of erasing")
    parser.add_argument("--begin-with", help="weights to go on from, .safetensors")
    options = vars(parser.parse_args())
    folder, data, out = (options.pop(name) for name in ("folder", "data", "out"))
    settings(folder, options)
    (images, labels), test = dlt.data.cifar10(data)
    how = "cut_mix" if options["cut_mix"] else "erase"
    batches = Images(images, labels, options["batch_size"], options["epoch"], options["seed"], how)
    model = compiled(options)
    log = train(model, batches, 0 if out else options["steps"] // options["epoch"], folder)
    if out:
        finish(model, options, log, test, out)


if __name__ == "__main__":
    main()
