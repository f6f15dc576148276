import os
import types
from typing import Any

import keras

from dlt._check import check_choice, fail


def device_name() -> str:
    """Return the device that Keras computes on, as its backend writes it."""
    return str(keras.ops.zeros(()).device)


def accelerated() -> bool:
    """Return whether Keras computes on a GPU or TPU."""
    return any(kind in device_name().lower() for kind in ("gpu", "cuda", "rocm", "mps", "tpu"))


def profile_name() -> str:
    """Return "quick" or "full": `DLT_PROFILE` if it is set, otherwise "full" where there is a GPU or TPU.

    Raises:
        ValueError: If `DLT_PROFILE` is anything else.
    """
    name = os.environ.get("DLT_PROFILE") or ("full" if accelerated() else "quick")
    return check_choice("DLT_PROFILE", name, ("quick", "full"))


def choose_profile(quick: dict[str, Any], full: dict[str, Any]) -> types.SimpleNamespace:
    """Return the settings for this machine, as attributes.

    The quick profile shows that everything works, in a minute on two CPU cores; the full one is the real training.

    Args:
        quick: Dict of settings.
        full: Dict of the same settings.

    Returns:
        A namespace with the settings, and `name`, "quick" or "full".

    Raises:
        ValueError: If the two have different settings, or `DLT_PROFILE` is neither "quick" nor "full".

    >>> choose_profile(quick={"epochs": 2}, full={"epochs": 100}).epochs in (2, 100)
    True
    """
    if quick.keys() != full.keys():
        fail(
            "Both profiles need the same settings.",
            "two dicts with the same keys",
            f"quick={sorted(quick)}, full={sorted(full)}",
            "Give every setting a value in both.",
        )
    name = profile_name()
    return types.SimpleNamespace(name=name, **{"quick": quick, "full": full}[name])
