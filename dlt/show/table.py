import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dlt._check import fail
from dlt.show._cells import written

Cells = Sequence[Any]
LONG = 24  # characters: a text that gets room for more than a word per line, however narrow the page


class Table:
    """What prints itself as a table: HTML in a notebook, aligned text elsewhere.

    A class inherits from it and has `rows()`, whose first row is the header. Every result of `dlt.measure` does.
    """

    marked: tuple[str, ...] = ()  # headings of columns in bold

    def rows(self) -> list[tuple]:
        """Return the header and then the rows, tuples of one length."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return as_text(self.rows())

    def _repr_html_(self) -> str:
        return as_html(self.rows(), self.marked)


class _Rows(Table):
    def __init__(self, rows: list[tuple], marked: tuple[str, ...]):
        self._rows = rows
        self.marked = marked

    def rows(self) -> list[tuple]:
        return list(self._rows)


def table(
    data: Mapping[Any, Any] | Iterable[Any],
    columns: Sequence[str] | None = None,
    form: str | Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    mark: str | Sequence[str] = (),
) -> Table:
    """Return rows as a table, which a notebook shows when it ends a cell.

    The first column has the labels. Numbers of one column get the same decimals, three digits for the largest; whole
    numbers are written in full; a column whose numbers differ more than a thousandfold gets two digits for each of
    them. Several numbers in one cell, such as one per seed, become their mean and standard deviation: `0.912 ± 0.004`.
    None is an empty cell, True is "yes".

    Args:
        data: A mapping, label -> mapping of column -> value; or a mapping, label -> one value or tuple of values; or
            rows, as mappings of column -> value, or as tuples.
        columns: Headings in their order, that of the labels first. None takes the keys, and leaves the labels of a
            mapping without a heading. Where values have names, it chooses which are shown.
        form: Format of numbers as in f-strings, such as ".1f": one for all, or a mapping, column -> format.
        units: Mapping, column -> unit, which the heading gets in brackets.
        mark: Column or columns in bold: what the text is about. On a phone the first columns are seen first.

    Returns:
        A `Table`.

    Raises:
        ValueError: If rows differ in length from the header, headings are missing, or a column is not there.

    >>> table({"dense": {"parameters": 36864, "time": 3.214}, "pointwise": {"parameters": 4096, "time": 0.4}},
    ...       units={"time": "ms"})
               parameters  time (ms)
    dense          36,864       3.21
    pointwise       4,096       0.40
    >>> table({"plain": [61.2, 63.0, 60.9], "residual": [88.1, 87.5, 88.4]}, columns=["network", "accuracy (%)"])
    network   accuracy (%)
    plain       61.7 ± 1.1
    residual    88.0 ± 0.5
    """
    header, body = arranged(data, columns)
    marked = (mark,) if isinstance(mark, str) else tuple(mark)
    forms = dict.fromkeys(header[1:], form) if isinstance(form, str) else dict(form or {})
    units = units or {}
    for name, wanted in (("form", forms), ("units", units), ("mark", marked)):
        check_known(name, wanted, header)
    columns_of_text = [
        written(column, forms.get(heading))
        for heading, column in zip(header, zip(*body, strict=True), strict=bool(body))
    ]
    titles = {heading: f"{heading} ({units[heading]})" if heading in units else heading for heading in header}
    rows = [tuple(titles.values()), *zip(*columns_of_text, strict=True)]
    return _Rows(rows, tuple(titles[heading] for heading in marked))


def arranged(data: Mapping | Iterable, columns: Sequence[str] | None) -> tuple[list[str], list[Cells]]:
    """Return the header, and rows of values of its length."""
    if not isinstance(data, Mapping):
        rows = list(data)
        if rows and all(isinstance(row, Mapping) for row in rows):
            header = chosen(rows, columns)
            return header, [[row.get(heading) for heading in header] for row in rows]
        return fitting(rows, columns)
    if data and all(isinstance(values, Mapping) for values in data.values()):
        header = chosen(data.values(), columns and columns[1:])
        rows = [(label, *(values.get(heading) for heading in header)) for label, values in data.items()]
        return [columns[0] if columns else "", *header], rows
    rows = [(label, *(values if isinstance(values, tuple) else (values,))) for label, values in data.items()]
    return fitting(rows, columns)


def chosen(rows: Iterable[Mapping], columns: Sequence[str] | None) -> list[str]:
    """Return the headings of rows that name their values: all, or those asked for."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    check_known("columns", columns or (), keys)
    return keys if columns is None else list(columns)


def fitting(rows: list[Cells], columns: Sequence[str] | None) -> tuple[list[str], list[Cells]]:
    """Return headings and rows if each row has a value for each heading."""
    if columns is None:
        fail(
            "A table of bare values has no headings.",
            "`columns`, a heading for the labels and one for each value",
            "columns=None",
            "Pass for example columns=['layer', 'parameters'], or make the rows dicts.",
        )
    for row in rows:
        if isinstance(row, str) or len(row) != len(columns):
            fail(
                "A row does not fit the header.",
                f"{len(columns)} values: {', '.join(map(str, columns))}",
                f"{row!r}",
                "Name every column in `columns`, that of the labels too; of a mapping, values of several columns are "
                "a tuple, since a list is one cell.",
            )
    return list(columns), rows


def check_known(argument: str, names: Iterable[str], header: Sequence[str]) -> None:
    """Raise if a name is no column."""
    for name in names:
        if name not in header:
            fail(
                f"`{argument}` names a column that is not there.",
                f"one of {', '.join(repr(heading) for heading in header)}",
                f"{name!r}",
                "Check the spelling; units stand in `units`, not in the name.",
            )


def right_of(rows: Sequence[Sequence[str]]) -> list[bool]:
    """Return which columns go to the right: those of numbers, but for the first, which has the labels."""
    head, *body = rows
    numeric = [
        all(cell[:1] in "+-0123456789" or cell in ("nan", "inf") for cell in column)
        for column in zip(*body, strict=True)
    ]
    return [number and i > 0 for i, number in enumerate(numeric or [False] * len(head))]


def as_text(rows: Iterable[Cells]) -> str:
    """Return rows of cells as aligned lines; the first row is the header, columns of numbers go to the right."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    places = [f"{'>' if right else '<'}{width}" for right, width in zip(right_of(rows), widths, strict=True)]
    return "\n".join("  ".join(map(format, row, places)).rstrip() for row in rows)


def as_html(rows: Iterable[Cells], marked: Sequence[str] = ()) -> str:
    """Return rows of cells as an HTML table; the first row is the header, columns of numbers go to the right.

    Each cell brings its own margins: notebooks, Colab and web pages all have different ones, or none. No colours: a
    table has those of the page, light or dark. One wider than the page scrolls in its own box, and takes the focus, so
    that the keyboard can scroll it.
    """
    head, *body = [[str(cell) for cell in row] for row in rows]
    right = right_of([head, *body])
    long = [max(map(len, column), default=0) > LONG for column in zip(head, *body, strict=True)]
    place = "padding:.2em .8em;vertical-align:top;text-align:"
    styles = [place + ("right" if side else "left") for side in right]
    inside = [
        style + ";white-space:nowrap" * side + ";min-width:12em" * words + ";font-weight:bold" * (heading in marked)
        for style, side, words, heading in zip(styles, right, long, head, strict=True)
    ]

    def line(row, tag, styles):
        cells = zip(row, styles, strict=True)
        return "".join(f'<{tag} style="{style}">{html.escape(cell)}</{tag[:2]}>' for cell, style in cells)

    top = line(head, "th scope=col", styles)
    lines = "".join(f"<tr>{line(row, 'td', inside)}</tr>" for row in body)
    box = "display:block;overflow-x:auto;max-width:100%;width:max-content"
    return f'<table tabindex=0 style="{box}"><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>'
