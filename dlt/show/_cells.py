"""How values become text: one number of decimals for a whole column, so that its numbers can be compared."""

import math
import numbers
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

DIGITS = 3  # of the largest number of a column
WIDEST = 1000  # a column whose numbers differ by more than this factor gets two digits for each of them


def number(value: Any) -> bool:
    """Return whether a value is a real number, a boolean being none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)


def many(value: Any) -> bool:
    """Return whether a value holds several numbers, as of several seeds."""
    sequence = isinstance(value, Sequence) and not isinstance(value, str)
    array = isinstance(value, np.ndarray) and value.ndim == 1
    return (sequence or array) and len(value) > 0 and all(number(item) for item in value)


def form_of(values: Iterable[Any]) -> Callable[[Any], str]:
    """Return the function that writes the numbers of a column: whole ones in full, others with common decimals."""
    values = [float(item) if not isinstance(item, numbers.Integral) else int(item) for item in values]
    if all(isinstance(value, int) for value in values):
        return "{:,}".format
    sizes = [abs(value) for value in values if value and math.isfinite(value)]
    if not sizes:
        return "{:g}".format
    if max(sizes) > WIDEST * min(sizes) or max(sizes) < 10.0**-DIGITS or max(sizes) >= 1e7:
        return two_digits
    decimals = max(0, DIGITS - 1 - math.floor(math.log10(max(sizes))))
    return f"{{:,.{decimals}f}}".format


def two_digits(value: float) -> str:
    """Return a number with two digits that count, with powers of ten only where it is tiny or huge."""
    size = abs(value)
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if not 1e-3 <= size < 1e5:
        return f"{value:.1e}"
    return f"{value:,.{max(0, 1 - math.floor(math.log10(size)))}f}"


def written(values: Sequence[Any], form: str | None = None) -> list[str]:
    """Return the cells of one column; several numbers in one cell are their mean and standard deviation."""
    means = [statistics.fmean(value) if many(value) else value for value in values]
    one = f"{{:{form}}}".format if form is not None else form_of(mean for mean in means if number(mean))
    return [cell(value, mean, one) for value, mean in zip(values, means, strict=True)]


def cell(value: Any, mean: Any, one: Callable[[Any], str]) -> str:
    """Return one cell."""
    if many(value) and len(value) > 1:
        spread = statistics.stdev(map(float, value)) if math.isfinite(mean) else math.nan
        return f"{one(mean)} ± {one(spread)}"
    if many(value):
        return one(mean)
    if number(value):
        return one(value)
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return str(value)
