"""A table of texts that shows itself in a terminal and in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table of texts; where it is the value of a notebook's cell, it is shown as HTML.

    Attributes:
        head: the names of the columns.
        rows: as many texts per row; the first names the row.

    Raises:
        ValueError: a row of another length than the head.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows, start=1):
            if len(row) != len(self.head):
                raise ValueError(
                    f"row {number} ({row[:1]}) has {len(row)} cells, the head {len(self.head)}"
                )

    def __str__(self) -> str:
        lines = [self.head, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def line(cells: Iterable[str], tag: str, scope: str) -> str:
            first, *others = (html.escape(cell) for cell in cells)
            left = ' style="text-align:left"'
            row = f'<th scope="{scope}"{left}>{first}</th>'
            return f"<tr>{row}{''.join(f'<{tag}{left}>{other}</{tag}>' for other in others)}</tr>"

        body = "".join(line(row, "td", "row") for row in self.rows)
        head = line(self.head, "th", "col")
        return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"
