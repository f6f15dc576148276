"""A worker of a cluster is killed, and the training ends with the same weights."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import ROOT

missing = [name for name in ("ray", "torch") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}: pip install 'ray[train]' torch")
SMALL = ["--network", '{"filters": [4, 8], "blocks": [1, 1]}', "--patch", "16", "--steps", "9", "--epoch", "3"]


def train(folder, *words):
    command = [sys.executable, "-m", "benchmarks.train_cluster", str(folder), *SMALL, *words]
    given = {**os.environ, "RAY_worker_niceness": "0"}  # by default they give way to everything else
    done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(folder) not in running
    return json.loads((folder / "result.json").read_text()), np.load(folder / "weights.npy")


@pytest.mark.skipif(os.cpu_count() < 2, reason="Ray wants a core for each worker")
def test_a_killed_worker_changes_nothing(tmp_path):
    """The weights are those of one process that averages the gradients of both halves by hand, to the last bit."""
    result, weights = train(tmp_path / "killed", "--kill", "7", "--compare")
    assert result["began at steps"] == [0, 6]
    assert (tmp_path / "killed" / "killed").exists()
    assert result["largest difference to by hand"] == 0
    assert len(weights) > 500
    assert np.all(np.isfinite(weights))


def test_workers_that_cannot_share_a_batch_are_refused(tmp_path):
    command = [sys.executable, "-m", "benchmarks.train_cluster", str(tmp_path / "a"), "--workers", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert "Expected a batch size that 3 workers can share. Received: 8. Take 6." in done.stderr
    assert not (tmp_path / "a").exists()
