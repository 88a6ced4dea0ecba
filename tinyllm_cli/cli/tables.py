"""Tables for the terminal. Titles, heads and cells are plain text, never markup, and steer no terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tinyllm_cli.cli.console import printable

if TYPE_CHECKING:
    from rich.table import Table


def plain_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> Table:
    """A `>` before a column's name aligns it to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(printable(title), style="bold"), title_justify="left",
        caption=Text(printable(caption)) if caption else None, caption_justify="left", box=SIMPLE_HEAD, pad_edge=False,
    )  # fmt: skip
    for name in head:
        number = name.startswith(">")
        heading = Text(printable(name.removeprefix(">")))
        table.add_column(heading, justify="right" if number else "left", no_wrap=number, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table
