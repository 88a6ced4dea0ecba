"""The report in the terminal: Rich tables. Titles, heads and cells are plain text, never markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from tinyllm_cli.currency import with_currency
from tinyllm_cli.records.elicitation import Elicitation, TeacherCosts
from tinyllm_cli.records.runs import Run
from tinyllm_cli.report.collect import ComparableResults, DatasetSummary, Report, Result, comparable_results
from tinyllm_cli.report.labels import run_labels
from tinyllm_cli.report.table_model import money, short
from tinyllm_cli.terminal import plain, plain_table

_LAST = 20  # runs that a terminal shows


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def alpha_text(result: Result | Run) -> str:
    return ", ".join(f"{teacher}={weight:g}" for teacher, weight in result.alpha.items())


def report_tables(report: Report) -> list[Table]:
    """Data sets, teachers, elicitations and runs; empty tables are left out."""
    tables: list[Table] = [datasets_table(report.datasets)] if report.datasets else []
    if report.teachers:
        tables.append(teachers_table(report.teachers, report.currency))
    if report.asked:
        tables.append(asked_table(report.asked, report.currency))
    if report.runs:
        tables.append(runs_table(report.runs))
    return tables


def datasets_table(datasets: Sequence[DatasetSummary]) -> Table:
    rows = [
        (data.name, data.source, ", ".join(f"{split} {count}" for split, count in data.splits.items()))
        for data in datasets
    ]
    return plain_table("Data sets", ["data set", "from", "questions"], rows)


def teachers_table(teachers: Sequence[TeacherCosts], currency: str | None) -> Table:
    cost = with_currency(">cost", currency)
    head = ["teacher", "questions", ">rationales", ">failed", ">cut off", ">tokens out", cost]
    rows = [
        (
            teacher.teacher,
            f"{teacher.dataset}/{teacher.split}",
            str(teacher.rationales),
            str(teacher.failures),
            _cut_off(teacher),
            "-" if teacher.completion_tokens is None else f"{teacher.completion_tokens:,}",
            money(teacher.cost, teacher.partly),
        )
        for teacher in teachers
    ]
    return plain_table("Teachers", head, rows)


def _cut_off(one: TeacherCosts) -> str:
    if one.cut_off is None:
        return "-"
    return str(one.cut_off) if one.read == one.rationales else f"{one.cut_off} of {one.read} read"


def asked_table(asked: Sequence[Elicitation], currency: str | None) -> Table:
    """Every elicitation and its cost; `in flight`: requests at once, from the fewest to the most."""
    rows = [
        (
            f"{one.teacher} on {one.dataset}/{one.split}",
            one.state,
            str(one.replies),
            str(one.failures),
            str(one.calls),
            money(one.cost),
            _in_flight(one) or "-",
        )
        for one in asked
    ]
    cost = with_currency(">cost", currency)
    head = ["elicitation", "state", ">replies", ">failed", ">calls", cost, ">in flight"]
    return plain_table("Elicitations", head, rows)


def _in_flight(one: Elicitation) -> str:
    limits = [change.in_flight for change in one.concurrency]
    if not limits:
        return ""
    return f"{min(limits)} to {max(limits)}" if min(limits) < max(limits) else str(limits[0])


def runs_table(runs: Sequence[Run]) -> Table:
    head = [">run", "student", "data set", "settings", "alpha", ">seed", "state", ">valid", ">seconds"]
    title = f"Runs (the last {_LAST} of {len(runs)})" if len(runs) > _LAST else "Runs"
    labels = run_labels(runs)
    return plain_table(title, head, [_run_row(run, labels[run.id]) for run in runs[-_LAST:]])


def _run_row(run: Run, label: str) -> tuple[str, ...]:
    figures = run.metrics
    return (
        str(run.id),
        short(run.student),
        run.dataset,
        label,
        alpha_text(run).replace("=", " ") or "-",  # a narrow table breaks a name rather than a weight
        str(run.seed),
        run.state,
        "-" if run.valid_accuracy is None else percent(run.valid_accuracy),
        f"{figures['training_seconds']:.0f}" if "training_seconds" in figures else "-",
    )


def accuracy_tables(results: Iterable[Result]) -> list[Table]:
    """One table for each set of questions and scoring, the best accuracy in bold."""
    return [_accuracy_table(comparison) for comparison in comparable_results(results)]


def _accuracy_table(comparison: ComparableResults) -> Table:
    first = comparison.results[0]
    free_text = first.scoring != "rank"  # a ranked answer is always an option
    written = any(result.written_tokens is not None for result in comparison.results)
    head = ["subject", "settings", "alpha", ">seed", ">accuracy", "95 % interval"]
    head += [">unparseable"] if free_text else []
    head += [">tokens", ">seconds"] if written else []
    always = "" if free_text else ", unparseable 0 %"
    by_chance = f"chance {percent(first.chance)}, majority class {percent(first.majority)}{always}"
    table = plain_table(f"Accuracy on {comparison.title}", head, caption=by_chance)
    for result in comparison.results:
        style = "bold" if result.accuracy == comparison.best else ""
        cells = [
            plain(result.subject),
            plain(result.label),
            plain(alpha_text(result) or "-"),
            Text("-" if result.seed is None else str(result.seed)),
            Text(percent(result.accuracy), style=style),
            Text(f"{100 * result.low:.1f} to {100 * result.high:.1f} %"),
        ]
        cells += [Text(percent(result.unparseable))] if free_text else []
        if written:
            cost = (result.written_tokens, result.seconds)
            cells += [Text("-" if value is None else f"{value:,.0f}") for value in cost]
        table.add_row(*cells)
    return table
