"""Many short trainings in one JSON file, which is whole after each of them and can be gone on with."""

import contextlib
import fcntl
import json
import os
import pathlib
import tempfile


def runs_in(path):
    """Return the runs that a file holds already, as a list; an empty one where there is no file."""
    return json.loads(path.read_text(encoding="utf8"))["runs"] if path.exists() else []


def write_json(path, result):
    """Write in one stroke, so that a process killed at any moment leaves a whole file."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(result, indent=1) + "\n", encoding="utf8")
    partial.replace(path)


def add_run(path, run, describe):
    """Add a run to those of a file, which other processes may be adding to.

    Args:
        path: Path of the JSON file.
        run: Dict, the new run.
        describe: Function of the list of all runs; returns what the file is to hold, the runs under "runs".
    """
    with locked(path):
        write_json(path, describe([*runs_in(path), run]))


@contextlib.contextmanager
def locked(path):
    """Keep other processes away from a file, for as long as this lasts."""
    with (pathlib.Path(tempfile.gettempdir()) / f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
