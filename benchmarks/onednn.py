"""What TensorFlow's oneDNN kernels do for a training step. It leaves them off on processors without AVX-512.

python -m benchmarks.onednn --out dlt/assets/onednn_cpu.json

Milliseconds of CPU per step on one thread. The switch counts when TensorFlow is imported, so each setting runs in
processes of its own, three of each in turn, and a number is the median of the steps of one process.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

import keras
import numpy as np

import dlt
from benchmarks._provenance import provenance

IMAGE = (32, 32, 3)
NETWORKS = {  # name: network, images per step
    "U-Net": (lambda: dlt.models.UNet((64, 64, 3), depth=3, initial_filters=16), 4),
    "ConvUNext": (lambda: dlt.models.ConvUNextModel((64, 64, 3), depth=2, initial_filters=16), 4),
    "ConvNeXt V1": (lambda: dlt.models.ConvNeXtV1((2, 2, 2), (24, 48, 96), 10, IMAGE, patch_size=2), 64),
    "3x3 convolutions": (lambda: convolutions(), 64),
}


def convolutions():
    """Return a small classifier of dense convolutions."""
    model = keras.Sequential([keras.Input(IMAGE)])
    for filters in (32, 64, 128):
        model.add(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(keras.layers.MaxPooling2D())
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(10))
    return model


def milliseconds():
    """Return the CPU time of a training step of every network in this process."""
    steps = {}
    for name, (make, count) in NETWORKS.items():
        model = make()
        model.compile("adam", "mse")
        x = np.random.default_rng(0).random((count, *model.input_shape[1:]), dtype="float32")
        y = np.zeros(model.compute_output_shape(x.shape), "float32")
        steps[name] = lambda model=model, x=x, y=y: model.train_on_batch(x, y)
    times = dlt.measure.alternate(steps, 9, warmup=2, clock=time.process_time)
    return {name: 1e3 * times[name].median for name in steps}


def in_a_process(onednn):
    """Return `milliseconds` of a process with the kernels on or off."""
    given = os.environ | {"TF_ENABLE_ONEDNN_OPTS": str(int(onednn)), "TF_NUM_INTRAOP_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.onednn", "--child"]
    printed = subprocess.run(command, env=given, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(printed.splitlines()[-1])


def main():
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(milliseconds()))
        return
    found = {on: [] for on in (False, True)}
    for _ in range(3):
        for on, runs in found.items():
            runs.append(in_a_process(on))
    rows = {
        name: {key: [round(run[name], 1) for run in found[on]] for key, on in (("off", False), ("on", True))}
        for name in NETWORKS
    }
    for name, row in rows.items():
        print(f"{name:20} {row}")
    if args.out:
        cpu = next(line for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if "flags" in line)
        note = f"AVX-512: {'yes' if 'avx512f' in cpu else 'no'}; milliseconds of CPU, one thread, three processes each"
        result = {"rows": rows, "provenance": provenance("python -m benchmarks.onednn --out OUT", 0, note)}
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
