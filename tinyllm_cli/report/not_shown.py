"""Test results that no table and no figure of the report has a place for, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tinyllm_cli.report.arms import Arm
from tinyllm_cli.report.main_table import Column, comparable
from tinyllm_cli.report.paper_tables import Paper
from tinyllm_cli.training.methods import TITLES


def not_shown(found: Sequence[Arm], paper: Paper) -> Iterator[tuple[Arm, str]]:
    """Each with its reason. Settings among which valid chose one are in the table, as those that were tried."""
    tested = [arm for arm in found if arm.split == "test"]
    shown = _shown(tested, paper)
    for arm in tested:
        if not shown.issuperset(arm.evaluations):
            columns = _columns(arm, paper)
            if columns:
                yield arm, _why(arm, columns[0])


def _columns(arm: Arm, paper: Paper) -> list[Column]:
    """Those of the arm's data set, in the tables that it could be in."""
    return [
        column for table in paper.tables for column in table.columns
        if column.dataset == arm.dataset and (arm.method not in TITLES or arm.scoring == table.scoring)
    ]  # fmt: skip


def _shown(tested: Sequence[Arm], paper: Paper) -> set[int]:
    """The evaluations in tables and figures, by row id."""
    arms: list[Arm] = []
    for table in paper.tables:
        students = [arm for arm in tested if arm.scoring == table.scoring and arm.trained_on in (None, arm.dataset)]
        for column in table.columns:
            arms += comparable([arm for arm in students if arm.method in TITLES], column)
            arms += [arm for arm in tested if arm.method == "teacher" and _asks(arm, column)]
    for ablation in paper.ablations:
        arms += ablation.whole.values()
        arms += [arm for variant in ablation.variants for arm in variant.arms.values()]
    for sweep in (*paper.sizes, *paper.alphas):
        arms += [point.arm for line in sweep.series for point in line.points]
        arms += [sweep.level] if sweep.level is not None else []
    return {number for arm in arms for number in arm.evaluations}


def _asks(arm: Arm, column: Column) -> bool:
    return (arm.dataset, arm.n) == (column.dataset, column.n)


def _why(arm: Arm, column: Column) -> str:
    if arm.trained_on not in (None, arm.dataset):
        return f"its student was trained on another data set, {arm.trained_on}"
    if arm.n != column.n:
        return f"it covers {arm.n:,} test questions of {arm.dataset}, and the tables compare on {column.n:,}"
    if arm.method not in ("inference", "teacher") and arm.size != column.size:
        return (
            f"its student was trained on {arm.size:,} questions of {arm.dataset}, and the tables compare those trained"
            f" on {column.size:,}"
        )
    if arm.shuffled or arm.icl is not None:
        return "it is a control, without the run that it is compared with"
    return f"its student was trained on another state of {arm.dataset}"
