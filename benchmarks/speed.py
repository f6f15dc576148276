"""What XLA, 16-bit numbers, the batch size and the number of channels do to a training step, and to its memory.

python -m benchmarks.speed --out dlt/assets/speed_cpu.json --note "busy machine"

On a GPU the same command, with another `--out`, writes the same table for the GPU. Seconds are of CPU time there where
Keras computes on a CPU, so that other programs on the same core do not count, and of wall time on a GPU. Settings of
one network take turns. Memory is what a process of its own grows by in two training steps, or on a GPU
what TensorFlow reports as its peak.
"""

import argparse
import json
import pathlib
import shlex
import subprocess
import sys
import time

import keras
import numpy as np

import dlt
from benchmarks._memory import peak_mib
from benchmarks._provenance import provenance
from dlt.training.profile import accelerated

SHAPE = (64, 64, 3)
SETTINGS = {  # name: dtype, jit_compile
    "float32": ("float32", False),
    "XLA": ("float32", True),
    "bfloat16": ("mixed_bfloat16", False),
    "float16": ("mixed_float16", False),
    "XLA, bfloat16": ("mixed_bfloat16", True),
}
NETWORKS = {  # name: what builds it from a dtype, images per step
    "dense": (lambda dtype: dlt.models.UNet(SHAPE, 2, 16, dtype=dtype), 8),
    "ConvUNext": (
        lambda dtype: dlt.models.ConvUNextModel(SHAPE, depth=2, initial_filters=16, blocks_per_level=1, dtype=dtype),
        8,
    ),
    "ConvNeXt V2": (lambda dtype: dlt.models.ConvNeXtV2((2, 2), (32, 64), 10, SHAPE, patch_size=2, dtype=dtype), 8),
    "ACC-UNet": (lambda dtype: dlt.models.AccUNet(base_filters=4, dtype=dtype), 2),
}
BATCHES = (1, 2, 4, 8, 16, 32)
WIDTHS = (15, 16, 17, 31, 32, 33, 47, 48, 49)


def stack(width):
    """Return four dense 3x3 convolutions of `width` channels."""
    layers = [keras.layers.Conv2D(width, 3, padding="same", activation="relu") for _ in range(4)]
    return keras.Sequential([keras.Input((32, 32, width)), *layers])


def step_of(model, batch, jit_compile=False):
    """Return a function that makes one training step on noise, and waits for its end."""
    rng = np.random.default_rng(0)
    shape = (batch, *(SHAPE if None in model.input_shape[1:] else model.input_shape[1:]))
    x = rng.random(shape).astype("float32")
    y = np.zeros(model.compute_output_shape(shape), "float32")
    model.compile(keras.optimizers.SGD(1e-6), "mse", jit_compile=jit_compile)
    return lambda: float(model.train_on_batch(x, y))


def in_turn(steps, repeats):
    """Return milliseconds of every step but the first, and seconds of the first, which compiles; or why it fails."""
    clock = time.perf_counter if accelerated() else time.process_time
    rows, work = {}, {}
    for name, step in steps.items():
        start = clock()
        try:
            step()
        except Exception as error:  # a compiler's refusal is a result, and goes into the table
            rows[name] = {"fails": f"{type(error).__name__}: {str(error)[:300]}"}
        else:
            rows[name], work[name] = {"first step (s)": clock() - start}, step
    for name, times in dlt.measure.alternate(work, repeats, clock=clock).items():
        rows[name]["ms"] = [1e3 * seconds for seconds in times.seconds]
    return rows


def grown(name, setting, batch):
    """Return the MiB by which a process of its own grows in two training steps."""
    command = [sys.executable, "-m", "benchmarks.speed", "--memory-of", name, setting, str(batch)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def print_growth(name, setting, batch):
    """Print what `grown` reads."""
    dtype, jit_compile = SETTINGS[setting]
    step = step_of(NETWORKS[name][0](dtype), int(batch), jit_compile)
    before = peak_mib()
    for _ in range(2):
        step()
    used = peak_mib() - before
    if accelerated():
        import tensorflow as tf

        used = tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
    print(used)


def settings_of(name, repeats):
    """Return times of one network in all settings."""
    make, batch = NETWORKS[name]
    steps = {setting: step_of(make(dtype), batch, xla) for setting, (dtype, xla) in SETTINGS.items()}
    giga = dlt.measure.macs(make("float32"), SHAPE).giga
    return {"batch": batch, "GMAC": giga, "rows": in_turn(steps, repeats)}


def memory(repeats):
    """Return MiB per image, counted and measured, in float32 and bfloat16; a second batch shows what images cost."""
    table = {}
    for name in ("dense", "ConvNeXt V2"):
        for setting in ("float32", "bfloat16"):
            model = NETWORKS[name][0](SETTINGS[setting][0])
            table[f"{name}, {setting}"] = {
                "counted": dlt.measure.activation_memory(model).total / 2**20,
                "measured": (grown(name, setting, 48) - grown(name, setting, 8)) / 40,
            }
    return table


def batches(repeats):
    """Return times of training steps of several batch sizes, for the dense network and for ConvNeXt."""
    tables = {}
    for name in ("dense", "ConvNeXt V2"):
        model = NETWORKS[name][0]("float32")
        tables[name] = in_turn({str(batch): step_of(model, batch) for batch in BATCHES}, repeats)
    return tables


def widths(repeats):
    """Return times of training steps of dense convolutions of several widths, and their multiply-adds."""
    models = {str(width): stack(width) for width in WIDTHS}
    rows = in_turn({name: step_of(model, 8) for name, model in models.items()}, repeats)
    return {name: row | {"GMAC": dlt.measure.macs(models[name]).giga} for name, row in rows.items()}


PARTS = {"batches": batches, "widths": widths, "memory": memory}


def main():
    """Measure what is asked for, and keep what is there of the rest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", default=[*NETWORKS, *PARTS])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--note", default="")
    parser.add_argument("--memory-of", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory_of:
        return print_growth(*args.memory_of)
    dlt.training.start()
    for part in args.parts:
        found = settings_of(part, args.repeats) if part in NETWORKS else PARTS[part](args.repeats)
        result = {"settings": {}}
        if args.out and args.out.exists():  # what is there of the other parts stays
            result = json.loads(args.out.read_text(encoding="utf8"))
        (result["settings"] if part in NETWORKS else result)[part] = found
        parts = [*result["settings"], *(name for name in PARTS if name in result)]
        command = f"python -m benchmarks.speed --repeats {args.repeats} --parts {shlex.join(parts)}"
        result["provenance"] = provenance(command, 0, args.note)
        print(part, json.dumps(found), flush=True)
        if args.out:
            args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")
    return None


if __name__ == "__main__":
    main()
