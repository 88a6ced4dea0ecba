"""Foreign text on its way to the terminal: never markup, and without characters that could steer it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

REORDERING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""They show a line in another order than it is written."""


def printable(text: str) -> str:
    """Control characters but tab and line feed, and what reorders, as the replacement character."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _steers(c) else c for c in text)


def _steers(character: str) -> bool:
    return character in REORDERING or (character not in "\n\t" and unicodedata.category(character) == "Cc")


def plain(text: str, style: str = "") -> Text:
    """Text for Rich."""
    from rich.text import Text

    return Text(printable(text), style=style)


def plain_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]] = (), caption: str = "") -> Table:
    """A `>` before a column's name aligns it to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        title=plain(title, "bold"), title_justify="left", caption_justify="left", box=SIMPLE_HEAD, pad_edge=False,
        caption=plain(caption) if caption else None,
    )  # fmt: skip
    for name in head:
        number = name.startswith(">")
        heading = plain(name.removeprefix(">"))
        table.add_column(heading, justify="right" if number else "left", no_wrap=number, overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    return table
