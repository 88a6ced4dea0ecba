"""The main table as a sheet: methods by data set, what was gained, what the questions can show, the paper's figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import fmean

from tinyllm_cli.report.comparisons import Comparison
from tinyllm_cli.report.main_table import AccuracyGain, Block, Column, Entry, MainTable, MethodLine
from tinyllm_cli.report.paper_figures import PublishedLine, paper_student
from tinyllm_cli.report.paper_tables import Paper
from tinyllm_cli.report.table_model import HOW_MEASURED, Group, Sheet, TableCell, TableRow, arm_cell, number, short
from tinyllm_cli.stats import smallest_difference
from tinyllm_cli.training.methods import TITLES

_STATES = {"done": "trained to the end", "pruned": "ended early"}


def main_sheet(table: MainTable, paper: Paper) -> Sheet:
    names = [column.dataset for column in table.columns]
    usual = _usual_seeds(table)
    groups = [Group(title="Teachers", rows=tuple(_line(line, table.columns, usual) for line in table.teachers))]
    for block in table.blocks:
        rows = [_line(line, table.columns, usual) for line in block.lines]
        rows += [_gain(gain, table.columns) for gain in block.gains]
        groups.append(Group(title=short(block.student), rows=tuple(rows)))
    groups += _published(paper, table.blocks, names)
    groups.append(Group(title="Questions", rows=tuple(_facts(table, paper.comparisons))))
    return Sheet(
        name=f"table1-{table.scoring}",
        title=f"Accuracy on test by method, scored by {table.scoring}",
        head=("method", *(f">{name}" for name in names), *((">mean",) if len(names) > 1 else ())),
        groups=tuple(group for group in groups if group.rows),
        notes=tuple(_notes(table, paper, usual)),
    )


def _line(line: MethodLine, columns: Sequence[Column], usual: int) -> TableRow:
    entries = [line.entries.get(column.dataset) for column in columns]
    cells = [arm_cell(entry.arm, strong=entry.best) if entry else TableCell() for entry in entries]
    if len(columns) > 1:
        cells.append(TableCell(text=number(line.mean), strong=line.best) if line.mean is not None else TableCell())
    return TableRow(label=line.label, note=_settings(line, usual), cells=tuple(cells))


def _settings(line: MethodLine, usual: int) -> str:
    """Which setting stands for the method, where there is more than its name to say; seeds where they aren't usual."""
    told: dict[str, list[str]] = {}
    for name, entry in line.entries.items():
        seeds = len(entry.arm.seeds)
        parts = [entry.arm.alphas] if entry.arm.alpha else []
        parts += [f"{seeds} seed{'s' if seeds > 1 else ''}"] if entry.arm.runs and seeds != usual else []
        parts += [_of_several(entry)] if entry.tried > 1 else []
        parts += ["as it answered"] if line.method == "teacher" and entry.arm.scoring == "generate" else []
        told.setdefault("; ".join(parts), []).append(name)
    if len(told) == 1:
        return next(iter(told))
    return " · ".join(f"{', '.join(names)}: {text}" for text, names in told.items() if text)


def _of_several(entry: Entry) -> str:
    if entry.finalists == 1:
        return f"of {entry.tried} settings the one under most seeds"
    in_all = f" under most seeds, {entry.tried} in all" if entry.finalists < entry.tried else ""
    return f"{'best on valid' if entry.on_valid else 'the newest'} of {entry.finalists} settings{in_all}"


def _usual_seeds(table: MainTable) -> int:
    counts = Counter(len(entry.arm.seeds) for entry in _entries(table) if entry.arm.runs)
    return max(counts, key=lambda seeds: (counts[seeds], seeds), default=1)


def _entries(table: MainTable) -> list[Entry]:
    return [entry for block in table.blocks for line in block.lines for entry in line.entries.values()]


def _gain(gain: AccuracyGain, columns: Sequence[Column]) -> TableRow:
    cells = [
        TableCell(text=f"{100 * gain.by_dataset[column.dataset]:+.1f} %")
        if column.dataset in gain.by_dataset
        else TableCell()
        for column in columns
    ]
    if len(columns) > 1:
        cells.append(TableCell(text=f"{100 * gain.mean:+.1f} %") if gain.mean is not None else TableCell())
    return TableRow(label=gain.label, note="relative gain", cells=tuple(cells))


def _facts(table: MainTable, comparisons: Sequence[Comparison]) -> Iterator[TableRow]:
    blank = (TableCell(text=""),) if len(table.columns) > 1 else ()
    columns = table.columns
    yield TableRow(label="Test questions", cells=(*(TableCell(text=f"{column.n:,}") for column in columns), *blank))
    yield TableRow(label="Training questions", cells=(*map(_trained, columns), *blank))
    yield TableRow(label="Chance", cells=(*(TableCell(text=number(column.chance)) for column in columns), *blank))
    yield TableRow(
        label="Majority class", cells=(*(TableCell(text=number(column.majority)) for column in columns), *blank)
    )
    cells = []
    for column in columns:
        own = [
            one for one in comparisons
            if (one.dataset, one.n, one.scoring) == (column.dataset, column.n, table.scoring)
        ]  # fmt: skip
        if not own:
            cells.append(TableCell())
            continue
        spread, discordant = fmean(one.spread for one in own), fmean(one.discordant for one in own)
        smallest = smallest_difference(column.n, spread, discordant)
        text = "–" if smallest is None else number(smallest)
        cells.append(TableCell(text=text, under=f"{number(discordant)} % discordant"))
    yield TableRow(label="Smallest difference shown", note="points, 5 %, power 80 %", cells=(*cells, *blank))


def _trained(column: Column) -> TableCell:
    part = f" of {column.whole:,}" if column.size < column.whole else ""
    return TableCell(text=f"{column.size:,}{part}") if column.size else TableCell()


def _notes(table: MainTable, paper: Paper, usual: int) -> Iterator[str]:
    yield HOW_MEASURED
    yield f"Students were trained under {usual} seed{'s' if usual > 1 else ''} unless told otherwise. Bold: the best."
    if any(entry.tried > 1 for entry in _entries(table)):
        yield (
            "Where several settings of a method were trained (alphas, teachers, and so on), the one that did best on"
            " valid stands for it, of those under most seeds; test has no say."
        )
    if table.aside:
        yield (
            f"{table.aside} of all arms learned the data set in another state, before or after its train or"
            " valid questions were edited: they are not compared here."
        )
    yield from _searched(paper)
    if paper.published is not None:
        yield "The paper's figures are its own, from its Table 1; their mean is over the data sets shown here."


def _searched(paper: Paper) -> list[str]:
    return [
        f"A search for alphas on {one.dataset} tried {sum(one.trials.values())} settings on valid: "
        + ", ".join(f"{count} {_STATES.get(state, state)}" for state, count in one.trials.items()) + "."
        for one in paper.searches
    ]  # fmt: skip


def _published(paper: Paper, blocks: Sequence[Block], names: Sequence[str]) -> Iterator[Group]:
    """Of the paper's students that are here; where none is, of all."""
    if paper.published is None:
        return
    here = {name for block in blocks if (name := paper_student(block.student))}
    lines = [line for line in paper.published.main if line.student == "teacher" or not here or line.student in here]
    for student in dict.fromkeys(line.student for line in lines):
        own = [line for line in lines if line.student == student]
        title = "The paper: teachers" if student == "teacher" else f"The paper: {student}"
        yield Group(title=title, rows=tuple(published_row(line, names) for line in own))


def published_row(line: PublishedLine, names: Sequence[str], *, with_mean: bool = True) -> TableRow:
    found = [line.on(name) for name in names]
    cells = [TableCell() if accuracy is None else TableCell(text=number(accuracy, 2)) for accuracy in found]
    if len(names) > 1 and with_mean:
        mean = line.mean(list(names))
        cells.append(TableCell() if mean is None else TableCell(text=number(mean, 2)))
    return TableRow(label=TITLES.get(line.method, line.method), cells=tuple(cells))
