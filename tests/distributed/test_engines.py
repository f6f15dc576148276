"""Every engine that is installed trains as one device does, and nothing that was started outlives its test."""

import importlib.util
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from dlt.assets.distributed.launch import ALONE, HERE, Job, alone, torchrun, workers

SAME = {  # largest differences of what is equal to rounding
    "weights": 1e-5,  # which a step of plain gradient descent moves by about a hundredth
    "losses": 1e-4,  # which are about 2
}
CASES = ("layer_norm", "batch_norm", "drop_path")


def needs(*names):
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


def living(process):
    """Return the processes of its group that still run; a zombie does not."""
    listed = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()]
    return [row for row in rows if row[0] == str(process.pid) and row[1][0] != "Z"]


def gone(processes):
    """Return whether all have ended, with a moment for the kernel to end those that were killed."""
    for _ in range(100):
        if not any(map(living, processes)):
            return True
        time.sleep(0.1)
    return False


def run(folder, commands, **environment):
    job = Job(commands, folder, seconds=600, STEPS="3", **environment)
    printed = job.wait()
    assert gone(job.processes)
    return printed


def same(folder, name, reference):
    """Return whether two trainings are equal; their losses and their weights have to say the same."""
    one, other = (np.load(folder / f"{file}.npz") for file in (reference, name))
    assert len(one["losses"]) == len(other["losses"]) == 3
    assert not np.array_equal(one["losses"], np.roll(one["losses"], 1))
    losses, weights = (np.abs(one[what] - other[what]).max() < SAME[what] for what in ("losses", "weights"))
    assert losses == weights
    return weights


@needs("jax")
def test_jax_is_one_device_even_with_batch_norm_and_drop_path(tmp_path):
    run(tmp_path, alone("jax_devices.py", *CASES))
    run(tmp_path, workers(2, "jax_workers.py", *CASES))
    for case in CASES:
        for name in ("jax_data-{}", "jax_model-{}", "jax_workers-{}-0", "jax_workers-{}-1"):
            assert same(tmp_path, name.format(case), f"jax_one-{case}")
    assert not same(tmp_path, "jax_one-layer_norm", "jax_one-drop_path")


@needs("tensorflow")
def test_tensorflow_is_one_device_but_for_batch_norm_and_drop_path(tmp_path):
    run(tmp_path, alone("tf_mirrored.py", *CASES))
    run(tmp_path, workers(2, "tf_workers.py", *CASES))
    for name in ("tf_mirrored-{}", "tf_workers-{}-0", "tf_workers-{}-1"):
        for case in CASES:
            assert same(tmp_path, name.format(case), f"tf_one-{case}") == (case == "layer_norm")


@needs("torch")
def test_pytorch_is_one_device_but_for_batch_norm_and_drop_path(tmp_path):
    for processes in (1, 2):
        run(tmp_path, torchrun(processes, "torch_workers.py", *CASES))
    for case in CASES:
        name = f"torch_workers-{case}"
        for rank in (0, 1):
            assert same(tmp_path, f"{name}-2-{rank}", f"{name}-1-0") == (case == "layer_norm")


FIT = """
import sys, task, tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
with strategy.scope():
    task.fit("batch_norm", "fit")
"""


@needs("tensorflow")
def test_fit_fails_under_the_strategy_for_several_workers(tmp_path):
    """When this fails, Keras has learned it, and `tf_workers.py` can do without its loop."""
    script = tmp_path / "fit.py"
    head = (HERE / "tf_workers.py").read_text(encoding="utf8").partition("import tensorflow as tf")[0]
    script.write_text(f"import sys\nsys.path.insert(0, {str(HERE)!r})\n{head}{FIT}", encoding="utf8")
    commands = [[sys.executable, str(script), *command[2:]] for command in workers(2, "tf_workers.py")]
    with pytest.raises(RuntimeError, match="PerReplica"):
        run(tmp_path, commands)


SLEEPY = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"


@pytest.mark.parametrize(
    ("other", "seconds", "message"),
    [("raise SystemExit('broken')", 60, "A process failed(.|\n)*broken"), ("pass", 3, "Time is up")],
)
def test_all_are_ended_when_one_fails_or_time_is_up(tmp_path, other, seconds, message):
    job = Job([[sys.executable, "-c", SLEEPY], [sys.executable, "-c", other]], tmp_path, seconds=seconds)
    assert living(job.processes[0])
    with pytest.raises(RuntimeError, match=message):
        job.wait()
    assert gone(job.processes)


@needs("torch")
def test_the_workers_of_torchrun_end_with_it_though_they_have_sessions_of_their_own(tmp_path):
    script, note = tmp_path / "sleepy.py", tmp_path / "worker"
    code = f"import os, pathlib, time; pathlib.Path({str(note)!r}).write_text(str(os.getpid())); time.sleep(600)"
    script.write_text(code, encoding="utf8")
    job = Job(torchrun(1, script), tmp_path, seconds=500)
    while not (note.exists() and note.read_text()):
        assert job.processes[0].poll() is None
        time.sleep(0.1)
    worker = int(note.read_text())
    assert os.getpgid(worker) != job.processes[0].pid
    job.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_what_they_print_comes_back(tmp_path):
    assert run(tmp_path, [[sys.executable, "-c", f"print({n})"] for n in (3, 4)]) == ["3\n", "4\n"]


def test_a_script_ends_itself_when_whoever_started_it_is_gone():
    code = "import task, time; time.sleep(600)"
    began = time.monotonic()
    given = {
        **os.environ,
        **ALONE,
        "SECONDS": "1",
        "PYTHONPATH": f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    assert subprocess.run([sys.executable, "-c", code], env=given, timeout=500).returncode == -signal.SIGALRM
    assert time.monotonic() - began < 500
