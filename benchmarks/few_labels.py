"""What learning without labels is worth: FCMAE on CIFAR-10, then 1 %, 10 % and all of the labels.

KERAS_BACKEND=torch nice -n 19 python -m benchmarks.few_labels FOLDER --data DIR_OR_ZIP --out few_labels_cpu.json

For ConvNeXt V1 and V2 and each seed, a masked autoencoder learns from all training images, no labels. Then, on each
share of the labels: a randomly initialised network, the autoencoder's encoder fine-tuned, linear probes on frozen
features. Runs that the file already holds are not repeated; encoders wait in FOLDER. Several processes may add to one
file: --kinds and --seeds say which runs are whose.
"""

import argparse
import functools
import itertools
import json
import pathlib
import time

import keras
import numpy as np

import dlt
from benchmarks._channels_last import spare_copies
from benchmarks._precision import policy
from benchmarks._provenance import provenance
from benchmarks._runs import add_run, runs_in
from benchmarks._schedule import warmed_cosine
from benchmarks.cifar10_network import Images, standardise

CLASSES = {"V2": dlt.models.ConvNeXtV2, "V1": dlt.models.ConvNeXtV1}
NETWORK = {"depths": (1, 1, 2), "dims": (32, 64, 128), "input_shape": (32, 32, 3), "patch_size": 2}
PRETRAINING = {"epochs": 12, "batch_size": 128, "rate": 1.5e-3, "weight_decay": 0.05, "decoder_width": 128}
SHARES = {500: (100, 50), 5_000: (30, 100), 50_000: (5, 125)}  # labels: epochs, images in a batch
RATE, DECAY = 2e-3, 0.7  # of a training with labels; how much less each earlier stage learns
LONGER = 3  # times as many epochs, for a network that has had no pre-training
SEEDS = (0, 1, 2)
RIDGES = 10.0 ** np.arange(-3, 5)
NOTE = (
    "{done} of {planned} runs. CIFAR-10 in JPEG copies; the images of a share are the same for all methods of a seed, "
    "as many of each class. Trainings of a share have the same number of steps, rates and augmentation (shifts, "
    "mirroring), but for `longer`, which has three times as many steps; nothing was chosen by the test images, which "
    "each run looked at once, at its end. `decay`: layer-wise "
    "decay of the learning rate, from stage to stage. Probes: ridge regression on averaged features of the last stage, "
    "its penalty chosen on a fifth of the share. `dtype`: runs without it were in mixed_bfloat16; where the "
    "processor is slow at that, in float32. One core of a shared machine: seconds are no benchmark."
)


class Unlabelled(Images):
    """The same batches without labels."""

    def __getitem__(self, index):
        return super().__getitem__(index)[0]


def schedule(peak, steps):
    """Return a warm-up of a tenth of the steps, then a cosine."""
    return warmed_cosine(peak, steps, steps // 10)


def group(variable):
    """Return the stage of a weight: 0 for the stem, then 1, 2, ... and the head last."""
    name, *_ = variable.path.split("/")
    digits = [int(part) for part in name.split("_") if part.isdigit()]
    return 0 if name.startswith("stem") else digits[0] + 1 if digits else len(NETWORK["dims"]) + 1


def adamw(model, peak, steps, decay=1.0):
    """Return AdamW for a model, one for each stage, the earlier the slower."""
    optimizers = []
    for depth in range(len(NETWORK["dims"]) + 2):
        rate = schedule(peak * decay ** (len(NETWORK["dims"]) + 1 - depth), steps)
        optimizers.append(keras.optimizers.AdamW(rate, weight_decay=0.05))
        vectors = [weight for weight in model.trainable_weights if group(weight) == depth and weight.ndim == 1]
        optimizers[-1].exclude_from_weight_decay(var_list=vectors)
    return keras.optimizers.MultiOptimizer(lambda variable: optimizers[group(variable)])


def fit(model, batches, epochs, **compiled):
    """Train, and return the loss of each epoch."""
    model.compile(**compiled, jit_compile=keras.backend.backend() == "jax")
    history = model.fit(batches, epochs=epochs, verbose=0, shuffle=False).history
    return [round(float(value), 4) for value in history["loss"]]


def encoder(kind, seed):
    """Return a randomly initialised encoder."""
    keras.utils.set_random_seed(seed)
    return CLASSES[kind](**NETWORK, include_top=False, dtype=policy())


def pretrained(kind, seed, images, folder):
    """Return an encoder that a masked autoencoder trained, and what is to be said of that training."""
    network, path = encoder(kind, seed), folder / f"{kind}_{seed}.weights.h5"
    told = path.with_suffix(".json")
    if told.exists():
        network.load_weights(path)
        return network, json.loads(told.read_text())
    keys = PRETRAINING
    model = dlt.models.MaskedAutoencoder(network, decoder_width=keys["decoder_width"], seed=seed)
    steps = len(images) // keys["batch_size"]
    batches = Unlabelled(images, np.zeros(len(images), "int64"), keys["batch_size"], steps, seed, None)
    rate = schedule(keys["rate"], steps * keys["epochs"])
    optimizer = keras.optimizers.AdamW(rate, weight_decay=keys["weight_decay"])
    optimizer.exclude_from_weight_decay(var_list=[weight for weight in model.trainable_weights if weight.ndim == 1])
    losses = fit(model, batches, keys["epochs"], optimizer=optimizer)
    network.save_weights(path)
    told.write_text(json.dumps(losses))
    return network, losses


def classifier(kind, seed, body=None):
    """Return a classifier, randomly initialised but for what comes from an encoder."""
    keras.utils.set_random_seed(1000 + seed)
    model = CLASSES[kind](**NETWORK, num_classes=10, dtype=policy())
    if body is not None:
        dlt.convert.load_weights(model, body, skip=("head",))
    return model


def accuracy(logits, labels):
    """Return the share of right answers."""
    return float(np.mean(np.argmax(logits, axis=1) == labels))


def train(model, images, labels, decay, seed, test, longer=1):
    """Train a classifier and return its test accuracy, and the losses."""
    epochs, batch_size = SHARES[len(images)]
    epochs *= longer
    steps = len(images) // batch_size
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    optimizer = adamw(model, RATE, steps * epochs, decay)
    losses = fit(model, Images(images, labels, batch_size, steps, seed, None), epochs, optimizer=optimizer, loss=loss)
    logits = model.predict(standardise(test[0]), batch_size=500, verbose=0)
    return accuracy(logits, test[1]), losses


def features(network, images):
    """Return the averaged features of images, with a constant one."""
    maps = np.concatenate(
        [network.predict_on_batch(standardise(images[i : i + 500])) for i in range(0, len(images), 500)]
    )
    pooled = np.asarray(maps, "float32").mean((1, 2))
    return (pooled - pooled.mean(0)) / (pooled.std(0) + 1e-6)


def pixels(images):
    """Return the grey levels of images of 8 x 8 pixels: a probe that needs no network."""
    small = images.reshape(len(images), 8, 4, 8, 4, 3).mean((2, 4)).reshape(len(images), -1)
    return (small - small.mean(0)) / small.std(0)


def probe(known, labels, unknown, truth):
    """Return the test accuracy of ridge regression, its penalty chosen on a fifth of what is known."""
    x, z = (np.pad(one, ((0, 0), (0, 1)), constant_values=1.0).astype("float64") for one in (known, unknown))
    y, held = np.eye(10)[labels], np.arange(len(x)) % 5 == 0

    def answers(rows, penalty, asked):
        f = x[rows]
        return asked @ np.linalg.solve(f.T @ f + penalty * np.eye(f.shape[1]), f.T @ y[rows])

    best = max(RIDGES, key=lambda penalty: accuracy(answers(~held, penalty, x[held]), labels[held]))
    return accuracy(answers(slice(None), best, z), truth)


def diversity(network, images):
    """Return cosine distance, participation ratio and share of dead channels of each block, after its GELU."""
    blocks = [layer for layer in network.layers if hasattr(layer, "branch")]
    x = keras.Model(network.input, [block.input for block in blocks]).predict_on_batch(standardise(images))
    found = []
    for block, y in zip(blocks, x, strict=True):
        for layer in block.branch[:4]:  # depthwise, norm, expand, gelu
            y = layer(y)
        one = dlt.measure.channel_diversity(keras.ops.cast(y, "float32"))
        found.append([round(one.distance, 4), round(one.participation_ratio, 2), round(one.dead, 4)])
    return found


PROBES = ("FCMAE, probe", "random, probe", "pixels, probe")
TRAININGS = (("from scratch", 1.0), ("FCMAE, fine-tuned", 1.0))
METHODS = (*((name, 1.0) for name in PROBES), *TRAININGS)
MAIN = [(0, "FCMAE", 1.0), *((count, *method) for count, method in itertools.product(SHARES, METHODS))]
CONTROLS = (("from scratch, longer", 1.0), ("FCMAE, fine-tuned", DECAY))
CONTROLS = [(count, *method) for method, count in itertools.product(CONTROLS, SHARES)]
PLAN = {"V2": MAIN + CONTROLS, "V1": MAIN}  # the questions of the controls are asked of one architecture


class Study:
    """All runs of one architecture and one seed; what several of them need is made once."""

    def __init__(self, kind, seed, train_part, test, folder):
        self.kind, self.seed, self.folder = kind, seed, folder
        (self.images, self.labels), self.test = train_part, test

    @functools.cached_property
    def taught(self):
        """The encoder of the masked autoencoder, and its losses."""
        return pretrained(self.kind, self.seed, self.images, self.folder)

    @functools.cached_property
    def seen(self):
        """Features of all images, for each probe."""
        networks = dict(zip(PROBES, (self.taught[0], encoder(self.kind, self.seed)), strict=False))
        found = {name: [features(one, x) for x in (self.images, self.test[0])] for name, one in networks.items()}
        return found | {PROBES[-1]: [pixels(x.astype("float32")) for x in (self.images, self.test[0])]}

    def share(self, count):
        """Return the indices of a share of the labels, as many of each class."""
        rng = np.random.default_rng((self.seed, count))
        each = [rng.permutation(np.flatnonzero(self.labels == k))[: count // 10] for k in range(10)]
        return rng.permutation(np.concatenate(each))

    def run(self, count, method, decay):
        """Return what came out of one run, as a dict that JSON can hold."""
        if count == 0:
            network, losses = self.taught
            random = diversity(encoder(self.kind, self.seed), self.test[0][:500])
            return {"loss": losses, "diversity": diversity(network, self.test[0][:500]), "diversity_random": random}
        chosen = self.share(count)
        if method in PROBES:
            x, z = self.seen[method]
            return {"test": probe(x[chosen], self.labels[chosen], z, self.test[1])}
        model = classifier(self.kind, self.seed, None if method.startswith("from scratch") else self.taught[0])
        longer = LONGER if method.endswith("longer") else 1
        tested, losses = train(model, self.images[chosen], self.labels[chosen], decay, self.seed, self.test, longer)
        return {"test": tested, "loss": losses, "diversity": diversity(model, self.test[0][:500])}


def described(out, runs):
    """Return everything known so far."""
    model = classifier("V2", 0)
    planned = len(SEEDS) * sum(map(len, PLAN.values()))
    return {
        "network": NETWORK,
        "parameters": dlt.measure.parameters(model).total,
        "mega_macs": dlt.measure.macs(model).total / 1e6,
        "pretraining": PRETRAINING,
        "shares": {str(count): dict(zip(("epochs", "batch_size"), how, strict=True)) for count, how in SHARES.items()},
        "rate": RATE,
        "runs": sorted(runs, key=lambda run: (run["kind"], run["seed"], run["labels"], run["method"], run["decay"])),
        "provenance": provenance(
            f"python -m benchmarks.few_labels FOLDER --data DIR_OR_ZIP --out {out.name}",
            sorted({run["seed"] for run in runs}),
            NOTE.format(done=len(runs), planned=planned),
        ),
    }


def main():
    """Do what the file does not hold yet, and add it after each run."""
    spare_copies()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="for the encoders")
    parser.add_argument("--data", help="folder or .zip of the images; without it the original is downloaded")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--kinds", nargs="+", default=list(CLASSES), choices=CLASSES)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    train_part, test = dlt.data.cifar10(args.data)
    studies = {each: Study(*each, train_part, test, args.folder) for each in itertools.product(args.kinds, args.seeds)}
    for part, seed, kind in itertools.product((MAIN, CONTROLS), args.seeds, args.kinds):
        for task in (one for one in part if one in PLAN[kind]):
            name = dict(zip(("kind", "seed", "labels", "method", "decay"), (kind, seed, *task), strict=True))
            if not any(name.items() <= run.items() for run in runs_in(args.out)):
                began = time.perf_counter()
                result = name | studies[kind, seed].run(*task)
                result["dtype"], result["seconds"] = policy(), round(time.perf_counter() - began)
                add_run(args.out, result, lambda runs: described(args.out, runs))
                print({key: value for key, value in result.items() if "diversity" not in key}, flush=True)


if __name__ == "__main__":
    main()
