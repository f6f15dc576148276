"""U-Net, ConvUNext and ACC-UNet find nuclei: one recipe, equal time on one core, several seeds.

KERAS_BACKEND=torch OMP_NUM_THREADS=1 python -m benchmarks.nuclei_networks --data DIR_OR_ZIP --out OUT.json

How many steps a network gets follows from the CPU seconds of one of its steps, measured once for all of its seeds. Runs
that the file already holds are not repeated; several processes may add to one file: see --seeds.
"""

import argparse
import itertools
import pathlib
import statistics
import time

import keras
import numpy as np

import dlt
from benchmarks._channels_last import spare_copies
from benchmarks._precision import policy
from benchmarks._provenance import provenance
from benchmarks._runs import add_run, runs_in
from benchmarks.nuclei_segmenter import NETWORKS, augmented, compiled, targets
from benchmarks.nuclei_shipped import MIN_AREA, scores
from dlt.predict.nuclei import CONFIDENCE, maps_of

MINUTES = 10  # of one core, for each training
SETTINGS = {"batch_size": 8, "patch": 128, "rate": 2e-3, "ema": 0.99}
TIMED = 15  # steps
NOTE = (
    "{minutes} CPU minutes of one thread for each training: `steps` follows from the seconds of a step, the median of "
    "{timed}, measured before the first training of a network. Recipe of benchmarks/nuclei_segmenter.py, with its "
    "warm-up over a tenth of the steps. All 80 test images of DSB-2018 stage 1 (split by image, seed 0), each whole, "
    "averaged weights of the last step, seeded watershed; nothing was chosen by them. Runs of a seed see the same "
    "patches, for as long as they last."
)


class Patches:
    """Makes the batches of each training from images that are prepared once."""

    def __init__(self, part):
        self.images = [dlt.data.nuclei_view(image, color=True) for image in part.images]
        self.targets = [targets(labels) for labels in part.labels]
        self.weights = np.sqrt([len(np.unique(labels)) - 1 for labels in part.labels])

    def __call__(self, steps, seed):
        """Return that many batches."""
        return dlt.data.SegmentationPatches(
            self.images, self.targets, SETTINGS["patch"], SETTINGS["batch_size"], steps, augmented, seed,
            weights=self.weights, zoom=(0.5, 2),
        )  # fmt: skip


def network(name, seed, steps):
    """Return a compiled network."""
    keras.backend.clear_session()
    return compiled(
        SETTINGS | {"dtype": policy(), "network": name, "seed": seed, "steps": steps, "warm_up": steps // 10}
    )


def seconds_per_step(name, patches):
    """Return the CPU seconds of a training step, batch included."""
    model, batches, taken = network(name, 0, 100), patches(TIMED, 0), []
    for index in range(TIMED):
        began = time.process_time()
        model.train_on_batch(*batches[index])
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def run(name, seed, steps, patches, test):
    """Train one network and return what came out, as a dict that JSON can hold."""
    began, model = time.process_time(), network(name, seed, steps)
    model.fit(patches(steps, seed), epochs=1, verbose=0, shuffle=False)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    minutes = (time.process_time() - began) / 60
    precise = dlt.models.create_nuclei_segmenter(name, dtype="float32", **NETWORKS[name])
    precise.set_weights(model.get_weights())
    pairs = []
    for image in test.images:
        maps = maps_of(image, precise)
        found = dlt.predict.objects(maps, min_area=MIN_AREA, method="watershed", confidence=CONFIDENCE)
        pairs.append((maps[..., :1], found))
    return {
        "network": name,
        "seed": seed,
        "dtype": policy(),
        "steps": steps,
        "cpu_minutes": round(minutes, 1),
        "parameters": dlt.measure.parameters(precise).total,
        "macs_per_pixel": dlt.measure.macs(precise, (256, 256, 3)).total / 2**16,
        **scores(pairs, test.labels),
    }


def main():
    """Run what the file does not hold yet, and add it after each run."""
    spare_copies()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder or .zip of the nuclei; without it the archive is downloaded")
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of one core, for each training")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    parts = dlt.data.nuclei(args.data)
    patches = Patches(parts["train"])
    command = f"python -m benchmarks.nuclei_networks --data DIR_OR_ZIP --out {args.out.name}"
    note = NOTE.format(minutes=args.minutes, timed=TIMED)

    def described(runs):
        seeds = sorted({one["seed"] for one in runs})
        runs = sorted(runs, key=lambda one: (list(NETWORKS).index(one["network"]), one["seed"]))
        return {"settings": SETTINGS, "runs": runs, "provenance": provenance(command, seeds, note)}

    for seed, name in itertools.product(args.seeds, NETWORKS):
        known = {one["seed"]: one["steps"] for one in runs_in(args.out) if one["network"] == name}
        if seed not in known:
            steps = next(iter(known.values()), None) or int(60 * args.minutes / seconds_per_step(name, patches))
            result = run(name, seed, steps, patches, parts["test"])
            add_run(args.out, result, described)
            told = {key: result[key] for key in ("network", "seed", "steps", "cpu_minutes", "dice", "merges")}
            print(told, "AP", result["pooled"][0], flush=True)


if __name__ == "__main__":
    keras.config.disable_interactive_logging()
    main()
