"""The main table as a sheet: methods by data set, gains, minimum detectable differences, the paper's figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import fmean

from tinyllm_cli.report.arms import Arm
from tinyllm_cli.report.comparisons import Comparison
from tinyllm_cli.report.main_table import AccuracyGain, Block, Column, Entry, MainTable, MethodLine
from tinyllm_cli.report.paper_figures import PublishedLine, paper_student
from tinyllm_cli.report.paper_tables import Paper
from tinyllm_cli.report.table_model import (
    HOW_MEASURED,
    Group,
    Sheet,
    TableCell,
    TableRow,
    arm_cell,
    number,
    p_text,
    points_text,
    short,
)
from tinyllm_cli.stats import smallest_difference
from tinyllm_cli.training.methods import TITLES

_SHOWN_TIED = 4
_STATES = {"done": "completed", "pruned": "pruned"}


def main_sheet(table: MainTable, paper: Paper) -> Sheet:
    names = [column.dataset for column in table.columns]
    usual = _usual_seeds(table)
    groups = [Group(title="Teachers", rows=tuple(_line(line, table.columns, usual) for line in table.teachers))]
    for block in table.blocks:
        rows = [_line(line, table.columns, usual) for line in block.lines]
        rows += [_gain(gain, block.student, table, paper.comparisons) for gain in block.gains]
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
    """Which setting represents the method, where there is more to say than its name; seeds where they aren't usual."""
    notes: dict[str, list[str]] = {}
    for name, entry in line.entries.items():
        seeds = entry.arm.seed_count
        parts = [entry.arm.alphas] if entry.arm.alpha else []
        parts += [f"{seeds} seed{'s' if seeds > 1 else ''}"] if entry.arm.runs and seeds != usual else []
        parts += [_of_several(entry)] if entry.tried > 1 else []
        parts += ["from its replies"] if line.method == "teacher" and entry.arm.scoring == "generate" else []
        notes.setdefault("; ".join(parts), []).append(name)
    if len(notes) == 1:
        return next(iter(notes))
    return " · ".join(f"{', '.join(names)}: {text}" for text, names in notes.items() if text)


def _of_several(entry: Entry) -> str:
    if entry.tied:
        return tie_text(entry)
    if entry.finalists == 1:
        return f"the one of {entry.tried} settings with the most seeds"
    in_all = f" with the most seeds, {entry.tried} in all" if entry.finalists < entry.tried else ""
    return f"{'best on valid' if entry.on_valid else 'the newest state'} of {entry.finalists} settings{in_all}"


def tie_text(entry: Entry) -> str:
    """Every tied setting with its accuracy on test: the line shows their mean."""
    shown = "; ".join(f"{_setting(arm)} {number(arm.mean)}" for arm in entry.tied[:_SHOWN_TIED])
    more = len(entry.tied) - _SHOWN_TIED
    why = "tie on valid" if entry.on_valid else "have no valid accuracy to choose by"
    return f"mean of {len(entry.tied)} settings that {why} ({shown}{f'; {more} more' if more > 0 else ''})"


def _setting(arm: Arm) -> str:
    return arm.alphas or "run" + ("s " if len(arm.runs) > 1 else " ") + ", ".join(map(str, arm.runs))


def _usual_seeds(table: MainTable) -> int:
    counts = Counter(entry.arm.seed_count for entry in _entries(table) if entry.arm.runs)
    return max(counts, key=lambda seeds: (counts[seeds], seeds), default=1)


def _entries(table: MainTable) -> list[Entry]:
    return [entry for block in table.blocks for line in block.lines for entry in line.entries.values()]


def _gain(gain: AccuracyGain, student: str, table: MainTable, comparisons: Sequence[Comparison]) -> TableRow:
    """Under each relative gain the difference in points with its interval, and p after Holm's correction."""
    own = {
        one.dataset: one for one in comparisons
        if (one.arm, one.against, one.student, one.scoring) == (gain.arm, gain.against, student, table.scoring)
    }  # fmt: skip
    names = [column.dataset for column in table.columns]
    cells = [_gain_cell(gain.by_dataset.get(name), own.get(name)) for name in names]
    if len(names) > 1:
        together = [one for dataset, one in own.items() if dataset not in names]
        cells.append(_gain_cell(gain.mean, together[0] if together else None))
    return TableRow(label=gain.label, note="relative gain; difference in points", cells=tuple(cells))


def _gain_cell(share: float | None, tested: Comparison | None) -> TableCell:
    if share is None:
        return TableCell()
    if tested is None:
        return TableCell(text=f"{100 * share:+.1f} %", under="not tested: no seed in common")
    how_certain = f"{points_text(tested)}, Holm\u00a0p\u00a0{p_text(tested.adjusted)}"
    return TableCell(text=f"{100 * share:+.1f} %", under=how_certain)


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
    yield TableRow(label="Minimum detectable difference", note="points, at 80 % power", cells=(*cells, *blank))


def _trained(column: Column) -> TableCell:
    part = f" of {column.whole:,}" if column.size < column.whole else ""
    return TableCell(text=f"{column.size:,}{part}") if column.size else TableCell()


def _notes(table: MainTable, paper: Paper, usual: int) -> Iterator[str]:
    yield HOW_MEASURED
    yield f"Students have {usual} seed{'s' if usual > 1 else ''} unless stated otherwise. Bold: the best."
    if any(entry.tried > 1 for entry in _entries(table)):
        yield (
            "Of several settings of a method (alphas, teachers, ...) with the most seeds, the best on valid represents"
            " it; settings that tie on valid are averaged. Test scores are not used for selection."
        )
    if table.aside:
        yield (
            f"{table.aside} of all arms were trained on another state of the data set, before or after its train or"
            " valid questions were edited: they are not compared here."
        )
    yield from _searched(paper)
    if paper.published is not None:
        yield from _about_published(paper, table)


def _about_published(paper: Paper, table: MainTable) -> Iterator[str]:
    names = [column.dataset for column in table.columns]
    if any(True for _ in _published(paper, table.blocks, names)):
        yield "The paper's figures are those of its Table 1; their mean is over the data sets shown here."
    else:
        yield f"The paper has no figures for {', '.join(names)}."


def _searched(paper: Paper) -> list[str]:
    return [
        f"A search for alphas on {one.dataset} tried {sum(one.trials.values())} settings on valid: "
        + ", ".join(f"{count} {_STATES.get(state, state)}" for state, count in one.trials.items()) + "."
        for one in paper.searches
    ]  # fmt: skip


def _published(paper: Paper, blocks: Sequence[Block], names: Sequence[str]) -> Iterator[Group]:
    """The paper's figures for these data sets: of the students that are here; where none is, of all."""
    if paper.published is None:
        return
    here = {name for block in blocks if (name := paper_student(block.student))}
    lines = [line for line in paper.published.main if line.student == "teacher" or not here or line.student in here]
    for student in dict.fromkeys(line.student for line in lines):
        own = [line for line in lines if line.student == student]
        title = "The paper: teachers" if student == "teacher" else f"The paper: {student}"
        rows = tuple(published_row(line, names) for line in own if any(line.on(name) is not None for name in names))
        if rows:
            yield Group(title=title, rows=rows)


def published_row(line: PublishedLine, names: Sequence[str], *, with_mean: bool = True) -> TableRow:
    found = [line.on(name) for name in names]
    cells = [TableCell() if accuracy is None else TableCell(text=number(accuracy, 2)) for accuracy in found]
    if len(names) > 1 and with_mean:
        mean = line.mean(list(names))
        cells.append(TableCell() if mean is None else TableCell(text=number(mean, 2)))
    return TableRow(label=TITLES.get(line.method, line.method), cells=tuple(cells))
