"""Argument checks shared by layers, models and measures: one error form for the whole package."""

import difflib
import math
import numbers
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

ELSEWHERE = {  # what keras.applications and others call an argument: what it is called here
    "classes": "num_classes output_channels",
    "drop_path": "drop_path_rate",
    "dropout": "dropout_rate",
    "filters": "initial_filters base_filters",
    "num_classes": "output_channels",
    "output_channels": "num_classes",
    "weights": "pretrained",
}


def fail(problem: str, expected: str, received: str, fix: str) -> NoReturn:
    """Raise a ValueError that says what is wrong, what was expected, what was received, and the fix."""
    raise ValueError(f"{problem} Expected {expected}. Received: {received}. {fix}")


def is_number(value: Any, kind: type) -> bool:
    """Return whether `value` is a number of a kind of `numbers`; True and False are none."""
    return isinstance(value, kind) and not isinstance(value, bool)


def check_fraction(name: str, value: Any, fix: str) -> float:
    """Return `value` as a float if it lies in [0, 1)."""
    if is_number(value, numbers.Real) and 0 <= value < 1:
        return float(value)
    fail(f"Invalid `{name}`.", "a number in [0, 1)", f"{name}={value!r}", fix)


def check_rate(name: str, rate: Any) -> float:
    """Return `rate`, a probability of dropping, as a float if it lies in [0, 1)."""
    return check_fraction(name, rate, f"Pass {name}=0.0 to drop nothing.")


def check_positive_int(name: str, value: Any) -> int:
    """Return `value` as an int if it is a whole number of at least 1."""
    if is_number(value, numbers.Integral) and value >= 1:
        return int(value)
    fail(f"Invalid `{name}`.", "a whole number of at least 1", f"{name}={value!r}", "Pass 1 or more.")


def check_index(name: str, value: int) -> int:
    """Return `value` as an int if it is a whole number of at least 0."""
    if is_number(value, numbers.Integral) and value >= 0:
        return int(value)
    fail(f"Invalid `{name}`.", "a whole number of at least 0", f"{name}={value!r}", "Pass for example 0.")


def check_positive(name: str, value: Any) -> float:
    """Return `value` as a float if it is finite and greater than zero."""
    if is_number(value, numbers.Real) and 0 < value < math.inf:
        return float(value)
    fail(f"Invalid `{name}`.", "a finite number greater than 0", f"{name}={value!r}", "Pass a small positive number.")


def check_not_negative(name: str, value: Any) -> float:
    """Return `value` as a float if it is finite and at least zero."""
    if is_number(value, numbers.Real) and 0 <= value < math.inf:
        return float(value)
    fail(f"Invalid `{name}`.", "a finite number of at least 0", f"{name}={value!r}", "Pass 0 or a positive number.")


def check_choice(name: str, value: Any, choices: Iterable) -> Any:
    """Return `value` if it is one of `choices`."""
    if value in tuple(choices):
        return value
    options = ", ".join(repr(choice) for choice in choices)
    fail(f"Unknown `{name}`.", f"one of {options}", f"{name}={value!r}", "Check the spelling, or build your own.")


def check_keywords(owner: str, keywords: dict, known: Iterable[str]) -> None:
    """Raise if a keyword is none of `known`, and name the one that was probably meant."""
    known = list(known)
    for word in keywords:
        if word not in known:
            meant = [name for name in ELSEWHERE.get(word, "").split() if name in known]
            meant = meant or difflib.get_close_matches(word, known, n=1, cutoff=0.5)
            fail(
                f"{owner} has no argument `{word}`.",
                f"one of {', '.join(known)}",
                f"{word}={reprlib.repr(keywords[word])}",
                f"Did you mean `{meant[0]}`?" if meant else "Leave it out.",
            )


def check_images(owner: str, shape: Sequence[int | None], min_side: int = 1) -> None:
    """Raise unless `shape` is (batch, height, width, channels) with known channels and large enough sides."""
    shape = tuple(shape)
    if len(shape) != 4 or shape[-1] is None:
        fail(
            f"{owner} works on batches of images.",
            "shape (batch, height, width, channels) with a fixed number of channels",
            f"shape={shape}",
            "Add the missing axis, `images[None]` for one image or `images[..., None]` for grey ones.",
        )
    if any(side is not None and side < min_side for side in shape[1:3]):
        fail(
            f"{owner} halves its maps until nothing is left of an image this small.",
            f"height and width of at least {min_side}",
            f"shape={shape}",
            "Pass larger images, or build the network with a smaller `patch_size`.",
        )


def check_channels(owner: str, shape: Sequence[int | None]) -> int:
    """Return the number of channels if `shape` is (batch, ..., channels) with known channels."""
    if len(shape) < 2 or shape[-1] is None:
        fail(
            f"{owner} works on the last axis, the channels.",
            "shape (batch, ..., channels) with a fixed number of channels",
            f"shape={tuple(shape)}",
            "Give the input a fixed last axis, for example keras.Input((None, None, 3)).",
        )
    return shape[-1]
