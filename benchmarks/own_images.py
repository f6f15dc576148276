"""Transfer learning on a few hundred small pictures, over several seeds: what chapter 12 does once.

KERAS_BACKEND=torch python -m benchmarks.own_images --out dlt/assets/own_images_cpu.json

What the file already holds is not run again.
"""

import argparse
import functools
import itertools
import json
import pathlib
import tempfile
import time

import keras
import numpy as np
from keras.ops import convert_to_numpy as to_numpy
from PIL import Image

import dlt
from benchmarks._channels_last import spare_copies
from benchmarks._provenance import provenance
from benchmarks._schedule import warmed_cosine

SIDE, STEPS, BATCH, SHARES = 32, 90, 32, (1.0, 0.25)
LONGER = 6  # times the steps, for a second training from scratch, on all pictures only
LONG = f"from scratch, {LONGER} times the steps"
MEAN, DEVIATION = (255 * np.array(three) for three in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
DECAY = 0.85  # of the learning rate, for each layer nearer to the image
NOTE = (
    "Each seed draws 160 of the 199 training images anew, 40 of which are the 25 %, and a new head. The settings were "
    "chosen on crops of the others, with other seeds, but for the longer training from scratch, which has the "
    "settings of the shorter one and was run on all pictures only. All that know something start from one and the same "
    "pretraining. Tested on all test crops."
)


def schedule(peak, steps):
    """Return a warm-up of a tenth of the steps, then a cosine."""
    return warmed_cosine(peak, steps, steps // 10)


def layerwise(backbone, peak, steps):
    """Return an Adam for each layer of a backbone, `DECAY` slower per layer to the image, and one for all others."""
    order = [layer.name for layer in backbone.layers if layer.weights]
    rates = {name: peak * DECAY ** (len(order) - i) for i, name in enumerate(order)}
    slower = {f"{name}/.*": keras.optimizers.Adam(schedule(rate, steps)) for name, rate in rates.items()}
    others = keras.optimizers.Adam(schedule(peak, steps))
    return keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(others, slower))


def read(part):
    """Return images, labels and ids of one part."""
    with tempfile.TemporaryDirectory() as folder:
        files = sorted((dlt.data.clumps(folder) / part).glob("*/*.jpg"))
        pictures = [Image.open(file).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR) for file in files]
        images = np.stack([np.asarray(picture) for picture in pictures])
    labels = np.array([dlt.data.CLUMP_CLASSES.index(file.parent.name) for file in files])
    ids = np.array([file.name[:8] for file in files])
    return images.astype("float32"), labels, ids


def network(pretrained, seed):
    """Return a classifier of images from 0 to 255, and its backbone."""
    keras.utils.set_random_seed(seed)
    backbone = dlt.models.create_cifar10_classifier(pretrained, include_top=False, input_shape=(None, None, 3))
    image = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.RandomFlip(seed=seed)(image)
    x = keras.layers.RandomRotation(0.5, "reflect", seed=seed)(x)
    x = keras.layers.Normalization(mean=MEAN, variance=DEVIATION**2)(x)
    x = keras.layers.GlobalAveragePooling2D()(backbone(x))
    x = keras.layers.LayerNormalization(epsilon=1e-6, name="head_norm")(x)
    return keras.Model(image, keras.layers.Dense(len(dlt.data.CLUMP_CLASSES), name="head")(x)), backbone


def compiled(model, rate, steps=STEPS, backbone=None):
    """Compile with Adam, layer by layer where the backbone is given; return the model and its number of steps."""
    optimizer = layerwise(backbone, rate, steps) if backbone else keras.optimizers.Adam(schedule(rate, steps))
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    optimizer.build(model.trainable_variables)
    return model, steps


class Batches(keras.utils.PyDataset):
    """Batches drawn at random, for one epoch."""

    def __init__(self, images, labels, seed, steps):
        super().__init__()
        self.images, self.labels, self.seed, self.steps = images, labels, seed, steps

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        chosen = np.random.default_rng((self.seed, index)).integers(len(self.images), size=BATCH)
        return self.images[chosen], self.labels[chosen]


def features(backbone, images):
    """Return the mean over each map, normalised."""
    maps = [to_numpy(backbone((part - MEAN) / DEVIATION)) for part in np.array_split(images, len(images) // 64)]
    means = np.concatenate(maps).mean(axis=(1, 2))
    return (means - means.mean(1, keepdims=True)) / np.sqrt(means.var(1, keepdims=True) + 1e-6)


def train_head(found, labels, seed):
    """Return kernel and bias of a head on features that stay as they are."""
    keras.utils.set_random_seed(seed)
    head = keras.Sequential([keras.layers.Dense(len(dlt.data.CLUMP_CLASSES))])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    head.compile(keras.optimizers.AdamW(3e-3, weight_decay=0.05), loss)
    head.fit(found, labels, batch_size=BATCH, epochs=max(1, 40 * 18 * BATCH // len(found)), verbose=0)
    return [to_numpy(weight) for weight in head.weights]


def main():
    """Run all, and write the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    spare_copies()
    parts, (kinds, known) = (read("train"), read("test")[:2]), networks()
    found = [features(known, part[0]) for part in parts]
    stored = {"pictures": {}, "accuracy": {}, "cpu_seconds": 0, "provenance": {"seed": []}}
    if args.out.exists():
        stored = json.loads(args.out.read_text())
    seeds = list(dict.fromkeys([*stored["provenance"]["seed"], *args.seeds]))
    for share, (place, seed) in itertools.product(SHARES, enumerate(seeds)):
        chosen, key = drawn(parts[0][2], seed, share), "all" if share == 1 else f"{share:.0%}"
        counts, rates = stored["pictures"].setdefault(key, []), stored["accuracy"].setdefault(key, {})
        if len(counts) == place:
            counts.append(int(chosen.sum()))
        for name, train in arms(parts, found, chosen, kinds, seed).items():
            if name == LONG and share < 1:
                continue
            if len(rates.setdefault(name, [])) == place:
                begun = time.process_time()
                rates[name].append(round(float(np.mean(train().argmax(1) == parts[1][1])), 4))
                stored["cpu_seconds"] = round(stored["cpu_seconds"] + time.process_time() - begun)
                write(args.out, stored, seeds[: max(place + 1, len(stored["provenance"]["seed"]))])
                print(seed, key, name, rates[name][-1], stored["cpu_seconds"], flush=True)


def write(path, stored, seeds):
    """Write what is known so far."""
    command = f"KERAS_BACKEND=torch python -m benchmarks.own_images --seeds {' '.join(map(str, seeds))} --out OUT"
    settings = {"side": SIDE, "steps": STEPS, "longer": LONGER, "batch_size": BATCH, "layerwise_decay": DECAY}
    stored |= {"settings": settings, "provenance": provenance(command, seeds, NOTE)}
    keys = ("settings", "pictures", "accuracy", "cpu_seconds", "provenance")
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps({key: stored[key] for key in keys}, indent=1) + "\n", encoding="utf8")
    partial.replace(path)


def networks():
    """Return the networks to train, each with its steps, and the pretrained backbone as it was."""
    (plain, known), (faster, _), (tuned, body) = (network("cifar10", 0) for _ in range(3))
    kinds = {
        "fine-tuned, 3e-4": compiled(plain, 3e-4),
        "fine-tuned, 1e-3": compiled(faster, 1e-3),
        "layer-wise, 1e-3": compiled(tuned, 1e-3, backbone=body),
        "from scratch": compiled(network(None, 0)[0], 2e-3),
        LONG: compiled(network(None, 0)[0], 2e-3, LONGER * STEPS),
    }
    return {name: (*kind, values_of(kind[0])) for name, kind in kinds.items()}, known


def drawn(ids, seed, share):
    """Return which crops a seed trains on: those of a share of its 160 images."""
    order = np.random.default_rng(seed).permutation(np.unique(ids))[:160]
    return np.isin(ids, order[: round(share * len(order))])


def arms(parts, found, chosen, kinds, seed):
    """Return a dict from the name of a training on the chosen crops to a function that does it and returns logits."""
    (images, labels, _), (test_images, _) = parts

    @functools.cache
    def head():
        return train_head(found[0][chosen], labels[chosen], seed)

    def head_only():
        return found[1] @ head()[0] + head()[1]

    def random_features():
        backbone = network(None, 100 + seed)[1]
        kernel, bias = train_head(features(backbone, images[chosen]), labels[chosen], seed)
        return features(backbone, test_images) @ kernel + bias

    def whole(name):
        model, steps, known = kinds[name]
        scratch = name.startswith("from scratch")
        set_weights(model, values_of(network(None, 100 + seed)[0]) if scratch else [*known[:-2], *head()])
        for variable in model.optimizer.variables:
            variable.assign(keras.ops.zeros_like(variable))
        model.fit(Batches(images[chosen], labels[chosen], seed, steps), verbose=0)
        return model.predict(test_images, batch_size=128, verbose=0)

    trained = {name: functools.partial(whole, name) for name in kinds}
    return {"head only": head_only, "head only, random weights": random_features} | trained


def values_of(model):
    """Return the values of all weights that a training changes."""
    return [to_numpy(weight) for weight in model.trainable_weights]


def set_weights(model, values):
    """Give a model the weights that count, its own means and states left alone."""
    for weight, value in zip(model.trainable_weights, values, strict=True):
        weight.assign(value)


if __name__ == "__main__":
    main()
