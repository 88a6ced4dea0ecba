"""Sheets as LaTeX tables for booktabs. Names are escaped: none can run a command or end a cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tinyllm_cli.reporting.cells import Cell, Row, Sheet

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

_OPENING = """\
% Made by tinyllm report. Needs: \\usepackage{booktabs}, and \\usepackage[T1]{fontenc} for names with quotes."""


def latex(sheets: Sequence[Sheet]) -> str:
    return "\n".join([_OPENING, *(line for sheet in sheets for line in _lines(sheet)), ""])


def _lines(sheet: Sheet) -> Iterator[str]:
    columns = "".join("r" if name.startswith(">") else "l" for name in sheet.head)
    yield "\n\\begin{table}\n\\centering\n\\small"
    yield f"\\caption{{{plain(' '.join((sheet.title + '.', *sheet.notes)))}}}"
    yield f"\\label{{tab:{sheet.name}}}"
    yield f"\\begin{{tabular}}{{{columns}}}\n\\toprule"
    yield _row(plain(name.removeprefix(">")) for name in sheet.head)
    for group in sheet.groups:
        yield "\\midrule"
        if group.title:
            yield f"\\multicolumn{{{len(sheet.head)}}}{{l}}{{\\textit{{{plain(group.title)}}}}} \\\\"
        for row in group.rows:
            yield _row([_label(row), *map(_cell, row.cells)])
    yield "\\bottomrule\n\\end{tabular}\n\\end{table}"


def plain(text: str) -> str:
    """As text that LaTeX shows as it is, on one line."""
    one_line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return "".join(_SPELLED.get(letter, letter) for letter in one_line)


def _row(cells: Iterator[str] | Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _label(row: Row) -> str:
    return _guarded(plain(row.label)) + (f" {{\\scriptsize {plain(row.note)}}}" if row.note else "")


def _cell(cell: Cell) -> str:
    text = f"\\textbf{{{plain(cell.text)}}}" if cell.strong else _guarded(plain(cell.text))
    return text + (f" {{\\scriptsize {plain(cell.under)}}}" if cell.under else "")


def _guarded(text: str) -> str:
    """After `\\\\` a bracket would be read as its argument, a star as its variant."""
    return f"{{}}{text}" if text.startswith(("[", "*")) else text
