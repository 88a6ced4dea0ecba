"""The report in the terminal: Rich tables. Cells are plain text, never markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from tinyllm_cli.records import Elicitation, Run, TeacherCosts
from tinyllm_cli.reporting.arms import Arm, Contest
from tinyllm_cli.reporting.data import Comparison, DatasetSummary, Report, Result, comparisons


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def alpha_text(result: Result | Run) -> str:
    return ", ".join(f"{teacher}={weight:g}" for teacher, weight in result.alpha.items())


def report_tables(report: Report) -> list[Table]:
    """All the tables of a report; those with nothing to show are left out."""
    tables = [datasets_table(report.datasets)] if report.datasets else []
    if report.teachers:
        tables.append(teachers_table(report.teachers))
    if report.asked:
        tables.append(asked_table(report.asked))
    if report.runs:
        tables.append(runs_table(report.runs))
    tables += accuracy_tables(report.results)
    if any(arm.spread is not None for arm in report.arms):
        tables.append(arms_table(report.arms))
    if report.contests:
        tables.append(contests_table(report.contests))
    return tables


def datasets_table(datasets: Sequence[DatasetSummary]) -> Table:
    rows = [
        (data.name, data.source, ", ".join(f"{split} {count}" for split, count in data.splits.items()))
        for data in datasets
    ]
    return simple_table("Data sets", ["data set", "from", "questions"], rows)


def teachers_table(teachers: Sequence[TeacherCosts]) -> Table:
    head = ["teacher", "asked about", ">rationales", ">failed", ">cut off", ">tokens out", ">cost"]
    rows = [
        (
            teacher.teacher,
            f"{teacher.dataset}/{teacher.split}",
            str(teacher.rationales),
            str(teacher.failures),
            str(teacher.cut_off),
            "-" if teacher.completion_tokens is None else f"{teacher.completion_tokens:,}",
            "-" if teacher.cost is None else f"{teacher.cost:.4f}",
        )
        for teacher in teachers
    ]
    return simple_table("Teachers", head, rows)


def asked_table(asked: Sequence[Elicitation]) -> Table:
    """Each time that a teacher was asked and all that it took; `in flight`: the least and the most at once."""
    rows = [
        (
            f"{one.teacher} on {one.dataset}/{one.split}",
            one.state,
            str(one.replies),
            str(one.failures),
            str(one.calls),
            "-" if one.cost is None else f"{one.cost:.4f}",
            _in_flight(one) or "-",
        )
        for one in asked
    ]
    head = ["asked", "state", ">replies", ">failed", ">calls", ">cost", ">in flight"]
    return simple_table("How the teachers were asked", head, rows)


def _in_flight(one: Elicitation) -> str:
    limits = [change.in_flight for change in one.pace]
    if not limits:
        return ""
    return f"{min(limits)} to {max(limits)}" if min(limits) < max(limits) else str(limits[0])


def runs_table(runs: Sequence[Run]) -> Table:
    head = [">run", "student", "data set", "alpha", "state", ">valid", ">seconds"]
    return simple_table("Runs", head, [_run_row(run) for run in runs])


def _run_row(run: Run) -> tuple[str, ...]:
    figures = run.figures
    best = [point["accuracy"] for point in figures.get("valid", ()) if point["step"] == figures.get("best_step")]
    return (
        str(run.id),
        run.student.rpartition("/")[2],
        run.dataset,
        alpha_text(run) or "-",
        run.state,
        percent(best[0]) if best else "-",
        f"{figures['training_seconds']:.0f}" if "training_seconds" in figures else "-",
    )


def accuracy_tables(results: Iterable[Result]) -> list[Table]:
    """One table for each set of questions and scoring, the best accuracy in bold."""
    return [_accuracy_table(comparison) for comparison in comparisons(results)]


def _accuracy_table(comparison: Comparison) -> Table:
    first = comparison.results[0]
    free_text = first.scoring == "generate"  # a ranked answer is always an option
    head = ["who", "method", "alpha", ">accuracy", "95 % interval", *([">unparseable"] if free_text else [])]
    table = simple_table(f"Accuracy on {comparison.title}", head, [])
    for result in comparison.results:
        style = "bold" if result.accuracy == comparison.best else ""
        cells = [
            Text(result.subject),
            Text(result.method),
            Text(alpha_text(result) or "-"),
            Text(percent(result.accuracy), style=style),
            Text(f"{100 * result.low:.1f} to {100 * result.high:.1f} %"),
        ]
        table.add_row(*cells, *([Text(percent(result.unparseable))] if free_text else []))
    always = "" if free_text else ", unparseable 0 %"
    table.caption = f"chance {percent(first.chance)}, majority class {percent(first.majority)}{always}"
    return table


def arms_table(arms: Sequence[Arm]) -> Table:
    """Mean and spread over seeds."""
    rows = [
        (
            arm.label,
            arm.student.rpartition("/")[2],
            f"{arm.dataset}/{arm.split}, {arm.scoring}",
            str(len(arm.seeds)),
            percent(arm.mean),
            "-" if arm.spread is None else f"{100 * arm.spread:.1f}",
        )
        for arm in arms
    ]
    return simple_table("Over seeds", ["arm", "student", "questions", ">seeds", ">mean", ">deviation"], rows)


def contests_table(contests: Sequence[Contest]) -> Table:
    rows = [
        (
            contest.arm,
            contest.against,
            f"{contest.dataset}, n = {contest.n}",
            f"{100 * contest.difference:+.1f}",
            f"{100 * contest.low:+.1f} to {100 * contest.high:+.1f}",
            p_text(contest.p),
            p_text(contest.adjusted),
            f"{100 * contest.smallest:.1f}",
        )
        for contest in contests
    ]
    head = ["arm", "against", "questions", ">points", "95 % interval", ">p", ">Holm", ">smallest"]
    table = simple_table("Paired tests", head, rows)
    table.caption = (
        "points: difference in accuracy; p: exact McNemar, over several seeds a permutation test by question; Holm: p"
        " corrected for all rows; smallest: what so many questions show in four cases of five"
    )
    return table


def p_text(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def simple_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A `>` before a column's name aligns it to the right."""
    table = Table(title=title, title_justify="left", title_style="bold", caption_justify="left", box=SIMPLE_HEAD)
    table.pad_edge = False
    for name in head:
        number = name.startswith(">")
        table.add_column(name.lstrip(">"), justify="right" if number else "left", no_wrap=number)
    for row in rows:
        table.add_row(*map(Text, row))
    return table
