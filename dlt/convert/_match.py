"""Where in a source the network lies, and whose names it has."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from dlt._check import fail
from dlt.convert._axes import turned
from dlt.convert._tables import TABLES, translate

AVERAGED = re.compile(r"ema|averag|swa|teacher")  # copies of a network that are averages over its training
UNMERGED = re.compile(r".*[./]lora_(?:[AB]|embedding)\b.*")


class Match(NamedTuple):
    """A network found in a source.

    `kind` says whose names they are, `prefix` what stood in front of them, `names` is `{our path: name in the source}`,
    and `copies` are the prefixes of the same network elsewhere in the source.
    """

    kind: str
    prefix: str
    names: dict[str, str]
    copies: list[str]


def part(arrays: dict[str, Any], key: str | None) -> dict[str, Any]:
    """Return what lies under `key` in a source, names unchanged; everything if it is None."""
    if key is None:
        return arrays
    key = key.rstrip("./")
    inside = {name: array for name, array in arrays.items() if re.match(rf"{re.escape(key)}(?:$|[./])", name)}
    if not inside:
        groups = sorted({re.split(r"[./]", name)[0] for name in arrays})
        fail(
            "The source has nothing under this key.",
            f"one of {', '.join(groups[:10])}, or more parts of a name",
            f"key={key!r}",
            "Leave `key` out to have the network looked for.",
        )
    return inside


def find(arrays: dict[str, Any], ours: dict[str, str], targets: dict[str, tuple], skip: tuple) -> Match:
    """Return the part of the source that fills most of the model.

    Args:
        arrays: The source, `{name: array}`.
        ours: `{address: path}` for the weights of the model.
        targets: `{path: shape}` for the weights of the model.
        skip: Beginnings of the paths that need not be found.

    Raises:
        ValueError: If the source is empty, holds unmerged low-rank updates, or its names are of no known kind.
    """
    if not arrays:
        fail("The source holds no weights.", "arrays by name", "none", "Pass the file, dict or model that has them.")
    refuse_unmerged(arrays)
    found = candidates(arrays, ours)

    def fitting(candidate):
        kind, prefix = candidate
        places = [(path, name) for path, name in found[candidate].items() if path in targets]
        fits = sum(turned(tuple(arrays[name].shape), targets[path], kind) is not None for path, name in places)
        return fits, len(places), AVERAGED.search(prefix) is None, len(found[candidate]), -len(prefix)

    order = sorted(found, key=fitting, reverse=True)
    needed = [path for path in targets if not path.startswith(skip)]
    filled = sum(path in needed for path in found[order[0]]) if order else 0
    if not order or (2 * filled < max(len(needed), 1) and 2 * len(found[order[0]]) < len(arrays)):
        fail(
            "The names in the source are of no known kind.",
            "names of this package, keras.applications, timm, Hugging Face or the official checkpoints",
            f"{len(arrays)} weights, the first {list(arrays)[:3]}",
            "Rename them, or pass a dict with the names in `[w.path for w in model.weights]`.",
        )
    kind, prefix = order[0]
    names = dict(found[order[0]])
    copies = []
    for other in order[1:]:
        theirs = {path: name for path, name in found[other].items() if path in targets}
        if other[0] == kind == "dlt":  # parts of one network may have been saved inside different models
            names |= {path: name for path, name in theirs.items() if path not in names}
        if 2 * len(theirs) > len(names) and not set(theirs.values()) & set(names.values()):
            copies.append(other[1])
    return Match(kind, prefix, names, copies)


def candidates(arrays: Iterable[str], ours: dict[str, str]) -> dict[tuple[str, str], dict[str, str]]:
    """Return `{(whose names, prefix): {our path: name}}` for every reading of the names that anybody knows."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for name in arrays:
        for start in (0, *(match.end() for match in re.finditer(r"[./]", name))):
            rest = name[start:]
            if rest in ours:
                found.setdefault(("dlt", name[:start]), {}).setdefault(ours[rest], name)
            for title, table in TABLES.items():
                path = translate(rest, table)
                if path is not None:
                    found.setdefault((title, name[:start]), {}).setdefault(ours.get(path, path), name)
    return found


def refuse_unmerged(arrays: Iterable[str]) -> None:
    """Raise if low-rank updates lie beside the kernels that they change."""
    name = next((name for name in arrays if UNMERGED.fullmatch(name)), None)
    if name is not None:
        fail(
            "The source holds low-rank updates (LoRA) beside its kernels.",
            "kernels with their updates merged into them",
            name,
            "Merge them where they were made: `model.merge_and_unload()` in PEFT.",
        )
