"""What a receptive field says: size, stride and offset along each axis, and what each output position sees."""

import dataclasses

import numpy as np

from dlt.measure._pace import ends_along, pace
from dlt.show import Table

OPEN_SIDES = (64, 512, 4096)  # tried in turn for an open side, until the field fits in


@dataclasses.dataclass(frozen=True)
class AxisField:
    """The receptive field along one axis of the image, in pixels.

    Attributes:
        first: Integer array, the first pixel that each output position sees; above `last` where it sees none.
        last: Integer array, the last one.
        side: Whole number, how long the image is.
        size: Whole number of pixels that an output sees, the most of all positions away from the border.
        stride: How many pixels the field moves from one output to the next; None if at no steady pace, or if no
            field lies inside the image.
        offset: Where the centre of output 0's field would lie without a border; pixel i has its centre at i.
        whole: Whether each output sees the image from end to end, however large it is.
        cut: Whether no field fits into the image, so that `size` is a lower bound.
        inside: Boolean array, for each output position whether its field lies inside the image, away from all borders.
        at_most: Whether outputs may see less than `first` to `last`: where something could not be followed, or where
            the outputs of a row (for `width`: of a column) see different rows of the image.
    """

    first: np.ndarray
    last: np.ndarray
    side: int
    size: int
    stride: float | None
    offset: float | None
    whole: bool
    cut: bool
    inside: np.ndarray
    at_most: bool = False

    @property
    def settled(self) -> bool:
        """Return whether the image was large enough to tell."""
        return self.stride is not None or (self.whole and self.side >= OPEN_SIDES[1])

    def row(self, name: str) -> tuple:
        """Return the axis as a row of a table."""
        size = "whole image" if self.whole else self.size
        if self.cut and not self.whole:
            size = "not known" if self.at_most else f"at least {size}"
        elif self.at_most:
            size = f"at most {size}"
        return (name, size, *("-" if value is None else f"{value:g}" for value in (self.stride, self.offset)))


@dataclasses.dataclass(frozen=True, repr=False)
class ReceptiveField(Table):
    """Which input pixels an output can depend on.

    Attributes:
        height: `AxisField` of the vertical axis.
        width: `AxisField` of the horizontal axis.
        probed: Tuple of the paths of layers that were probed with numbers, because they could not be read.
        unknown: Tuple of the paths of layers that could not be probed either: they count as seeing all they are given.
    """

    height: AxisField
    width: AxisField
    probed: tuple
    unknown: tuple = ()

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width of the field, in pixels."""
        return self.height.size, self.width.size

    @property
    def stride(self) -> tuple[float | None, float | None]:
        """Return how far the field moves from one output to the next, down and right, in pixels."""
        return self.height.stride, self.width.stride

    @property
    def offset(self) -> tuple[float | None, float | None]:
        """Return where the centre of the first output's field would lie without a border, in pixels."""
        return self.height.offset, self.width.offset

    @property
    def whole(self) -> bool:
        """Return whether every output sees the whole image."""
        return self.height.whole and self.width.whole

    @property
    def at_most(self) -> bool:
        """Return whether outputs may see less than is said, along either axis."""
        return self.height.at_most or self.width.at_most

    def interval(self, row: int | None = None, column: int | None = None) -> tuple:
        """Return what one output sees: `((top, bottom), (left, right))`, both ends included; middle by default.

        An axis along which it sees nothing but padding is None.
        """
        found = []
        for axis, at in ((self.height, row), (self.width, column)):
            at = len(axis.first) // 2 if at is None else at
            first, last = int(axis.first[at]), int(axis.last[at])
            found.append((first, last) if first <= last else None)
        return tuple(found)

    def rows(self) -> list[tuple]:
        """Return a row per axis, and what had to be probed or could not be followed."""
        named = [f"probed: {path}" for path in self.probed] + [f"not followed: {path}" for path in self.unknown]
        axes = self.height.row("height"), self.width.row("width")
        return [("axis", "size", "stride", "offset"), *axes, *((name, "", "", "") for name in named)]

    def plot(self):
        """Return a figure of the image, with the field of the middle output in white."""
        from dlt.plot import images

        picture = np.zeros((self.height.side, self.width.side))
        if all(intervals := self.interval()):
            picture[tuple(slice(first, last + 1) for first, last in intervals)] = 1
        return images({f"{self.size[0]} x {self.size[1]} pixels": picture}, side=4, limits=(0, 1))


def axis_field(pair, which, side, period):
    """Return the field along one axis; an output that is no map, such as class scores, is a single position."""
    first, last, edge, at_most = ends_along(pair, which)
    inside = ~edge & (first <= last)
    size = (last - first + 1)[inside if inside.any() else slice(None)]
    stride, offset, _ = pace(first, last, inside) or (None, None, None)
    if stride is not None and np.ptp(np.flatnonzero(inside)) + 1 < 2 * period / max(abs(stride), 1e-9):
        stride = offset = None  # too few positions to see every phase twice
    size = max(0, int(size.max()))
    cut = not inside.any() and bool((first <= last).any())
    return AxisField(first, last, side, size, stride, offset, pair[which].whole, cut, inside, at_most)
