"""Train a small network to segment nuclei for some minutes, and score it on whole images it has never seen.

python -m benchmarks.train_nuclei --data DIR_OR_ZIP --network unet --minutes 15 --seed 0 --out runs/unet_0
python -m benchmarks.train_nuclei --merge runs/*.json --out dlt/assets/nuclei_cpu.json

The first writes OUT.safetensors and OUT.json. The second puts several such files into one, and beside it the weights
of each network, for `dlt.models.create_nuclei_segmenter`. Every network has the same recipe and the same time. On a
machine shared with other work, `--clock cpu` counts the seconds in which the process computes, and
TF_NUM_INTRAOP_THREADS=1 keeps those of all networks comparable.
"""

import argparse
import json
import math
import os
import pathlib
import shutil
import time

import keras
import numpy as np
import safetensors.numpy
import skimage.filters

import dlt
from benchmarks._provenance import provenance

GREY = {"input_shape": (None, None, 1), "output_channels": 1, "initial_filters": 12}  # as the other networks
RECIPE = {
    "loss": "BinaryCrossentropyDice: half cross-entropy, half Dice, on masks without the borders between nuclei",
    "optimizer": "AdamW",
    "peak_learning_rate": 2e-3,
    "weight_decay": 1e-3,
    "clipnorm": 1.0,
    "schedule": "a tenth of the time of warm-up, then a cosine to 0",
    "batch_size": 4,
    "patch": 128,  # the lowest map of four halvings has 8 x 8 pixels
    "augmentation": "flips, any rotation, elastic shifts of 2 px, brightness 0.1, contrast 0.2",
    "input": "dlt.data.nuclei_view: grey, nuclei bright, stretched to [0, 1]",
}
MIN_AREA = 20  # pixels; smaller predicted objects are dirt
NOTE = (
    "532 of the 664 images of DSB-2018 stage 1, split by image, seed 0: 372 / 80 / 80. The clock stops the training, "
    "and counts neither validation nor the first step, in which the graph is built. `val` is on the same 48 patches of "
    "validation images after every epoch, of as many patches as there are training images. Test images are predicted "
    "whole, once, at the end: Dice is the mean over "
    "images, IoU is of all pixels, objects are connected parts matched at IoU 0.5, counted over all images. "
    "A start on a CPU, not the limit of any of these networks."
)


class Clock(keras.callbacks.Callback):
    """Warm up over the first tenth of the time, then a cosine to zero; stop when the time is over."""

    def __init__(self, minutes, peak, tick):
        super().__init__()
        self.seconds, self.peak, self.tick, self.steps, self.elapsed = 60 * minutes, peak, tick, 0, 0.0

    def on_train_begin(self, logs=None):
        self.last = self.tick()

    def on_test_begin(self, logs=None):
        self.count()

    def on_test_end(self, logs=None):
        self.last = self.tick()

    def on_train_batch_begin(self, batch, logs=None):
        part = min(1.0, self.elapsed / self.seconds)
        cosine = 0.5 * (1 + math.cos(math.pi * (part - 0.1) / 0.9))
        self.model.optimizer.learning_rate = self.peak * (part / 0.1 if part < 0.1 else cosine)

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        self.count()
        if self.steps == 1:  # what it takes to build the graph is no training
            self.elapsed = 0.0
        self.model.stop_training = self.elapsed >= self.seconds

    def count(self):
        """Add the time since the last look."""
        self.last, before = self.tick(), self.last
        self.elapsed += self.last - before


def separated(labels):
    """Return the mask a network learns: nuclei, without the pixels where two of them touch."""
    return ((labels > 0) & ~dlt.data.borders(labels)).astype("uint8")


def patches(part, batch_size, steps, augmentation, seed):
    """Return training data of one part of the nuclei."""
    images = [dlt.data.nuclei_view(image) for image in part.images]
    masks = [separated(labels) for labels in part.labels]
    return dlt.data.SegmentationPatches(
        images, masks, RECIPE["patch"], batch_size, steps, augmentation, seed, workers=1, max_queue_size=4
    )


def augmentation():
    """Return the joint augmentation of the recipe."""
    light = {"value_range": (0, 1), "dtype": "float32"}
    return dlt.data.JointAugmentation(
        light=[keras.layers.RandomBrightness(0.1, **light), keras.layers.RandomContrast(0.2, **light)], elastic=2.0
    )


def train(network, data, minutes, seed, tick):
    """Return the trained model, its clock and the history."""
    keras.utils.set_random_seed(seed)
    model = dlt.models.create_nuclei_segmenter(network, **(GREY if network == "unet" else {}))
    optimizer = keras.optimizers.AdamW(0.0, weight_decay=RECIPE["weight_decay"], clipnorm=RECIPE["clipnorm"])
    optimizer.exclude_from_weight_decay(var_list=[weight for weight in model.trainable_weights if weight.ndim == 1])
    model.compile(
        optimizer,
        dlt.training.BinaryCrossentropyDice(0.5),
        metrics=[dlt.metrics.DiceCoefficient(), keras.metrics.BinaryIoU(target_class_ids=[1], name="iou")],
    )
    batch_size = RECIPE["batch_size"]
    batches = patches(data["train"], batch_size, len(data["train"].ids) // batch_size, augmentation(), seed)
    held_out = patches(data["validation"], 48, 1, None, 1)[0]
    clock = Clock(minutes, RECIPE["peak_learning_rate"], tick)
    history = model.fit(batches, epochs=10_000, validation_data=held_out, callbacks=[clock], verbose=2).history
    return model, clock, history


def scores(masks, labels):
    """Return what predicted masks of whole images are worth, as a dict that JSON can hold.

    Args:
        masks: List of float arrays of shape `(height, width, 1)`, probabilities.
        labels: List of whole-number arrays of the same shapes.
    """
    iou, total = keras.metrics.BinaryIoU(target_class_ids=[1]), dlt.metrics.ObjectScores()
    dice, precision = [], []
    for mask, truth in zip(masks, labels, strict=True):
        dice.append(float(dlt.metrics.dice_coefficient((truth > 0)[None], mask[None])[0]))
        iou.update_state(truth > 0, mask)
        found = dlt.metrics.object_scores(truth, dlt.predict.objects(mask, min_area=MIN_AREA))
        precision.append(found.average_precision)
        total += found
    return {
        "dice": round(float(np.mean(dice)), 4),
        "iou": round(float(iou.result()), 4),
        "average_precision": round(total.average_precision, 4),
        "average_precision_per_image": round(float(np.mean(precision)), 4),
        "f1": round(total.f1, 4),
        "objects": {"found": total.found, "missed": total.missed, "invented": total.invented},
        "dice_of_each_image": [round(value, 3) for value in dice],
    }


def otsu(image):
    """Return what needs no training: a threshold between the two heaps of grey levels."""
    return (image > skimage.filters.threshold_otsu(image)).astype("float32")


def run(network, path, minutes, seed, clock, out):
    """Train, write the weights, and return what there is to know about the network as a dict that JSON can hold."""
    data = dlt.data.nuclei(path)
    test = [dlt.data.nuclei_view(image) for image in data["test"].images]
    tick = {"wall": time.perf_counter, "cpu": time.process_time}[clock]
    began = time.perf_counter()
    model, counted, history = train(network, data, minutes, seed, tick)
    wall = (time.perf_counter() - began) / 60
    weights = {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}
    safetensors.numpy.save_file(weights, f"{out}.safetensors")  # HDF5 makes half as much again of many small arrays
    steps = len(data["train"].ids) // RECIPE["batch_size"]
    return {
        "network": network,
        "parameters": dlt.measure.parameters(model).total,
        "giga_macs_at_256": round(dlt.measure.macs(model, (256, 256, 1)).total / 1e9, 4),
        "recipe": RECIPE,
        "clock": clock,
        "minutes": minutes,
        "wall_minutes": round(wall, 1),
        "steps": counted.steps,
        "epochs": round(counted.steps / steps, 1),
        "seconds_per_epoch": round(counted.elapsed / counted.steps * steps, 1),
        "test": scores(dlt.predict.padded(model, test), data["test"].labels),
        "otsu": scores([otsu(image) for image in test], data["test"].labels),
        "history": {key: [round(float(value), 4) for value in values] for key, values in history.items()},
    }


def merge(paths, out):
    """Put the results of several runs into one file, and beside it the weights of each network, of the last seed."""
    runs = [json.loads(path.read_text(encoding="utf8")) for path in sorted(paths)]
    command = f"python -m benchmarks.train_nuclei --merge {' '.join(path.name for path in sorted(paths))} --out {out}"
    merged = {"provenance": {**runs[0]["provenance"], "command": command}, "runs": runs}
    out.write_text(json.dumps(merged, indent=1) + "\n", encoding="utf8")
    for path, run in zip(sorted(paths), runs, strict=True):
        shutil.copy(path.with_suffix(".safetensors"), out.with_name(f"nuclei_{run['network']}.safetensors"))


def main():
    """Train as the command line says, and write weights and provenance; or merge what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder or .zip of the nuclei; without it the archive is downloaded")
    parser.add_argument("--network", choices=("unet", "convunext", "acc_unet"), default="unet")
    parser.add_argument("--minutes", type=float, default=15, help="how long to train")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="what the minutes are counted by")
    parser.add_argument("--seed", type=int, default=0, help="of weights and patches; the split is always the same")
    parser.add_argument("--merge", nargs="+", type=pathlib.Path, help="JSON files to put into one")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="where to write, without the extension")
    args = parser.parse_args()
    if args.merge:
        merge(args.merge, args.out)
        return
    result = run(args.network, args.data, args.minutes, args.seed, args.clock, args.out)
    threads = os.environ.get("TF_NUM_INTRAOP_THREADS")
    command = (
        f"{f'TF_NUM_INTRAOP_THREADS={threads} ' if threads else ''}python -m benchmarks.train_nuclei --data DIR_OR_ZIP "
        f"--network {args.network} --minutes {args.minutes:g} --clock {args.clock} --seed {args.seed} "
        f"--out {args.out.name}"
    )
    result["provenance"] = provenance(command, args.seed, NOTE)
    pathlib.Path(f"{args.out}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")
    print(f"{args.out}: {result['test']}")


if __name__ == "__main__":
    main()
