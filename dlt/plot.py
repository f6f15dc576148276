"""The book's figures: every function returns a matplotlib figure, which a notebook shows when it ends a cell.

Figures are opaque and white, so that they read the same on a light and on a dark page.
"""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from skimage.segmentation import find_boundaries

from dlt._arrays import check_image, is_float, white

# Okabe and Ito's palette: distinct for colour-blind readers, and in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
STYLE: dict[Any, Any] = {
    "figure.dpi": 110,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.constrained_layout.use": True,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "axes.axisbelow": True,
    "font.size": 11,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "image.cmap": "gray",
}

Size = tuple[float, float]  # width and height in inches
Chain = Sequence[tuple[str, int | None]]  # labels and channels


@contextlib.contextmanager
def figure(rows: int = 1, columns: int = 1, size: Size | None = None, **kwargs: Any) -> Iterator[tuple[Figure, Any]]:
    """Open a figure in the book's style: `with figure(1, 2) as (fig, axes): ...`; draw inside, return `fig`.

    Args:
        rows: Whole number of axes below each other.
        columns: Whole number of axes side by side.
        size: `(width, height)` in inches; None takes 5 x 3.4 per axes.
        **kwargs: Anything else `matplotlib.pyplot.subplots` takes.

    Yields:
        The figure and its axes, as `matplotlib.pyplot.subplots` returns them.
    """
    with plt.rc_context(STYLE):
        fig, axes = plt.subplots(rows, columns, figsize=size or (5 * columns, 3.4 * rows), **kwargs)
        yield fig, axes
        plt.close(fig)  # the notebook shows what a cell returns; left open, it would show twice


def images(
    pictures: Mapping[str, np.ndarray],
    columns: int = 4,
    side: float = 2.4,
    cmap: str = "gray",
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Show pictures in a grid, titled.

    Args:
        pictures: Dict, title -> array of shape `(height, width)`, `(height, width, 1)` or `(height, width, 3)`;
            uint8, or floats in [0, 1] where in colour.
        columns: Whole number of pictures per row.
        side: Width of a picture in inches.
        cmap: Matplotlib colour map for grey pictures.
        limits: `(low, high)` values of the colour map's ends, shared by all; None takes each picture's own.
    """
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    low, high = limits or (None, None)
    with figure(rows, columns, size=(side * columns, (side + 0.3) * rows), squeeze=False) as (fig, axes):
        for ax in axes.flat:
            ax.set_axis_off()
        for ax, (title, picture) in zip(axes.flat, pictures.items(), strict=False):
            ax.imshow(np.squeeze(picture), cmap=cmap, vmin=low, vmax=high)
            ax.set_title(title, fontsize=10)
    return fig


def curves(
    lines: Mapping[str, Sequence[float]],
    x: Sequence[float] | None = None,
    xlabel: str = "",
    ylabel: str = "",
    log: str = "",
    size: Size | None = None,
) -> Figure:
    """Draw lines over a common axis, with a dot for each value where there are up to 60.

    Args:
        lines: Dict, label -> sequence of values.
        x: Sequence of positions; None counts from 1.
        xlabel: String, with the unit.
        ylabel: String, with the unit.
        log: "", "x", "y" or "xy", the logarithmic axes.
        size: `(width, height)` in inches.
    """
    with figure(size=size or (6.5, 3.6)) as (fig, ax):
        for label, values in lines.items():
            at = np.arange(1, len(values) + 1) if x is None else np.asarray(x)
            marker = "o" if len(at) <= 60 else ""  # beyond, the dots would hide the line
            ax.plot(at, values, marker=marker, markersize=4, label=label)
            if at.dtype.kind == "i":
                ax.locator_params(axis="x", integer=True)
        ax.set(xlabel=xlabel, ylabel=ylabel)
        if "x" in log:
            ax.set_xscale("log")
        if "y" in log:
            ax.set_yscale("log")
        if len(lines) > 1:
            ax.legend()
    return fig


def bars(
    values: Mapping[str, float],
    xlabel: str = "",
    form: str = "{:,.2f}",
    log: bool = False,
    size: Size | None = None,
) -> Figure:
    """Draw labelled horizontal bars, first on top, each with its number.

    Args:
        values: Dict, label -> number; an empty one draws a bar "none" of length 0.
        xlabel: String, with the unit.
        form: Format string of the numbers.
        log: Whether the axis is logarithmic; then every number has to be above zero.
        size: `(width, height)` in inches.
    """
    values = values or {"none": 0}
    with figure(size=size or (6.5, 0.8 + 0.38 * len(values))) as (fig, ax):
        drawn = ax.barh(list(values), list(values.values()), color=COLOURS[0], log=log)
        ax.bar_label(drawn, [form.format(value) for value in values.values()], padding=4)
        ax.margins(x=0.15)
        if log:  # a bar has no zero to start from: it starts at least one power of ten below the shortest
            ax.set_xlim(left=10 ** (math.floor(math.log10(min(values.values()))) - 1))
        elif not any(values.values()):
            ax.set_xlim(0, 1)
        ax.invert_yaxis()
        ax.grid(axis="y", visible=False)
        ax.set_xlabel(xlabel)
    return fig


def chains(networks: Mapping[str, Chain], size: Size | None = None) -> Figure:
    """Draw chains of layers side by side, from top to bottom; the wider the map, the wider the box.

    Args:
        networks: Dict, title -> sequence of `(label, channels)`, the input first. Channels stand in the box, which is
            that wide. None keeps the width of the box above, and the box is pale: a layer that changes no channels.
            The label "+" is a sum with what left the last sum, or the input: an arrow brings it.
        size: `(width, height)` in inches.
    """
    longest = max(len(chain) for chain in networks.values())
    widest = max(channels or 0 for chain in networks.values() for _, channels in chain)
    size = size or (3.8 * len(networks), 0.6 + 0.44 * longest)
    with figure(1, len(networks), size=size, squeeze=False) as (fig, axes):
        for ax, (title, chain) in zip(axes.flat, networks.items(), strict=True):
            ax.set(title=title, xlim=(-0.75, 1.75), ylim=(longest - 0.6, -0.4))
            ax.set_axis_off()
            draw_chain(ax, chain, widest)
    return fig


def draw_chain(ax: Axes, chain: Chain, widest: int) -> None:
    """Draw one chain into axes whose y counts layers; its widest box is 1 wide, its labels stand to the right."""
    grey = "#555555"
    left, start, width = 0.0, 0.0, 0.0
    arrow = {"arrowstyle": "-|>", "color": grey, "shrinkA": 0, "shrinkB": 0}
    for y, (label, channels) in enumerate(chain):
        width = channels / widest if channels else width
        if y:
            ax.annotate("", xy=(0, y - 0.3), xytext=(0, y - 0.7), arrowprops=arrow)
        if label == "+":
            ax.plot([left, -0.65, -0.65], [start, start, y], color=grey, linewidth=1)
            ax.annotate("", xy=(-0.08, y), xytext=(-0.65, y), arrowprops=arrow)
            ax.text(0, y, "+", ha="center", va="center", bbox={"boxstyle": "circle", "fc": "white", "ec": grey})
        else:
            face = COLOURS[4] if channels else "#E6E6E6"
            ax.barh(y, width, height=0.6, left=-width / 2, color=face, edgecolor=grey, linewidth=0.8)
            ax.text(0, y, str(channels or ""), ha="center", va="center", fontsize=10)
            ax.text(0.6, y, label, va="center")
        if label == "+" or not y:  # from here the next sum's arrow leaves
            left, start = (-0.06 if y else -width / 2), y


def outlined(image: np.ndarray, found: np.ndarray, truth: np.ndarray | None = None, scale: int = 3) -> np.ndarray:
    """Return a picture with a line around each object; two that touch have a line between them.

    Args:
        image: Array of shape `(height, width, 1)` or `(height, width, 3)`: uint8, uint16, or floats, cut
            off at 0 and 1.
        found: Whole-number array of shape `(height, width, 1)`: 0 for the background, and 1, 2, ... for the objects,
            drawn in orange.
        truth: The same of the true objects, drawn below in blue; None for none.
        scale: Whole number, how much larger the picture becomes, so that lines are finer than pixels.

    Returns:
        Float array of shape `(scale * height, scale * width, 3)` in [0, 1].

    Raises:
        ValueError: If `image` has other channels, or nothing says which of its values is white.
    """
    check_image("outlined", image.shape, channels=(1, 3))
    image = np.clip(image, 0, 1) if is_float(image) else image / white("outlined", image)
    drawn = np.repeat(image, 3 // image.shape[-1], -1).repeat(scale, 0).repeat(scale, 1).astype(float)
    for labels, colour in ((truth, COLOURS[4]), (found, COLOURS[5])):
        if labels is not None:
            large = labels[..., 0].repeat(scale, 0).repeat(scale, 1)
            drawn[find_boundaries(large, mode="inner")] = to_rgb(colour)
    return drawn
