"""`dlt.models.AccUNet` against the published network as it is written down, in turn, in one run.

python -m benchmarks.acc_unet
python -m benchmarks.acc_unet --out dlt/assets/acc_unet_cpu.json --note "busy machine"

Prints multiply-adds, seconds of inference and of a training step, and memory: the bytes of all maps, counted, and what
the process has grown by, measured. For that, each network runs a training step in a process of its own, whose largest
resident size (`ru_maxrss`) is compared before and after.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import sys

import keras
import numpy as np

from benchmarks._provenance import provenance
from benchmarks.plain_acc_unet import copy_weights, plain_acc_unet
from dlt.measure import activation_memory, alternate, macs
from dlt.models import AccUNet
from dlt.training import start


def network(name, filters):
    """Return one of the two networks, ready to train."""
    net = AccUNet(base_filters=filters) if name == "dlt" else plain_acc_unet(base_filters=filters)
    net.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy", jit_compile=False)
    return net


def data(options):
    """Return images and masks of noise: only the time counts."""
    x = np.random.default_rng(0).random((options.batch, options.side, options.side, 3)).astype("float32")
    return x, np.round(x[..., :1])


def grown(name, what, options):
    """Return the MiB by which a new process grows when a network first predicts, or first trains."""
    command = [sys.executable, "-m", "benchmarks.acc_unet", "--memory-of", name, what]
    command += ["--filters", str(options.filters), "--side", str(options.side), "--batch", str(options.batch)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(output.split()[-1])


def print_growth(name, what, options):
    """Print by how much this process grows: what `grown` reads."""
    net, (x, y) = network(name, options.filters), data(options)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(2):
        net.train_on_batch(x, y) if what == "train" else net.predict_on_batch(x)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def show(name, values):
    """Print one number of both networks, and return it."""
    ratio = values["dlt"] / values["plain"]
    print(f"{name:32} dlt {values['dlt']:9.3f}   plain {values['plain']:9.3f}   ratio {ratio:.2f}", flush=True)
    return {name: values}


def measure(options):
    """Return all numbers, by name and network, and print them as they come."""
    found = {}
    for what in ("inference", "train"):  # first: Linux counts what a process has grown to as its child's, too
        found |= show(f"process_grown_{what}_mib", {name: grown(name, what, options) for name in ("dlt", "plain")})
    nets = {name: network(name, options.filters) for name in ("dlt", "plain")}
    copy_weights(nets["dlt"], nets["plain"])
    (x, y), shape = data(options), (options.side, options.side, 3)
    outputs = {name: net.predict_on_batch(x) for name, net in nets.items()}
    found["largest_difference"] = float(np.abs(outputs["dlt"] - outputs["plain"]).max())
    print(f"largest difference of the outputs: {found['largest_difference']:.1e}", flush=True)
    steps = {
        "inference": {name: lambda net=net: net.predict_on_batch(x) for name, net in nets.items()},
        "train_step": {name: lambda net=net: net.train_on_batch(x, y) for name, net in nets.items()},
    }
    for what, runs in steps.items():
        times = alternate(runs, repeats=options.repeats, warmup=2)
        found |= show(f"{what}_seconds", {name: time.median for name, time in times.items()})
        found |= show(f"{what}_seconds_best", {name: min(time.seconds) for name, time in times.items()})
    memory = {name: activation_memory(net, shape, options.batch) for name, net in nets.items()}
    found |= show("maps_in_training_mib", {name: one.total / 2**20 for name, one in memory.items()})
    found |= show("maps_at_peak_of_inference_mib", {name: one.peak / 2**20 for name, one in memory.items()})
    found |= show("giga_macs", {name: macs(net, shape).giga for name, net in nets.items()})
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=pathlib.Path, help="a .json file")
    parser.add_argument("--note", default="")
    parser.add_argument("--memory-of", nargs=2, metavar=("NETWORK", "WHAT"), help="for the processes it starts")
    options = parser.parse_args()
    if options.memory_of:
        print_growth(*options.memory_of, options)
        return
    start()
    found = measure(options)
    if options.out:
        settings = {name: getattr(options, name) for name in ("filters", "side", "batch", "repeats")}
        command = "python -m benchmarks.acc_unet " + " ".join(f"--{name} {value}" for name, value in settings.items())
        result = {"settings": settings, **found, "provenance": provenance(command, 0, options.note or "alone")}
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
