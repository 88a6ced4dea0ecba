"""Sheets as LaTeX tables for booktabs. Names are escaped: none can run a command or end a cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tinyllm_cli.report.table_model import Group, Sheet, TableCell, TableRow, by_group

_SPELLED = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "±": r"$\pm$",
    "–": "--",
}

_WIDE = 7  # columns

_OPENING = """\
% Made by tinyllm report. Needs: \\usepackage{booktabs}, and \\usepackage[T1]{fontenc} for names with quotes."""


def latex(sheets: Sequence[Sheet]) -> str:
    """A float for each sheet; for each group of a wide one, which tends to be long as well. Notes follow the table."""
    parts = [part for sheet in sheets for part in (_numbered(sheet) if len(sheet.head) > _WIDE else [sheet])]
    return "\n".join([_OPENING, *(line for sheet in parts for line in _lines(sheet)), ""])


def _numbered(sheet: Sheet) -> list[Sheet]:
    return [replace(part, name=f"{part.name}-{number}") for number, part in enumerate(by_group(sheet), start=1)]


def _lines(sheet: Sheet) -> Iterator[str]:
    columns = "".join("r" if name.startswith(">") else "l" for name in sheet.head)
    size = "\\footnotesize\n\\setlength{\\tabcolsep}{3.5pt}" if len(sheet.head) > _WIDE else "\\small"
    yield f"\n\\begin{{table}}\n\\centering\n{size}"
    yield f"\\caption{{{plain(sheet.title)}}}"
    yield f"\\label{{tab:{sheet.name}}}"
    yield f"\\begin{{tabular}}{{{columns}}}\n\\toprule"
    yield _row(plain(name.removeprefix(">")) for name in sheet.head)
    for group in sheet.groups:
        yield "\\midrule"
        if group.title:
            yield f"\\multicolumn{{{len(sheet.head)}}}{{l}}{{\\textit{{{plain(group.title)}}}}} \\\\"
        for row in group.rows:
            yield _row([_label(row, group), *map(_cell, row.cells)])
    yield "\\bottomrule\n\\end{tabular}"
    notes = " ".join((*sheet.notes, *_settings(sheet)))
    if notes:
        yield f"\n\\smallskip\n\\parbox{{\\linewidth}}{{\\footnotesize {plain(notes)}}}"
    yield "\\end{table}"


def _settings(sheet: Sheet) -> Iterator[str]:
    """Notes on rows, which have no room in the table, unless they distinguish two rows."""
    for group in sheet.groups:
        for row in group.rows:
            if row.note and not _ambiguous(row, group):
                yield f"{row.label}{f' ({group.title})' if group.title else ''}: {row.note}."


def _ambiguous(row: TableRow, group: Group) -> bool:
    return sum(other.label == row.label for other in group.rows) > 1


def _label(row: TableRow, group: Group) -> str:
    note = f" {{\\scriptsize {plain(row.note)}}}" if row.note and _ambiguous(row, group) else ""
    return _guarded(plain(row.label)) + note


def plain(text: str) -> str:
    """As text that LaTeX shows as it is, on one line."""
    one_line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return "".join(_SPELLED.get(letter, letter) for letter in one_line)


def _row(cells: Iterator[str] | Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _cell(cell: TableCell) -> str:
    text = f"\\textbf{{{plain(cell.text)}}}" if cell.strong else _guarded(plain(cell.text))
    return text + (f" {{\\scriptsize {plain(cell.under)}}}" if cell.under else "")


def _guarded(text: str) -> str:
    """After `\\\\` a bracket would be read as its argument, a star as its variant."""
    return f"{{}}{text}" if text.startswith(("[", "*")) else text
