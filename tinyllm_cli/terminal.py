"""Untrusted text for the terminal, without markup and control characters, and tables that fit a narrow terminal without
losing text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Column, Table
    from rich.text import Text

REORDERING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Bidirectional controls, which display a line in another order than it is written."""


def printable(text: str) -> str:
    """The text with control characters (except tab and line feed) and bidirectional controls replaced by U+FFFD."""
    if text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if _steers(c) else c for c in text)


def _steers(character: str) -> bool:
    return character in REORDERING or (character not in "\n\t" and unicodedata.category(character) == "Cc")


def plain(text: str, style: str = "") -> Text:
    """Text for Rich."""
    from rich.text import Text

    return Text(printable(text), style=style)


def plain_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]] = (), caption: str = "") -> Table:
    """A table of plain text; a `>` before a column's name aligns it to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        title=plain(title, "bold"), title_justify="left", caption_justify="left", box=SIMPLE_HEAD, pad_edge=False,
        caption=plain(caption) if caption else None,
    )  # fmt: skip
    for name in head:
        number = name.startswith(">")
        heading = plain(name.removeprefix(">"))
        table.add_column(heading, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    return table


_MANY = 500
"""Rows of a table from which Rich takes seconds."""


@dataclass(frozen=True, kw_only=True)
class LongTable:
    """A table of plain text that may have many thousand rows."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    def table(self) -> Table:
        return plain_table(self.title, self.head, self.rows, self.caption)

    @cached_property
    def _cells(self) -> list[list[str]]:
        return [[printable(cell) for cell in row] for row in self.rows]

    def outline(self, wanted: int) -> Table | None:
        """A table of the widest cell of each column. None where there are few rows, or one does not fit into a line of
        `wanted` columns."""
        if len(self.rows) <= _MANY or any("\n" in cell or "\t" in cell for row in self._cells for cell in row):
            return None
        widest = [max(column, key=_width) for column in zip(*self._cells, strict=True)]
        table = plain_table(self.title, self.head, [widest], self.caption)
        fit(table, wanted)
        folded = any((column.width or 0) < _width(cell) for column, cell in zip(table.columns, widest, strict=True))
        return None if folded else table

    def lines(self, widths: Sequence[int]) -> Iterator[str]:
        """The rows as Rich writes them where each fits into a line."""
        right = [name.startswith(">") for name in self.head]
        for row in self._cells:
            blanks = [" " * (width - _width(cell)) for width, cell in zip(widths, row, strict=True)]
            padded = (
                blank + cell if number else cell + blank for number, blank, cell in zip(right, blanks, row, strict=True)
            )
            yield f" {(' ' * _BETWEEN).join(padded)} "


_LEAST, _LEAST_HEADING = 12, 10  # narrowest width of words, and of a heading's
_BETWEEN, _EDGES = 3, 2  # columns between two cells; left and right of all


def fit(table: Table, wanted: int) -> int:
    """Fold a table of plain cells to `wanted` columns, and return its width: larger where numbers would lose a digit or
    names would disappear. Lines break between words as long as there is room for that."""
    around = _BETWEEN * (len(table.columns) - 1) + _EDGES
    widths = [max(_longest([column.header, *column.cells], "\n"), 1) for column in table.columns]
    least = [_least(column, None) for column in table.columns]
    if sum(least) + around > wanted:
        least = [_least(column, _LEAST) for column in table.columns]
    while sum(widths) + around > wanted and widths != least:
        _, widest = max((width, place) for place, width in enumerate(widths) if width > least[place])
        widths[widest] -= 1
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    return max(wanted, sum(widths) + around)


def _least(column: Column, most: int | None) -> int:
    """The least width of a column: numbers stay whole, and words up to `most` characters, all words when it is None."""
    cells = list(column.cells)
    line, word = _longest(cells, "\n"), _longest(cells)
    heading = max(1, min(_longest([column.header]), _LEAST_HEADING))
    if column.justify == "right":
        return max(line, heading)
    return max(word if most is None else min(line, most), heading)


def _width(text: str) -> int:
    """The columns that a text takes in the terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _longest(cells: Iterable[RenderableType], between: str | None = None) -> int:
    """The width of the widest part of the cells; parts are words by default."""
    from rich.cells import cell_len
    from rich.text import Text

    texts = (cell.plain if isinstance(cell, Text) else str(cell) for cell in cells)
    return max((cell_len(part) for text in texts for part in text.split(between)), default=0)
