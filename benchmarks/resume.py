"""Does a training that is killed at a random step end where the uninterrupted one does, on each backend?

    python -m benchmarks.resume --out dlt/assets/resume_cpu.json tensorflow=PYTHON jax=PYTHON torch=PYTHON

runs the trainings of `dlt/assets/saving/killed.py`, as chapter 23 does, at more steps. PYTHON is one that has the
backend: three backends need not be in one environment.
"""

import argparse
import concurrent.futures
import json
import pathlib
import random
import subprocess
import tempfile

from benchmarks._provenance import provenance
from dlt.assets.saving import killed

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
    print(found)
    names = " ".join(f"{backend}=PYTHON" for backend in backends)
    command = f"python -m benchmarks.resume --shots {given.shots} --seed {given.seed} --out {given.out.name} {names}"
    source = provenance(command, given.seed, "every process on the processor with one thread")
    source["versions"] |= {backend: result["version"] for backend, result in found.items()}
    given.out.write_text(json.dumps({"provenance": source, "backends": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
