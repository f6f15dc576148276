"""Transfer learning on a few hundred small pictures, over several seeds: what chapter 12 does once.

KERAS_BACKEND=torch python -m benchmarks.own_images --out dlt/assets/own_images_cpu.json
"""

import argparse
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

SIDE, STEPS, BATCH, SHARES = 32, 90, 32, (1.0, 0.25)
MEAN, DEVIATION = (255 * np.array(three) for three in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
DECAY = 0.85  # of the learning rate, for each layer nearer to the image
NOTE = (
    "Each seed draws 160 of the 199 training images anew, 40 of which are the 25 %, and a new head. All runs have "
    "the same number of steps; the settings were chosen on crops of the others, with other seeds. Tested on "
    "all test crops."
)


class LayerwiseAdam(keras.optimizers.Adam):
    """Adam with a learning rate for each weight: the common one times `factor(path)`."""

    def __init__(self, *args, factor, **kwargs):
        super().__init__(*args, **kwargs)
        self.factor = factor

    def update_step(self, gradient, variable, learning_rate):
        path = self._trainable_variables[self._get_variable_index(variable)].path
        super().update_step(gradient, variable, learning_rate * self.factor(path))


def layerwise(backbone):
    """Return a function from a weight's path to its share of the learning rate: `DECAY` less per layer to the image."""
    order = [layer.name for layer in backbone.layers if layer.weights]

    def factor(path):
        at = [i for i, name in enumerate(order) if path.startswith(f"{name}/")]
        return DECAY ** (len(order) - at[0]) if at else 1.0

    return factor


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


def compiled(model, rate, steps, factor=None):
    """Compile with a warm-up of a tenth and a cosine."""
    warm_up = steps // 10
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps - warm_up, warmup_target=rate, warmup_steps=warm_up)
    optimizer = LayerwiseAdam(rate, factor=factor or (lambda path: 1.0))
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    optimizer.build(model.trainable_variables)
    return model


class Batches(keras.utils.PyDataset):
    """Batches drawn at random, for one epoch of `STEPS`."""

    def __init__(self, images, labels, seed):
        super().__init__()
        self.images, self.labels, self.seed = images, labels, seed

    def __len__(self):
        return STEPS

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
    begun = time.process_time()
    (images, labels, ids), (test_images, test_labels, _) = read("train"), read("test")
    plain, known = network("cifar10", 0)
    faster, (tuned, body) = network("cifar10", 0)[0], network("cifar10", 0)
    kinds = {
        "fine-tuned, 3e-4": compiled(plain, 3e-4, STEPS),
        "fine-tuned, 1e-3": compiled(faster, 1e-3, STEPS),
        "fine-tuned, layer-wise from 1e-3": compiled(tuned, 1e-3, STEPS, layerwise(body)),
        "from scratch": compiled(network(None, 0)[0], 2e-3, STEPS),
    }
    found, test_found = features(known, images), features(known, test_images)
    known_weights, table, pictures = values_of(plain), {}, {}

    def accuracy(logits):
        return round(float(np.mean(logits.argmax(1) == test_labels)), 4)

    command = f"KERAS_BACKEND=torch python -m benchmarks.own_images --seeds {' '.join(map(str, args.seeds))} --out OUT"
    for seed in args.seeds:
        drawn = np.random.default_rng(seed).permutation(np.unique(ids))[:160]
        for share in SHARES:
            chosen = np.isin(ids, drawn[: round(share * len(drawn))])
            row = table.setdefault("all" if share == 1 else f"{share:.0%}", {})
            pictures.setdefault("all" if share == 1 else f"{share:.0%}", []).append(int(chosen.sum()))
            head = train_head(found[chosen], labels[chosen], seed)
            row.setdefault("head only", []).append(accuracy(test_found @ head[0] + head[1]))
            randomly, other = network(None, 100 + seed)
            random_head = train_head(features(other, images[chosen]), labels[chosen], seed)
            logits = features(other, test_images) @ random_head[0] + random_head[1]
            row.setdefault("head only, random weights", []).append(accuracy(logits))
            for name, model in kinds.items():
                start = values_of(randomly) if name == "from scratch" else [*known_weights[:-2], *head]
                set_weights(model, start)
                for variable in model.optimizer.variables:
                    variable.assign(keras.ops.zeros_like(variable))
                model.fit(Batches(images[chosen], labels[chosen], seed), verbose=0)
                row.setdefault(name, []).append(accuracy(model.predict(test_images, batch_size=128, verbose=0)))
            print(seed, share, {name: values[-1] for name, values in row.items()}, flush=True)
        result = {
            "settings": {"side": SIDE, "steps": STEPS, "batch_size": BATCH, "layerwise_decay": DECAY},
            "pictures": pictures,
            "accuracy": table,
            "cpu_seconds": round(time.process_time() - begun),
            "provenance": provenance(command, args.seeds, NOTE),
        }
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")


def values_of(model):
    """Return the values of all weights that a training changes."""
    return [to_numpy(weight) for weight in model.trainable_weights]


def set_weights(model, values):
    """Give a model the weights that count, its own means and states left alone."""
    for weight, value in zip(model.trainable_weights, values, strict=True):
        weight.assign(value)


if __name__ == "__main__":
    main()
