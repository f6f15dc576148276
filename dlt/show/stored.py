import html
import importlib.resources
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from dlt._check import fail


class Stored(dict):
    """What a long run left: a dict that, shown, says in one line where its numbers come from.

    In a notebook the line unfolds into the rest of the provenance; elsewhere the rest stands below it.
    """

    def __init__(self, name: str, content: Mapping[str, Any]):
        super().__init__(content)
        self.name = name

    @property
    def provenance(self) -> dict[str, str]:
        """Return a text for each point, such as command, seed and device, or paper and url."""
        return {key: flat(value) for key, value in self["provenance"].items()}

    @property
    def line(self) -> str:
        """Return the most important of it in one line."""
        source = self.provenance
        if "command" in source:
            seed = f"seed{'s' if ',' in source['seed'] else ''} {source['seed']}"
            return f"{self.name}: measured on {source['date']}, {seed}, {source['device'].rpartition('device:')[2]}"
        return f"{self.name}: not measured here, from {source['paper']}"

    def __repr__(self) -> str:
        return "\n".join([self.line, *(f"  {key}: {value}" for key, value in self.provenance.items())])

    def _repr_html_(self) -> str:
        points = "".join(
            f"<li><b>{html.escape(key)}</b>: {html.escape(value)}</li>" for key, value in self.provenance.items()
        )
        return f"<details><summary>{html.escape(self.line)}</summary><ul>{points}</ul></details>"


def flat(value: Any) -> str:
    """Return a value of a provenance as text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def stored(name: str | os.PathLike) -> Stored:
    """Load a stored result, which shows its provenance when it ends a cell of a notebook.

    Args:
        name: Name of a result that comes with the package, such as "residual_cpu", or the path of a JSON file with a
            `provenance`.

    Returns:
        A `Stored`: the file's content as a dict.

    Raises:
        ValueError: If there is no such result, or it does not say where it comes from.

    >>> stored("residual_cpu")["settings"]["epochs"]
    8
    """
    assets = importlib.resources.files("dlt") / "assets"
    path = pathlib.Path(name) if str(name).endswith(".json") else assets / f"{name}.json"
    if not path.is_file():
        shipped = sorted(item.name[:-5] for item in assets.iterdir() if item.name.endswith(".json"))
        fail("There is no such result.", f"one of {', '.join(shipped)}, or a path", f"{str(name)!r}", "Check the name.")
    content = json.loads(path.read_text(encoding="utf8"))
    if not (isinstance(content, dict) and {"command", "paper"} & set(content.get("provenance", ()))):
        fail(
            "A stored result has to say where it comes from.",
            "`provenance` with `command`, seed, device and date, or with `paper` and url",
            f"{str(name)!r}",
            "Let benchmarks/_provenance.py write it.",
        )
    return Stored(path.name.removesuffix(".json"), content)
