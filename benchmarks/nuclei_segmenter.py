"""Train a network to find nuclei and tell them apart, for an hour of a CPU, and write its weights.

KERAS_BACKEND=torch nice -n 19 python -m benchmarks.nuclei_segmenter FOLDER --data DIR_OR_ZIP --steps 6000
KERAS_BACKEND=torch nice -n 19 python -m benchmarks.nuclei_segmenter FOLDER --data DIR_OR_ZIP --steps 6000 --out OUT

Killed at any moment and called again, it goes on from the last epoch in FOLDER. With --out it trains nothing more, but
writes the averaged weights of the best epoch to OUT.safetensors (float16), and OUT.json beside it.

With --refit WEIGHTS it goes on from what was chosen, on the validation images too, and keeps the last epoch.
"""

import argparse
import json
import os
import pathlib

import keras
import numpy as np
import safetensors.numpy

import dlt
from benchmarks._channels_last import spare_copies
from benchmarks._long import add_options, settings, train
from benchmarks._provenance import provenance
from benchmarks._schedule import warmed_cosine

MAPS = {"input_shape": (None, None, 3), "output_channels": 2}
NETWORKS = {  # the design of each where it is not the package's own
    "unet": {},
    "convunext": {**MAPS, "initial_filters": 16},
    "acc_unet": {"input_channels": 3, "num_classes": 2, "base_filters": 10},
}
SIDE = 256  # of the middle of a validation image
MIN_AREA = 20  # pixels; smaller predicted objects are dirt
SPLIT = (
    "532 of the 664 images of DSB-2018 stage 1, split by image, seed 0: 372 / 80 / 80. {} The test images were not "
    "used. The weights are stored in float16."
)
CHOSEN = (
    "Best of all epochs by `val_ap`: AP at IoU 0.5, pooled over the middle 256 x 256 pixels of the validation images, "
    "of averaged weights, on seeded watershed."
)
REFIT = (
    "Begun with the weights of `before`, whose settings the validation images had chosen; then trained on these images "
    "too, with nothing left to choose: the averaged weights of the last epoch."
)


def targets(labels):
    """Return what a network learns: whether a pixel is of a nucleus, and how deep in it."""
    return np.concatenate([labels > 0, dlt.data.edge_distance(labels)], axis=-1, dtype="float32")


def augmented(images, masks, seed):
    """Return patches flipped and turned, in another light, with some noise; half of them without colour."""
    rng = np.random.default_rng(seed)
    for i in range(len(images)):
        quarters, flip = rng.integers(4), rng.integers(2)
        for batch in (images, masks):
            batch[i] = np.rot90(batch[i], quarters)[:, :: 1 - 2 * flip]
        if rng.random() < 0.5:  # few images are stained: with their colours alone, strange ones are not recognised
            images[i] = images[i].mean(-1, keepdims=True)
        elif rng.random() < 0.5:
            images[i] = images[i][..., rng.permutation(3)]
    each = len(images), 1, 1, 1
    gain = rng.uniform(0.7, 1.2, each) * rng.uniform(0.85, 1.15, (*each[:3], 3))
    images = images ** np.exp(rng.uniform(-0.4, 0.4, each)) * gain + rng.uniform(-0.05, 0.1, each)
    noise = rng.uniform(0, 0.04, each) * rng.standard_normal(images.shape)
    return np.clip(images + noise, 0, 1).astype("float32"), masks


def loss(y_true, y_pred):
    """Return cross-entropy and Dice of the mask, and the cross-entropy of the depth."""
    mask = dlt.training.BinaryCrossentropyDice(0.5)(y_true[..., :1], y_pred[..., :1])
    return mask + keras.ops.mean(keras.losses.binary_crossentropy(y_true[..., 1:], y_pred[..., 1:]))


class Middles:
    """The middles of validation images, and the AP of a network on them."""

    def __init__(self, part):
        views = [dlt.data.nuclei_view(image, color=True) for image in part.images]  # of all: a middle may be empty
        self.images = np.stack([self.middle(view) for view in views])
        self.labels = [self.middle(labels) for labels in part.labels]

    def middle(self, image):
        """Return the square in the middle of an image."""
        top, left = ((length - SIDE) // 2 for length in image.shape[:2])
        return image[top : top + SIDE, left : left + SIDE]

    def average_precision(self, model):
        """Return AP at IoU 0.5, of all nuclei at once."""
        total = dlt.metrics.ObjectScores()
        for image, labels in zip(self.images, self.labels, strict=True):
            maps = keras.ops.convert_to_numpy(model.predict_on_batch(image[None]))[0].astype("float32")
            found = dlt.predict.objects(maps, min_area=MIN_AREA, method="watershed")
            total += dlt.metrics.object_scores(labels, found)
        return total.average_precision


class KeepBest(keras.callbacks.Callback):
    """Measures the averaged weights at the end of every epoch, as `val_ap`, and keeps the best."""

    def __init__(self, folder, middles):
        super().__init__()
        self.folder, self.middles, self.average = folder, middles, keras.callbacks.SwapEMAWeights()

    def on_epoch_end(self, epoch, logs=None):
        """Take the averaged weights for a moment; in Keras 3.15 `on_predict_end` does not give the others back."""
        self.average.set_model(self.model)
        self.average.on_test_begin()
        logs["val_ap"] = self.middles.average_precision(self.model)
        best = self.folder / "best.json"
        if not best.exists() or logs["val_ap"] > json.loads(best.read_text())["val_ap"]:
            write(self.model, self.folder / "best.safetensors")
            best.write_text(json.dumps({"epoch": epoch, "val_ap": logs["val_ap"]}))
        self.average.on_test_end()


def write(model, path, dtype="float32"):
    """Write weights beside the file, then rename."""
    weights = {weight.path: keras.ops.convert_to_numpy(weight).astype(dtype) for weight in model.weights}
    safetensors.numpy.save_file(weights, f"{path}.part")
    os.replace(f"{path}.part", path)


def compiled(options):
    """Return the network of these settings, compiled."""
    keras.utils.set_random_seed(options["seed"])
    network = options["network"]
    start = options.get("refit")
    model = dlt.models.create_nuclei_segmenter(network, start, dtype=options["dtype"], **NETWORKS[network])
    schedule = warmed_cosine(options["rate"], options["steps"], options["warm_up"])
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=1e-3, clipnorm=1.0, use_ema=True, ema_momentum=options["ema"]
    )
    optimizer.exclude_from_weight_decay(var_list=[weight for weight in model.trainable_weights if weight.ndim == 1])
    model.compile(optimizer, loss, jit_compile=keras.backend.backend() == "jax")
    return model


def result(model, options, log, best, command):
    """Return what there is to know about a trained network."""
    seconds = {name: sum(float(row[name]) for row in log) for name in ("seconds", "cpu_seconds")}
    steps = len(log) * options["epoch"]
    return {
        "settings": options,
        "parameters": dlt.measure.parameters(model).total,
        "macs_per_pixel": dlt.measure.macs(model, (256, 256, 3)).total / 2**16,
        "steps": steps,
        "mega_pixels": steps * options["batch_size"] * options["patch"] ** 2 / 1e6,
        "minutes": round(seconds["seconds"] / 60, 1),
        "cpu_minutes": round(seconds["cpu_seconds"] / 60, 1),
        "best": best,
        "history": {name: [round(float(row[name]), 4) for row in log] for name in ("loss", "val_ap") if name in log[0]},
        "provenance": provenance(command, options["seed"], SPLIT.format(CHOSEN if best else REFIT)),
    }


def arguments():
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, steps=6000, batch_size=8, patch=128, rate=2e-3, warm_up=250, ema=0.998)
    parser.add_argument("--network", choices=NETWORKS, default="unet")
    parser.add_argument("--refit", metavar="WEIGHTS", help="train them further, on validation images too")
    return vars(parser.parse_args())


def main():
    """Train as the command line says, or write what was trained."""
    spare_copies()
    options = arguments()
    folder, data, out = (options.pop(name) for name in ("folder", "data", "out"))
    settings(folder, options)
    model = compiled(options)
    parts = dlt.data.nuclei(data)
    shown = [parts["train"], parts["validation"]] if options["refit"] else [parts["train"]]
    images = [dlt.data.nuclei_view(image, color=True) for part in shown for image in part.images]
    labels = [one for part in shown for one in part.labels]
    patches = dlt.data.SegmentationPatches(
        images, [targets(one) for one in labels],
        options["patch"], options["batch_size"], options["epoch"], augmented, options["seed"],
        weights=np.sqrt([len(np.unique(one)) - 1 for one in labels]), zoom=(0.5, 2),
    )  # fmt: skip
    epochs = 0 if out else options["steps"] // options["epoch"]
    keep = [] if options["refit"] else [KeepBest(folder, Middles(parts["validation"]))]
    log = train(model, patches, epochs, folder, callbacks=keep)
    if out:
        finish(model, options, log, folder, out)


def finish(model, options, log, folder, out):
    """Write the weights that a training leaves behind, and what there is to know about them."""
    best, before = None, {}
    if options["refit"]:
        before = {"before": json.loads(pathlib.Path(options["refit"]).with_suffix(".json").read_text())}
    else:
        best = json.loads((folder / "best.json").read_text())
        dlt.convert.load_weights(model, folder / "best.safetensors")
    write(model, out.with_name(f"{out.name}.safetensors"), "float16")
    flags = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in options.items() if value is not None)
    command = f"python -m benchmarks.nuclei_segmenter FOLDER {flags}"
    text = json.dumps(result(model, options, log, best, command) | before, indent=1)
    out.with_name(f"{out.name}.json").write_text(text + "\n", encoding="utf8")
    print(f"{out}: {best or 'the last epoch'}")


if __name__ == "__main__":
    main()
