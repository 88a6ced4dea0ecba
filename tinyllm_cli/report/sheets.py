"""The report's parts as sheets."""

from __future__ import annotations

from collections.abc import Sequence

from tinyllm_cli.report.ablation import Ablation
from tinyllm_cli.report.arms import Arm
from tinyllm_cli.report.collect import ExcludedResult, Report, Result
from tinyllm_cli.report.comparisons import Comparison, common
from tinyllm_cli.report.main_table_sheet import main_sheet, published_row
from tinyllm_cli.report.paper_tables import Paper
from tinyllm_cli.report.pareto import tradeoff_sheet
from tinyllm_cli.report.sweeps import Sweep
from tinyllm_cli.report.table_model import (
    HOW_MEASURED,
    Group,
    Sheet,
    TableCell,
    TableRow,
    arm_cell,
    number,
    p_text,
    short,
    slug,
)
from tinyllm_cli.training.methods import TITLES

HOW_TESTED = (
    "Points: the difference in accuracy on the same questions, below it its 95 % bootstrap interval over questions. p:"
    " exact, McNemar's test for one seed, the sign-flip test by question for several; below it after Holm's correction"
    " for all comparisons of this report. Smallest: the minimum detectable difference in points at 80 % power; –: none."
)


def sheets(report: Report) -> list[Sheet]:
    """All that has data: tables, numbers of the figures, comparisons, costs; evaluations where there is no table."""
    paper = report.paper
    made = [*table_sheets(paper), *(sweep_sheet(one) for one in (*paper.sizes, *paper.alphas))]
    made += [comparisons_sheet(paper.comparisons)] if paper.comparisons else []
    made += [tradeoff_sheet(one) for one in report.tradeoffs]
    made += [] if paper.tables or not report.results else [evaluations_sheet(report.results)]
    return made + ([left_out_sheet(report.left_out)] if report.left_out else [])


def table_sheets(paper: Paper) -> list[Sheet]:
    """The paper's Tables 1 and 2."""
    made = [main_sheet(table, paper) for table in paper.tables]
    return made + [ablation_sheet(one, paper, first=one is paper.ablations[0]) for one in paper.ablations]


def ablation_sheet(one: Ablation, paper: Paper, *, first: bool) -> Sheet:
    """The paper has an ablation of one student: its figures are in the first sheet."""
    names = [column.dataset for column in one.columns]
    whole = TableRow(label=one.label, note=_alphas(one), cells=tuple(arm_cell(one.whole[name]) for name in names))
    rows = [whole]
    for variant in one.variants:
        cells = [_beside(variant.arms.get(name), one.whole[name], paper.comparisons) for name in names]
        rows.append(TableRow(label=variant.label, cells=tuple(cells)))
    groups = [Group(rows=tuple(rows))]
    if paper.published is not None and first:
        known = [line for line in paper.published.ablation if any(line.on(name) is not None for name in names)]
        lines = tuple(published_row(line, names, with_mean=False) for line in known)
        groups += [] if not lines else [Group(title=f"The paper: {paper.published.ablation[0].student}", rows=lines)]
    return Sheet(
        name=f"ablation-{slug(one.student)}-{one.scoring}",
        title=f"Ablation: {short(one.student)}, scored by {one.scoring}",
        head=("variant", *(f">{name}" for name in names)),
        groups=tuple(groups),
        notes=(
            "Accuracy on test in percent, and below it the difference to the whole in points with its 95 % interval and"
            " p after Holm's correction, over the seeds that both have.",
        ),
    )


def _beside(arm: Arm | None, whole: Arm, tested: Sequence[Comparison]) -> TableCell:
    if arm is None:
        return TableCell()
    ahead, seeds = arm.ahead_of(whole)
    if ahead is None:
        return TableCell(text=arm_cell(arm).text, under="no seed in common")
    few = f" ({seeds} of {whole.seed_count} seeds)" if set(arm.seeds) != set(whole.seeds) else ""
    return TableCell(text=arm_cell(arm).text, under=f"{100 * ahead:+.1f}{_certainty(arm, whole, tested)}{few}")


def _certainty(arm: Arm, whole: Arm, tested: Sequence[Comparison]) -> str:
    """The interval of the difference of `arm` to `whole`, and p. The comparison may have them the other way round."""
    pairs = common(whole, arm)
    for one in tested:
        if set(one.evaluations) == set(pairs):
            low, high = 0.0 - one.high, 0.0 - one.low  # no -0.0
        elif set(one.evaluations) == {(theirs, ours) for ours, theirs in pairs}:
            low, high = one.low, one.high
        else:
            continue
        return f" ({100 * low:+.1f}\u00a0to\u00a0{100 * high:+.1f}), Holm\u00a0p\u00a0{p_text(one.adjusted)}"
    return ", not tested"


def _alphas(one: Ablation) -> str:
    alphas = {arm.alphas for arm in one.whole.values()}
    return alphas.pop() if len(alphas) == 1 else ""


def left_out_sheet(left_out: Sequence[ExcludedResult]) -> Sheet:
    rows = [
        TableRow(
            label=one.result.subject,
            cells=(TableCell(text=f"{one.result.dataset}/{one.result.split}, {one.result.scoring}"),
                   TableCell(text=number(one.result.accuracy)), TableCell(text=one.why)),
        )
        for one in left_out
    ]  # fmt: skip
    return Sheet(
        name="left-out",
        title="Evaluations that the tables and comparisons leave out",
        head=("evaluation", "questions", ">accuracy", "why"),
        groups=(Group(rows=tuple(rows)),),
        notes=(),
    )


def comparisons_sheet(comparisons: Sequence[Comparison]) -> Sheet:
    groups = []
    for student, scoring, part in dict.fromkeys((one.student, one.scoring, one.part) for one in comparisons):
        own = [one for one in comparisons if (one.student, one.scoring, one.part) == (student, scoring, part)]
        title = f"{short(student)}, {scoring}: {part}"
        groups.append(Group(title=title, rows=tuple(_comparison(one) for one in own)))
    return Sheet(
        name="comparisons",
        title=f"Paired comparisons of TinyLLM ({len(comparisons)})",
        head=("arm", "data set", ">points", ">p", ">smallest"),
        groups=tuple(groups),
        notes=(HOW_TESTED, "Bold: p below 5 % after Holm. A pair in both tables is tested once."),
    )


def _comparison(one: Comparison) -> TableRow:
    clear = one.adjusted < 0.05
    span = f"{one.fewest_seeds} to {one.seeds}" if one.fewest_seeds < one.seeds else str(one.seeds)
    seeds = f", {span} seeds" if one.seeds > 1 else ""
    return TableRow(
        label=one.arm,
        note=f"against {one.against}",
        cells=(
            TableCell(text=one.dataset, under=f"n = {one.n:,}{seeds}"),
            TableCell(
                text=f"{100 * one.difference:+.1f}",
                under=f"{100 * one.low:+.1f} to {100 * one.high:+.1f}",
                strong=clear,
            ),
            TableCell(text=p_text(one.p), under=f"Holm: {p_text(one.adjusted)}", strong=clear),
            TableCell(text="–" if one.smallest is None else number(one.smallest)),
        ),
    )


def evaluations_sheet(results: Sequence[Result]) -> Sheet:
    rows = [
        TableRow(
            label=one.subject,
            note=f"{one.label}, seed {one.seed}" if one.seed is not None else one.label,
            cells=(
                TableCell(text=f"{one.dataset}/{one.split}, {one.scoring}"),
                TableCell(text=f"{one.n:,}"),
                TableCell(text=number(one.accuracy), under=f"{number(one.low)} to {number(one.high)}"),
                TableCell(text=number(one.chance)),
                TableCell(text=number(one.majority)),
                TableCell(text=number(one.unparseable)),
            ),
        )
        for one in results
    ]
    return Sheet(
        name="evaluations",
        title="All evaluations",
        head=("subject", "questions", ">n", ">accuracy", ">chance", ">majority", ">unparseable"),
        groups=(Group(rows=tuple(rows)),),
        notes=("In percent, with 95 % Wilson intervals.",),
    )


def sweep_sheet(one: Sweep) -> Sheet:
    what = {"train-size": "the size of the training set", "alpha": "alpha"}[one.kind]
    x = {"train-size": ">questions", "alpha": ">alpha"}[one.kind]
    groups = []
    for line in one.series:
        rows = [
            TableRow(
                label="",
                cells=(
                    TableCell(text=f"{point.x:,g}" if one.kind == "alpha" else f"{point.x:,.0f}"),
                    arm_cell(point.arm),
                    TableCell(text=str(point.arm.seed_count)),
                    TableCell() if point.arm.valid is None else TableCell(text=number(point.arm.valid)),
                ),
            )
            for point in line.points
        ]
        groups.append(Group(title=line.label, rows=tuple(rows)))
    if one.level is not None:
        valid = TableCell() if one.level.valid is None else TableCell(text=number(one.level.valid))
        cells = (
            TableCell(text=f"{one.level.size:,}"),
            arm_cell(one.level),
            TableCell(text=str(one.level.seed_count)),
            valid,
        )
        groups.append(Group(title=TITLES["finetune"], rows=(TableRow(label="", cells=cells),)))
    return Sheet(
        name=f"{one.kind}-{slug(one.student)}-{slug(one.dataset)}-{one.scoring}",
        title=f"Accuracy against {what}: {short(one.student)} on {one.dataset}, n = {one.n:,}, scored by {one.scoring}",
        head=("line", x, ">test", ">seeds", ">valid"),
        groups=tuple(groups),
        notes=(HOW_MEASURED,),
    )
