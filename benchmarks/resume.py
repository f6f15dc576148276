"""Does a training that is killed at a random step end where the uninterrupted one does, on each backend?
And does a network that was saved on this process's backend compute the same on each?

    python -m benchmarks.resume --out dlt/assets/resume_cpu.json tensorflow=PYTHON jax=PYTHON torch=PYTHON

runs the trainings of `dlt/assets/saving/killed.py`, as chapter 23 does, at more steps, and then sends its parcels,
the right one and the wrong one. PYTHON is one that has the backend: three backends need not be in one environment.
"""

import argparse
import concurrent.futures
import json
import pathlib
import random
import shutil
import subprocess
import tempfile

import keras
import numpy as np

import dlt
from benchmarks._provenance import provenance
from dlt.assets.saving import killed, parcel

NOTE = (
    "Every process on the processor with one thread. `parcels` come from the backend of the device above; their errors "
    "are relative to the largest answer."
)
VERSION = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"


def trial(backend, python, shots, seed):
    """Return the steps at which trainings were killed, and for each way how far from the uninterrupted one they end."""
    last = killed.EPOCHS * killed.STEPS
    steps = sorted(random.Random(seed).sample(range(killed.STEPS + 1, last + 1), shots))
    with tempfile.TemporaryDirectory() as folder:
        ends = [killed.interrupted(backend, step, folder, python) for step in steps]
    version = subprocess.run([python, "-c", VERSION, backend], capture_output=True, text=True, check=True)
    found = {way: [end[way] for end in ends] for way in ends[0]}
    return {"version": version.stdout.strip(), "steps": steps, **found}


def pack(folder, seed):
    """Ship two networks from here, and again with a changed weight in one; return the folders of both parcels."""
    keras.utils.set_random_seed(seed)
    sent, wrong = folder / "parcel", folder / "wrong"
    convnext = dlt.models.ConvNeXtV2(depths=(1, 1), dims=(16, 32), num_classes=10, input_shape=(None, None, 3))
    unet = dlt.models.UNet(depth=1, initial_filters=8)
    parcel.ship(sent, convnext=convnext, unet=unet)
    shutil.copytree(sent, wrong)
    kernel, *others = unet.get_weights()
    kernel = kernel.copy()
    kernel.flat[np.abs(kernel).argmax()] *= 1.5
    unet.set_weights([kernel, *others])
    unet.save(wrong / "unet.keras")
    parcel.write_sums(wrong)
    return sent, wrong


def receive(backend, python, folders):
    """Check the parcels on a backend; return the errors of each network, and how many parcels are wrong."""
    done = killed.run(backend, parcel.__file__, *folders, python=python)
    lines = [line.split() for line in done.stdout.splitlines()]
    if len(lines) != 2 * len(folders):
        raise RuntimeError(f"The parcels were not checked on {backend}.\n{done.stderr}")
    errors = {folder.name: {} for folder in folders}
    for at, network, error in lines:
        errors[at][network] = float(error)
    return {"errors": errors, "wrong parcels": done.returncode}


def main():
    """Run and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backends", nargs="+", help="name=python")
    parser.add_argument("--shots", type=int, default=5, help="trainings killed on each backend")
    parser.add_argument("--seed", type=int, default=23)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    given = parser.parse_args()
    backends, pythons = zip(*(pair.split("=") for pair in given.backends), strict=True)
    seeds = [given.seed + number for number in range(len(backends))]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        ends = pool.map(trial, backends, pythons, [given.shots] * len(backends), seeds)
        found = dict(zip(backends, ends, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        folders = pack(pathlib.Path(folder), given.seed)
        received = {name: receive(name, python, folders) for name, python in zip(backends, pythons, strict=True)}
    print(found, received)
    names = " ".join(f"{backend}=PYTHON" for backend in backends)
    command = f"python -m benchmarks.resume --shots {given.shots} --seed {given.seed} --out {given.out.name} {names}"
    source = provenance(command, given.seed, NOTE)
    source["versions"] |= {backend: result["version"] for backend, result in found.items()}
    given.out.write_text(json.dumps({"provenance": source, "backends": found, "parcels": received}, indent=1) + "\n")


if __name__ == "__main__":
    main()
