"""How results show themselves: the same rows as text and as an HTML table."""

import html


def as_text(rows):
    """Return rows of cells as aligned lines; the first row is the header, numbers go to the right."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def as_html(rows):
    """Return rows of cells as an HTML table; the first row is the header, columns of numbers go to the right.

    Each cell brings its own margins: notebooks, Colab and web pages all have different ones, or none. The table takes
    the focus, so that one wider than the page can be scrolled with the keyboard.
    """
    head, *body = [[html.escape(str(cell)) for cell in row] for row in rows]
    numeric = [all(cell[:1] in "-0123456789" for cell in column) for column in zip(*body, strict=True)]
    sides = ["right" if right and i else "left" for i, right in enumerate(numeric or [False] * len(head))]

    def line(row, tag):
        cells = zip(row, sides, strict=True)
        return "".join(f'<{tag} style="padding:.2em .8em;text-align:{side}">{c}</{tag[:2]}>' for c, side in cells)

    lines = "".join(f"<tr>{line(row, 'td')}</tr>" for row in body)
    return f"<table tabindex=0><thead><tr>{line(head, 'th scope=col')}</tr></thead><tbody>{lines}</tbody></table>"


def largest(counts, most=12):
    """Return the largest of some counts, in their own order, and as a last entry the sum of the others.

    >>> largest({"stem": 1, "wide": 9, "norm": 2, "head": 8}, most=3)
    {'wide': 9, 'head': 8, '2 others': 3}
    """
    counts = {name: count for name, count in counts.items() if count}
    if len(counts) <= most:
        return counts
    kept = sorted(counts, key=counts.get)[1 - most :]
    rest = sum(count for name, count in counts.items() if name not in kept)
    return {name: count for name, count in counts.items() if name in kept} | {f"{len(counts) - most + 1} others": rest}


class Table:
    """Mixin for results: `rows()` is all they need to print well in a terminal and in a notebook."""

    def __repr__(self):
        return as_text(self.rows())

    def _repr_html_(self):
        return as_html(self.rows())
