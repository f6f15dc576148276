"""What goes where, and why something goes nowhere."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dlt.convert._axes import TORCH, turned
from dlt.convert._match import Match
from dlt.convert._read import as_array
from dlt.convert._tables import OUTSIDE, explain, part_by_part


class Plan(NamedTuple):
    """What `load_weights` is about to do.

    `values` and `problems` are by our path, or by the rest of the name where we have no such path; `names` are the
    names in the source for both. `unused` are names that are known to lie outside the network.
    """

    values: dict[str, np.ndarray]
    problems: dict[str, str]
    names: dict[str, str]
    unused: dict[str, str]


def plan_for(match: Match, arrays: dict[str, Any], known: set[str], targets: dict[str, Any]) -> Plan:
    """Return what goes where.

    Args:
        match: Where the network was found.
        arrays: The source, `{name: array}`.
        known: Paths of everything that the model stores, random states too.
        targets: `{path: variable}`, the weights of the model.
    """
    inside, unused = sort_out(match, arrays)
    names = {**match.names, **inside}
    states = [path for path in names if path in known and path not in targets]
    unused |= {names.pop(path): "a state, not a weight" for path in states}
    problems = {path: missing(path, names) for path in targets if path not in names}
    ways: dict[str, Callable] = {}
    for path, name in names.items():
        if path not in targets:
            problems[path] = explain(path)
            continue
        shape, target = tuple(arrays[name].shape), tuple(targets[path].shape)
        way = turned(shape, target, match.kind)
        if way is None:
            cure = advice(path, names, shape, target, match.kind)
            problems[path] = f"the source has shape {shape}, the model {target}{cure}"
        else:
            ways[path] = way
    broken = {layer_of(path): why for path, why in problems.items()}
    for path in ways:  # half a layer is no layer: a kernel that does not fit takes its bias with it
        why = next((why for layer, why in broken.items() if f"{layer}/".startswith(f"{layer_of(path)}/")), None)
        if why is not None:
            problems[path] = f"its layer does not fit: {why}"
    values = {
        path: way(part_by_part(names[path].removeprefix(match.prefix), as_array(arrays[names[path]])))
        for path, way in ways.items()
        if path not in problems
    }
    return Plan(values, problems, names, unused)


def sort_out(match: Match, arrays: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the names without a path: `{rest: name}` inside the network, `{name: why it is not used}` outside."""
    inside, outside = {}, {}
    used = set(match.names.values())
    for name in arrays:
        if name in used:
            continue
        rest = name.removeprefix(match.prefix)
        copy = next((copy for copy in match.copies if copy and name.startswith(copy)), None)
        if copy is not None:
            outside[name] = f"of the copy under {copy!r}"
        elif not name.startswith(match.prefix):
            outside[name] = f"outside {match.prefix!r}, where the network was found"
        elif re.fullmatch(OUTSIDE.get(match.kind, ""), rest):
            outside[name] = "beside the network"
        else:
            inside[name if rest in match.names else rest] = name
    return inside, outside


def layer_of(path: str) -> str:
    """Return the path of the layer that a weight belongs to."""
    return path.rpartition("/")[0]


def missing(path: str, names: dict[str, str]) -> str:
    """Return why the source does not fill a weight."""
    if path.endswith("/beta") and f"{layer_of(path)}/gamma" in names:
        return "the source has no such weight: its normalization has no offset, as RMSNorm"
    return "the source has no such weight"


def advice(path: str, names: dict[str, str], shape: tuple, target: tuple, kind: str) -> str:
    """Return what to do where only the stem's patch is of another size."""
    if path != "stem_conv/kernel" or len(shape) != 4 or any(other.startswith("stem/") for other in names):
        return ""
    theirs, channels = (shape[-1], shape[1::-1]) if kind in TORCH else (shape[0], shape[2:])
    if theirs == target[0] or channels != target[2:]:
        return ""
    return f"; build the model with patch_size={theirs} to keep the stem"
