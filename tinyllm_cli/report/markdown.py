"""Sheets as Markdown tables. Names are escaped: none can end a cell, make a link, or be taken for HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tinyllm_cli.report.table_model import Sheet, TableCell, TableRow

_SPECIAL = "\\`*_{}[]<>()#|~!$"


def markdown(sheets: Sequence[Sheet]) -> str:
    return "\n".join(["<!-- Made by tinyllm report. -->\n", *(line for sheet in sheets for line in _lines(sheet))])


def _lines(sheet: Sheet) -> Iterator[str]:
    yield f"## {plain(sheet.title)}\n"
    yield _row(plain(name.removeprefix(">")) for name in sheet.head)
    yield _row("---:" if name.startswith(">") else "---" for name in sheet.head)
    for group in sheet.groups:
        if group.title:
            yield _row([f"**{plain(group.title)}**", *[""] * (len(sheet.head) - 1)])
        for row in group.rows:
            yield _row([_label(row), *map(_cell, row.cells)])
    yield ""
    for note in sheet.notes:
        yield f"{plain(note)}\n"


def plain(text: str) -> str:
    """As text that Markdown shows as it is, on one line."""
    one_line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return "".join(f"&{_ENTITIES[c]};" if c in _ENTITIES else f"\\{c}" if c in _SPECIAL else c for c in one_line)


_ENTITIES = {"&": "amp", "<": "lt", ">": "gt", "|": "#124"}


def _row(cells: Iterator[str] | Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _label(row: TableRow) -> str:
    return plain(row.label) + (f" ({plain(row.note)})" if row.note else "")


def _cell(cell: TableCell) -> str:
    text = f"**{plain(cell.text)}**" if cell.strong else plain(cell.text)
    return text + (f" ({plain(cell.under)})" if cell.under else "")
