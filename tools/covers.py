"""The pictures of the front page come out of the chapters: the figure of each cell tagged `cover`."""

import base64
import pathlib
import sys

import nbformat


def write_covers(book: pathlib.Path) -> None:
    """Write `_static/covers/NN.png` for every executed notebook below `book` that has a cover."""
    covers = book / "_static" / "covers"
    covers.mkdir(parents=True, exist_ok=True)
    for path in sorted(book.glob("[0-9]*/*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if "cover" in cell.metadata.get("tags", []):
                (covers / f"{path.name[:2]}.png").write_bytes(figure_of(cell))


def figure_of(cell: nbformat.NotebookNode) -> bytes:
    """Return the PNG that a cell shows."""
    return base64.b64decode(next(o["data"]["image/png"] for o in cell.outputs if "image/png" in o.get("data", {})))


if __name__ == "__main__":
    write_covers(pathlib.Path(sys.argv[1]))
