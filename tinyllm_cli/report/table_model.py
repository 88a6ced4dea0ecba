"""Sheets: titled tables of texts, the same for page, terminal, Markdown and LaTeX; and the format of figures.

Nothing is escaped here: each writer escapes for its format.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyllm_cli.report.arms import Arm
    from tinyllm_cli.report.comparisons import Comparison

HOW_MEASURED = (
    "Accuracy in percent, and below it the 95 % Wilson interval for the number of questions; with several seeds their"
    " mean ± standard deviation."
)


@dataclass(frozen=True, kw_only=True)
class TableCell:
    """`under` is shown smaller, below or after the text."""

    text: str = "–"
    under: str = ""
    strong: bool = False


@dataclass(frozen=True, kw_only=True)
class TableRow:
    label: str
    note: str = ""
    cells: tuple[TableCell, ...]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows under a heading of their own; an empty title has none."""

    title: str = ""
    rows: tuple[TableRow, ...]


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """`name` is good for a file or a label. A `>` before a column's name aligns it to the right; the first column holds
    the rows' labels."""

    name: str
    title: str
    head: tuple[str, ...]
    groups: tuple[Group, ...]
    notes: tuple[str, ...] = ()


def by_group(sheet: Sheet) -> Iterator[Sheet]:
    """A long sheet as one sheet for each group."""
    for group in sheet.groups:
        last = group is sheet.groups[-1]
        title = f"{sheet.title}: {group.title}"
        yield replace(sheet, title=title, groups=(replace(group, title=""),), notes=sheet.notes if last else ())


def arm_cell(arm: Arm, *, strong: bool = False) -> TableCell:
    spread = "" if arm.spread is None else f" ± {number(arm.spread)}"
    return TableCell(text=number(arm.mean) + spread, under=f"{number(arm.low)} to {number(arm.high)}", strong=strong)


def number(share: float, digits: int = 1) -> str:
    """A share in percent, without the sign."""
    return f"{100 * share:.{digits}f}"


def points_text(one: Comparison) -> str:
    """A difference in accuracy in points with its 95 % interval."""
    return f"{100 * one.difference:+.1f} ({100 * one.low:+.1f}\u00a0to\u00a0{100 * one.high:+.1f})"


def p_text(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


UNKNOWN = "unknown"
"""A cost that nobody knows, such as that of a local teacher or a recording: never 0, never a dash."""


def money(cost: float | None, partly: bool = False) -> str:
    """`partly`: more of the cost is unknown."""
    return UNKNOWN if cost is None else f"{'at least ' if partly else ''}{cost:.4f}"


def short(student: str) -> str:
    """`google/flan-t5-small` and a folder's path by their last part."""
    return student.rstrip("/").rpartition("/")[2] or student


def slug(name: str) -> str:
    """For file names and labels: letters, digits and hyphens."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in short(name).lower())
    return "-".join(filter(None, kept.split("-"))) or "x"
