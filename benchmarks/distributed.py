"""Every engine against one device: the same network and images, on several devices or processes of this machine.

python -m benchmarks.distributed --folder FOLDER --torch PYTHON --cluster KILLED --out distributed_cpu.json

KILLED is a folder of `benchmarks.train_cluster`, which has an environment of its own.
"""

import argparse
import importlib.metadata
import json
import pathlib
import subprocess
import sys
import time

import numpy as np

from benchmarks._provenance import provenance
from dlt.assets.distributed.launch import Job, alone, torchrun, workers

CASES = ("layer_norm", "batch_norm", "drop_path")
NOTE = (
    "Losses and weights after 6 steps of plain gradient descent: the largest difference to one device on the same "
    "backend. `bytes` is the median of what the machine sent to itself in a step, `paper` 2 (n - 1) / n times the "
    "gradient's bytes for each of n processes. Seconds are those of the whole job with all cases, start and "
    "compilation included, on a machine that had other work to do."
)


ENGINES = {  # devices, processes, job, diary of one device, diary of the engine
    "JAX DataParallel": (2, 1, "jax_devices", "jax_one-{}", "jax_data-{}"),
    "JAX ModelParallel": (2, 1, "jax_devices", "jax_one-{}", "jax_model-{}"),
    "JAX DataParallel, two processes": (2, 2, "jax_workers", "jax_one-{}", "jax_workers-{}-0"),
    "TensorFlow MirroredStrategy": (2, 1, "tf_mirrored", "tf_one-{}", "tf_mirrored-{}"),
    "TensorFlow MultiWorkerMirroredStrategy": (2, 2, "tf_workers", "tf_one-{}", "tf_workers-{}-0"),
    "PyTorch DistributedDataParallel": (2, 2, "torch_workers", "torch_workers-{}-1-0", "torch_workers-{}-2-0"),
}


def jobs(torch):
    """Return the commands of each job, for a Python that has PyTorch."""
    return {
        "jax_devices": alone("jax_devices.py", *CASES),
        "jax_workers": workers(2, "jax_workers.py", *CASES),
        "tf_mirrored": alone("tf_mirrored.py", *CASES),
        "tf_workers": workers(2, "tf_workers.py", *CASES),
        "torch_one": torchrun(1, "torch_workers.py", *CASES, python=torch),
        "torch_workers": torchrun(2, "torch_workers.py", *CASES, python=torch),
    }


def run(commands, folder, name):
    """Run a job, unless the folder has its seconds already; return them."""
    file = folder / f"{name}.seconds"
    if not file.exists():
        began = time.perf_counter()
        Job(commands, folder, seconds=1500).wait()
        file.write_text(f"{time.perf_counter() - began:.1f}")
    return float(file.read_text())


def compare(folder, reference, name, processes):
    """Return what is different between two diaries, and what a step has sent."""
    one, several = (np.load(folder / f"{file}.npz") for file in (reference, name))
    row = {key: float(np.abs(several[key] - one[key]).max()) for key in ("losses", "weights")}
    if processes > 1:
        row["bytes"] = float(np.median(np.diff(several["wire"])))
        row["paper"] = 2 * (processes - 1) * several["weights"].size * 4
    return row


def engines(torch, folder):
    """Return engine -> devices, processes, seconds of the job, and a row for each case."""
    seconds = {name: run(commands, folder, name) for name, commands in jobs(torch).items()}
    rows = {}
    for engine, (devices, processes, job, reference, name) in ENGINES.items():
        cases = {case: compare(folder, reference.format(case), name.format(case), processes) for case in CASES}
        rows[engine] = {"devices": devices, "processes": processes, "seconds": seconds[job], **cases}
    return rows


def clusters(folders):
    """Return name -> result of a training on a cluster."""
    return {folder.name: json.loads((folder / "result.json").read_text(encoding="utf8")) for folder in folders}


def version_of_torch(python):
    """Return the version of PyTorch that another Python has."""
    code = "import importlib.metadata; print(importlib.metadata.version('torch'))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def main():
    """Run all engines and write their rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--cluster", type=pathlib.Path, nargs="*", default=[], help="folders of train_cluster")
    parser.add_argument(
        "--folder", type=pathlib.Path, required=True, help="for diaries; what is there is not run again"
    )
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    command = "python -m benchmarks.distributed --folder FOLDER --torch PYTHON --cluster KILLED --out FILE"
    args.folder.mkdir(parents=True, exist_ok=True)
    python = str(pathlib.Path(args.torch).absolute())  # jobs run in another folder
    result = {"engines": engines(python, args.folder.absolute()), "cluster": clusters(args.cluster)}
    result["provenance"] = provenance(command, 0, NOTE)
    result["provenance"]["versions"] |= {"jax": importlib.metadata.version("jax"), "torch": version_of_torch(python)}
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
