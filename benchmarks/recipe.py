"""What each ingredient of ConvNeXt's training recipe does to a small ConvNeXt V2 on part of CIFAR-10.

python -m benchmarks.recipe --data DIR_OR_ZIP --out dlt/assets/cifar10_recipe_cpu.json
python -m benchmarks.recipe --data DIR_OR_ZIP --epochs 160 --recipes baseline "full recipe" --out ...

Runs that the file already holds are not repeated.
"""

import argparse
import json
import pathlib
import time

import keras
import numpy as np

import dlt
from benchmarks._cifar10 import Augmented, standardiser
from benchmarks._provenance import provenance
from benchmarks._schedule import warmed_cosine

NETWORK = {"depths": (1, 1, 1), "dims": (32, 64, 128), "num_classes": 10, "input_shape": (32, 32, 3), "patch_size": 4}
TRAIN_IMAGES, BATCH_SIZE, EPOCHS = 10_000, 128, 16
BASELINE = {
    "peak_learning_rate": 4e-3,
    "schedule": "warm-up, cosine",
    "weight_decay": 0.05,
    "exclude_1d_from_decay": True,
    "shift_and_mirror": True,
    "rand_augment": False,
    "mix": [],
    "label_smoothing": 0.0,
    "ema_momentum": None,
}
EVERYTHING = {"rand_augment": True, "mix": ["MixUp", "CutMix"], "label_smoothing": 0.1, "ema_momentum": 0.99}
RECIPES = {  # name: what it changes of the baseline; the slow ones last
    "baseline": {},
    "constant rate, no warm-up": {"schedule": "constant"},
    "no shifts, no mirroring": {"shift_and_mirror": False},
    "MixUp": {"mix": ["MixUp"]},
    "CutMix": {"mix": ["CutMix"]},
    "label smoothing": {"label_smoothing": 0.1},
    "EMA": {"ema_momentum": 0.99},
    "decay on every weight": {"exclude_1d_from_decay": False},
    "no weight decay": {"weight_decay": 0.0},
    "constant rate, no warm-up, EMA": {"schedule": "constant", "ema_momentum": 0.99},
    "RandAugment": {"rand_augment": True},
    "full recipe": EVERYTHING,
}
LAYERS = {  # name: Keras's layer and its arguments; alpha of both mixes as in the recipe of ConvNeXt
    "RandAugment": (keras.layers.RandAugment, {"value_range": (0, 255), "num_ops": 1, "factor": 0.1}),
    "MixUp": (keras.layers.MixUp, {"alpha": 0.8}),
    "CutMix": (keras.layers.CutMix, {"factor": (1.0, 1.0)}),
}
NOTE = (
    "{done} runs done, {missing} planned and not done for want of time. "
    "CPU runs on a machine shared with other work: `seconds` are not comparable. "
    f"The first {TRAIN_IMAGES:,} training images of one permutation, the same for all runs, and all test images, "
    "which each run looked at once, at its end; nothing was chosen by them. Every run of a seed starts from the same "
    "weights and sees the images in the same order. The images are JPEG copies of CIFAR-10, not its original pixels. "
    "Keras draws the operation of RandAugment once for a whole batch; where there are two mixes, each batch takes one."
)


def layer(name, seed):
    """Return one of Keras's augmentation layers."""
    kind, arguments = LAYERS[name]
    return kind(**arguments, seed=seed)


def batches(x, y, recipe, seed):
    """Return the training batches of a recipe."""
    first = ["RandAugment"] if recipe["rand_augment"] else []
    chains = [[*first, mix] for mix in recipe["mix"]] or [first]
    chains = [[layer(name, seed) for name in chain] for chain in chains]
    return Augmented(x, y, standardiser(x), BATCH_SIZE, seed, recipe["shift_and_mirror"], chains=chains)


def optimizer(recipe, model, steps):
    """Return AdamW as the recipe wants it for a training of this many steps."""
    rate = peak = recipe["peak_learning_rate"]
    if recipe["schedule"] != "constant":
        warmup = steps // 8
        rate = warmed_cosine(peak, steps, warmup)
    ema = recipe["ema_momentum"]
    average = {} if ema is None else {"use_ema": True, "ema_momentum": ema}
    adamw = keras.optimizers.AdamW(rate, weight_decay=recipe["weight_decay"], **average)
    if recipe["exclude_1d_from_decay"]:
        adamw.exclude_from_weight_decay(var_list=[w for w in model.trainable_weights if len(w.shape) == 1])
    return adamw


def run(name, seed, epochs, train, test):
    """Train one recipe and return what came out, as a dict that JSON can hold."""
    recipe, start = BASELINE | RECIPES[name], time.perf_counter()
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    model = dlt.models.ConvNeXtV2(**NETWORK)
    data = batches(*train, recipe, seed)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe["label_smoothing"])
    metrics = [keras.metrics.CategoricalAccuracy("accuracy")]
    model.compile(optimizer(recipe, model, epochs * len(data)), loss, metrics=metrics)
    history = model.fit(data, epochs=epochs, verbose=0).history  # with EMA, `fit` leaves the average in the weights
    logits = model.predict(standardiser(train[0])(test[0]), batch_size=500, verbose=0)
    cross_entropy = keras.losses.CategoricalCrossentropy(from_logits=True)(test[1], logits)
    return {
        "recipe": name,
        "change": RECIPES[name],
        "seed": seed,
        "test_accuracy": float(np.mean(logits.argmax(1) == test[1].argmax(1))),
        "test_cross_entropy": round(float(cross_entropy), 4),  # against the true labels, without smoothing
        "history": {key: [round(value, 4) for value in values] for key, values in history.items()},
        "seconds": round(time.perf_counter() - start),
    }


def main():
    """Run what the command line asks for, and write the file after each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder or .zip of the images; without it the original is downloaded")
    parser.add_argument("--seeds", type=int, default=2, help="how many trainings per recipe")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="how long each training is")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=RECIPES, help="which; all if not given")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no run after these")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    start = time.perf_counter()
    (x, y), (x_test, y_test) = dlt.data.cifar10(args.data)
    kept = np.random.default_rng(0).permutation(len(x))[:TRAIN_IMAGES]
    one_hot = np.eye(10, dtype="float32")
    train, test = (x[kept], one_hot[y[kept]]), (x_test, one_hot[y_test])
    before = json.loads(args.out.read_text(encoding="utf8")) if args.out.exists() else None
    if before and before["training"]["epochs"] != args.epochs:
        parser.error(f"{args.out} holds trainings of {before['training']['epochs']} epochs: name another file")
    runs = before["runs"] if before else []
    planned = [(name, seed) for seed in range(args.seeds) for name in args.recipes]
    planned.sort(key=lambda run: run[0] != "baseline")  # all its seeds first: their spread is the scale for the rest
    for name, seed in planned:
        if any((run["recipe"], run["seed"]) == (name, seed) for run in runs):
            continue
        if time.perf_counter() - start > 60 * args.minutes:
            break
        runs.append(run(name, seed, args.epochs, train, test))
        write(args.out, runs, planned, args)
        print(f"{name}, seed {seed}: {runs[-1]['test_accuracy']:.3f} in {runs[-1]['seconds']} s", flush=True)
    write(args.out, runs, planned, args)


def write(out, runs, planned, args):
    """Write everything known so far, in one stroke."""
    model = dlt.models.ConvNeXtV2(**NETWORK)
    steps = TRAIN_IMAGES // BATCH_SIZE * args.epochs
    done = [(run["recipe"], run["seed"]) for run in runs]
    missing = [f"{name}, seed {seed}" for name, seed in planned if (name, seed) not in done]
    result = {
        "network": {"class": "dlt.models.ConvNeXtV2", **NETWORK},
        "parameters": dlt.measure.parameters(model).total,
        "mega_macs": dlt.measure.macs(model).total / 1e6,
        "training": {"images": TRAIN_IMAGES, "batch_size": BATCH_SIZE, "epochs": args.epochs, "steps": steps}
        | {"warmup_steps": steps // 8},
        "test_images": 10_000,
        "baseline": BASELINE,
        "layers": {name: arguments for name, (_, arguments) in LAYERS.items()},
        "runs": runs,
        "missing": missing,
        "provenance": provenance(
            f"python -m benchmarks.recipe --data DIR_OR_ZIP --epochs {args.epochs} --seeds {args.seeds} "
            f"--recipes {' '.join(map(repr, args.recipes))} --out {out.name}",
            list(range(args.seeds)),
            NOTE.format(done=len(runs), missing=len(missing)),
        ),
    }
    partial = out.with_suffix(".part")
    partial.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")
    partial.replace(out)


if __name__ == "__main__":
    main()
