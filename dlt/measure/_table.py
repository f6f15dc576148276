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
    """Return rows of cells as an HTML table; the first row is the header."""
    head, *body = [[html.escape(str(cell)) for cell in row] for row in rows]
    lines = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in body]
    header = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    return f"<table><thead><tr>{header}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


class Table:
    """Mixin for results: `rows()` is all they need to print well in a terminal and in a notebook."""

    def __repr__(self):
        return as_text(self.rows())

    def _repr_html_(self):
        return as_html(self.rows())
