"""Where a stored result comes from."""

import datetime
import importlib.metadata
import os
import platform

import keras

import dlt
from dlt.training.profile import device_name


def provenance(command, seed, note=""):
    """Return what a reader needs to judge or repeat a stored result, as a dict of strings and numbers.

    Args:
        command: String, the command line, with a placeholder where a path of this machine stood.
        seed: Whole number, the seed.
        note: String, anything else that the numbers depend on.
    """
    backend = keras.backend.backend()
    return {
        "command": command,
        "seed": seed,
        "device": f"{device_name()}, {os.cpu_count()} cores ({platform.machine()})",
        "date": datetime.date.today().isoformat(),
        "versions": {
            "dlt": dlt.__version__,
            "keras": keras.version(),
            backend: importlib.metadata.version(backend),
            "python": platform.python_version(),
        },
        "note": note,
    }
