"""The report's tables and plots in the terminal: sheets as Rich tables, figures drawn with characters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from tinyllm_cli.terminal import plain, plain_table, printable

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from tinyllm_cli.report.finding import Finding
    from tinyllm_cli.report.main_table import Column, MainTable
    from tinyllm_cli.report.paper_tables import Paper
    from tinyllm_cli.report.sweeps import Sweep
    from tinyllm_cli.report.table_model import Sheet, TableCell

_HEIGHT = 18
_MARKS = "ox+*#%"


def finding_text(finding: Finding) -> Text:
    """What the report found, as plain text for Rich."""
    details = (one for one in finding.statements if one != finding.headline)
    return plain("\n".join(("Finding", finding.headline, "", *details)))


def sheet_table(sheet: Sheet) -> Table:
    """Cells are plain text, never markup, and steer no terminal."""
    table = plain_table(sheet.title, sheet.head, caption=" ".join(sheet.notes))
    for group in sheet.groups:
        if group.title:
            table.add_row(plain(group.title, "bold"))
        for row in group.rows:
            table.add_row(_two_lines(row.label, row.note), *map(_cell, row.cells))
        table.add_section()
    return table


def _cell(cell: TableCell) -> Text:
    return _two_lines(cell.text, cell.under, "bold" if cell.strong else "")


def _two_lines(text: str, under: str, style: str = "") -> Text:
    both = plain(text, style)
    return both.append(f"\n{printable(under)}", style="not bold dim") if under else both


def overview_plots(paper: Paper, width: int) -> Iterator[str]:
    """For each data set the accuracies of all methods with their intervals, against chance."""
    return (_accuracies(table, column, width) for table in paper.tables for column in table.columns)


def sweep_plots(paper: Paper, width: int) -> Iterator[str]:
    """Accuracy against the size of the training set, and against alpha."""
    return (_sweep_plot(sweep, width) for sweep in (*paper.sizes, *paper.alphas))


def _sweep_plot(sweep: Sweep, width: int) -> str:
    from math import log10

    from tinyllm_cli.report.table_model import number, short

    by_alpha = sweep.kind == "alpha"
    what = "alpha" if by_alpha else "training questions"
    figure = _figure(
        f"Accuracy in percent by {what}: {short(sweep.student)} on {sweep.dataset}, scored by {sweep.scoring}",
        width,
        _HEIGHT,
    )
    legend = []
    for line, mark in zip(sweep.series, cycle(_MARKS), strict=False):
        points = [point for point in line.points if point.x > 0]
        xs = [log10(point.x) if by_alpha else point.x for point in points]
        _line(figure, xs, [100 * point.arm.mean for point in points], mark)
        legend.append(f"{mark} {line.label}")
    values = sorted({point.x for line in sweep.series for point in line.points if point.x > 0})
    figure.ruler("x").ticks([log10(x) if by_alpha else x for x in values], [f"{x:,g}" for x in values])
    if sweep.level is not None:
        _line(figure, [values[0], values[-1]], [100 * sweep.level.mean] * 2, ".")
        legend.append(f". full fine-tuning on {sweep.level.size:,} questions: {number(sweep.level.mean)}")
    return _drawn(figure, legend)


def _accuracies(table: MainTable, column: Column, width: int) -> str:
    """A line from the low to the high end of each interval, the methods below each other; chance is a line down."""
    from tinyllm_cli.report.table_model import short

    lines = [
        (f"{short(block.student)[:24]} {line.label}", line.entries[column.dataset].arm)
        for block in table.blocks for line in block.lines if column.dataset in line.entries
    ]  # fmt: skip
    title = f"Accuracy on {column.dataset} in percent, 95 % intervals, scored by {table.scoring}"
    figure = _figure(title, width, len(lines) + 4)
    rows = list(range(len(lines), 0, -1))
    _line(figure, [100 * column.chance] * 2, [0.5, len(lines) + 0.5], ":")
    for row, (_, arm) in zip(rows, lines, strict=True):
        _line(figure, [100 * arm.low, 100 * arm.high], [row, row], "-")
        _line(figure, [100 * arm.mean], [row], "o")
    figure.ruler("y").ticks(rows, [printable(label) for label, _ in lines])
    figure.ruler("y").lim(0.5, len(lines) + 0.5)
    return _drawn(figure, [f": chance, {100 * column.chance:.1f}"])


def _figure(title: str, width: int, height: int) -> Any:
    """Without colours, which plotext would write where nobody sees them."""
    import plotext

    figure = plotext.figure
    figure.clear.all()
    figure.theme("colorless")
    figure.plot_size(min(width, 100), height)
    figure.title(printable(title))
    return figure


def _line(figure: Any, xs: Sequence[float], ys: Sequence[float], mark: str) -> None:
    figure.draw(figure.signal(list(xs), list(ys), marker=mark).lines(len(xs) > 1))


def _drawn(figure: Any, legend: Sequence[str]) -> str:
    drawn = str(figure.build().string(colorless=True)).rstrip("\n")
    return "\n".join([drawn, *(f"    {printable(line)}" for line in legend), ""])
