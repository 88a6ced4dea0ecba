"""What a report found, in words: what was compared, the difference with its interval, and how certain it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tinyllm_cli.errors import at_place
from tinyllm_cli.report.arms import Arm
from tinyllm_cli.report.comparisons import Comparison
from tinyllm_cli.report.main_table import Block, MainTable, MethodLine
from tinyllm_cli.report.main_table_sheet import tie_text
from tinyllm_cli.report.paper_tables import Paper
from tinyllm_cli.report.table_model import number, p_text, points_text, short

SIGNIFICANT = 0.05
_ONE_TEACHER = "distill-step-by-step"
_BASELINES = ("finetune", "lora", _ONE_TEACHER, "inference")


@dataclass(frozen=True, kw_only=True)
class OverviewRow:
    """A line of the overview chart. Shares are in 0..1; `low` and `high` bound the 95 % interval."""

    method: str
    student: str
    dataset: str
    scoring: str
    n: int
    accuracy: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`headline` is one sentence; the `statements` say all that it rests on. `compared`: they rest on paired tests.
    `overview` are the figures of the chart beside them."""

    headline: str
    statements: tuple[str, ...]
    compared: bool
    next_command: str | None
    overview: tuple[OverviewRow, ...]


def finding(paper: Paper, evaluations: int) -> Finding:
    """Statements for each student and scoring. `evaluations` counts those that the report shows."""
    compared = [one for table in paper.tables for block in table.blocks for one in _compared(table, block, paper)]
    measured = [one for table in paper.tables for block in table.blocks for one in _measured(table, block)]
    overview = tuple(row for table in paper.tables for row in _overview(table))
    if compared:
        statements = (*map(_statement, compared), _in_all(paper.comparisons))
        return Finding(
            headline=_headline(compared[0]), statements=statements, compared=True, next_command=None, overview=overview
        )
    command = at_place("tinyllm eval" if not evaluations else f"tinyllm experiment table1{paper.place}")
    if measured:
        why = "Nothing has been compared yet: that takes TinyLLM and a baseline on the same data, with a common seed."
    elif evaluations:
        why = "Nothing has been compared yet: no student was evaluated on the test questions of its data set."
    else:
        why = "Nothing has been compared yet: there is no evaluation."
    return Finding(
        headline=_measured_headline(paper) or why, statements=(why, *measured), compared=False, next_command=command,
        overview=overview,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Compared:
    """A line of a table against another one of the same student, with the tests of the two."""

    line: MethodLine
    other: MethodLine
    block: Block
    table: MainTable
    tests: Sequence[Comparison]

    @property
    def whole(self) -> Comparison:
        """On all data sets together."""
        return max(self.tests, key=lambda one: one.n)


def _compared(table: MainTable, block: Block, paper: Paper) -> Iterator[_Compared]:
    """TinyLLM, of several treatments the one with the most seeds, then the best on valid, against the first of the
    baselines that it was tested against, and against one teacher."""
    own = [one for one in paper.comparisons if (one.student, one.scoring) == (block.student, table.scoring)]
    for line in sorted((one for one in block.lines if one.method == "tinyllm"), key=_preference, reverse=True):
        found = [
            _Compared(line=line, other=other, block=block, table=table, tests=tests)
            for other in sorted(block.lines, key=_as_baseline) if other.method in _BASELINES
            if (tests := [one for one in own if (one.arm, one.against) == (line.label, other.label)])
        ]  # fmt: skip
        yield from found[:1]
        yield from [one for one in found[1:] if one.other.method == _ONE_TEACHER][:1]
        if found:
            return


def _preference(line: MethodLine) -> tuple[int, float]:
    known = [entry.arm.valid for entry in line.entries.values() if entry.arm.valid is not None]
    seeds = min(entry.arm.seed_count for entry in line.entries.values())
    return seeds, sum(known) / len(known) if known else -1.0


def _as_baseline(line: MethodLine) -> int:
    return _BASELINES.index(line.method) if line.method in _BASELINES else len(_BASELINES)


def _headline(one: _Compared) -> str:
    whole, line, other = one.whole, one.line, one.other
    points = f"{abs(100 * whole.difference):.1f}"
    ahead = "more" if whole.difference > 0 else "less"
    than = (
        f"as accurate as {other.label}" if points == "0.0" else f"{points} points {ahead} accurate than {other.label}"
    )
    sure = "a significant difference" if whole.adjusted < SIGNIFICANT else "no significant difference"
    return (
        f"On {whole.dataset}, {line.label} is {than}"
        f" (95 % interval {100 * whole.low:+.1f} to {100 * whole.high:+.1f}): {sure} on {whole.n:,} test questions,"
        f" {p_of(whole)}."
    )


def _measured_headline(paper: Paper) -> str:
    """The accuracy of the first student's main method; empty where nothing was measured on test."""
    for table in paper.tables:
        for block in table.blocks:
            line = max(block.lines, key=lambda one: one.method == "tinyllm")
            for column in table.columns:
                if entry := line.entries.get(column.dataset):
                    arm = entry.arm
                    return (
                        f"On {column.dataset}, {short(block.student)} ({line.label}) answers {number(arm.mean)} % of"
                        f" {column.n:,} test questions right (95 % interval {number(arm.low)} to {number(arm.high)});"
                        f" chance is {number(column.chance)} %."
                    )
    return ""


def _statement(compared: _Compared) -> str:
    """On all data sets together where there are several, then on each."""
    line, other, table, whole = compared.line, compared.other, compared.table, compared.whole
    names = [column.dataset for column in table.columns]
    single = [one for one in compared.tests if one.dataset in names and one is not whole]
    chances = {column.dataset: column.chance for column in table.columns}
    by_chance = [
        f"{who.label} on {name}" for who in (line, other) for name, entry in who.entries.items()
        if name in whole.dataset.split(" + ") and entry.arm.low <= chances[name] <= entry.arm.high
    ]  # fmt: skip
    parts = [
        f"{line.label} against {other.label}, student {short(compared.block.student)}, on {whole.dataset}"
        f" ({whole.n:,} test questions, {_seeds(whole)}, scored by {table.scoring}):"
        f" {_accuracies(line, other, whole)}{_difference(whole)}."
    ]
    parts += [f"On {one.dataset}: {_accuracies(line, other, one)}{_difference(one)}." for one in single]
    if whole.adjusted >= SIGNIFICANT and whole.smallest is not None:
        parts.append(f"The minimum detectable difference is {number(whole.smallest)} points at 80 % power.")
    parts += [
        f"{who.label}{f' on {name}' if len(names) > 1 else ''}: {tie_text(entry)}."
        for who in (line, other) for name, entry in who.entries.items() if entry.tied
    ]  # fmt: skip
    if by_chance:
        parts.append(f"Not distinguishable from chance: {', '.join(by_chance)}.")
    return " ".join(parts)


def _seeds(one: Comparison) -> str:
    span = f"{one.fewest_seeds} to {one.seeds}" if one.fewest_seeds < one.seeds else str(one.seeds)
    return f"{span} seed{'s' if one.seeds > 1 else ''}"


def _accuracies(line: MethodLine, other: MethodLine, tested: Comparison) -> str:
    if tested.dataset not in line.entries or tested.dataset not in other.entries:
        return ""
    ours, theirs = line.entries[tested.dataset].arm, other.entries[tested.dataset].arm
    return f"{_percent(ours)} against {_percent(theirs)}, "


def _percent(arm: Arm) -> str:
    return f"{number(arm.mean)} %"


def _difference(one: Comparison) -> str:
    verdict = "significant" if one.adjusted < SIGNIFICANT else "not significant"
    points = points_text(one).replace("(", "points (95 % interval ").replace("\u00a0", " ")
    return f"{points}, {p_of(one)}, {verdict}"


def p_of(one: Comparison) -> str:
    """p after Holm's correction, in words."""
    sign = "= " if one.adjusted >= 0.001 else ""
    return f"p {sign}{p_text(one.adjusted)} after Holm"


def _in_all(tests: Sequence[Comparison]) -> str:
    significant = sum(one.adjusted < SIGNIFICANT for one in tests)
    if len(tests) == 1:
        return "This is the only comparison of this report."
    return f"Of {len(tests)} comparisons in this report, {significant} are significant at 5 % after Holm's correction."


def _measured(table: MainTable, block: Block) -> Iterator[str]:
    """Each accuracy against chance, where nothing is compared."""
    for column in table.columns:
        shown = [
            f"{line.label} {number(entry.arm.mean)} % ({number(entry.arm.low)} to {number(entry.arm.high)})"
            for line in block.lines if (entry := line.entries.get(column.dataset))
        ]  # fmt: skip
        if shown:
            yield (
                f"{short(block.student)} on {column.dataset} ({column.n:,} test questions, scored by {table.scoring}):"
                f" {'; '.join(shown)}; chance {number(column.chance)} %."
            )


def _overview(table: MainTable) -> Iterator[OverviewRow]:
    lines: list[tuple[str, MethodLine]] = [(block.student, line) for block in table.blocks for line in block.lines]
    lines += [(line.label, line) for line in table.teachers]
    for column in table.columns:
        for student, line in lines:
            if entry := line.entries.get(column.dataset):
                yield OverviewRow(**_row(student, line.label, entry.arm), chance=column.chance)


def _row(student: str, method: str, arm: Arm) -> dict[str, Any]:
    return {"student": student, "method": method, "dataset": arm.dataset, "scoring": arm.scoring, "n": arm.n,
            "accuracy": arm.mean, "low": arm.low, "high": arm.high}  # fmt: skip
