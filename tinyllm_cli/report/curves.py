"""Training curves: loss and accuracy on valid against the steps of a training, a line for each arm."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

from tinyllm_cli.records.runs import Run
from tinyllm_cli.report.arms import alike
from tinyllm_cli.report.charts import (
    SERIES,
    Axis,
    Chart,
    draw,
    enclosing,
    horizontal,
    layer,
    legend_name,
    series,
    vertical,
)
from tinyllm_cli.report.labels import run_labels
from tinyllm_cli.report.table_model import number, short
from tinyllm_cli.students.inputs import ANSWER

_POINTS = 25
"""A curve of losses is the mean of as many pieces: single steps jump."""

_Item = TypeVar("_Item")

Points = Sequence[tuple[float, float]]
"""(step, figure) in order."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The trainings of one student on one data set, at most as many as can be distinguished in a chart."""

    title: str
    charts: tuple[Chart, ...]


@dataclass(frozen=True, kw_only=True)
class _Trained:
    """Runs that differ in their seed alone: for each seed the newest that is done; where none is, the newest run."""

    label: str
    runs: tuple[Run, ...]

    def valid(self) -> Points:
        return _means(
            [[(point["step"], point["accuracy"]) for point in run.metrics.get("valid", ())] for run in self.runs]
        )

    def losses(self, *, of_answers: bool) -> Points:
        """Of the answers, or the mean over the teachers' rationales; each step's mean over the runs."""
        found = _means([
            [(point["step"], loss) for point in run.metrics.get("curve", ()) for name, loss in point.items()
             if name != "step" and (name == ANSWER) == of_answers]
            for run in self.runs
        ])  # fmt: skip
        size = -(-len(found) // _POINTS) or 1
        return [(fmean(x for x, _ in piece), fmean(y for _, y in piece)) for piece in _pieces(found, size)]


def panels(runs: Sequence[Run], sizes: Mapping[str, int]) -> Iterator[Panel]:
    """Those that have something to show. `sizes` are the data sets' numbers of training questions."""
    for (student, dataset), arms in _by_place(runs, sizes).items():
        for part, trained in enumerate(_pieces(arms, SERIES), start=1):
            several = f", part {part}" if len(arms) > SERIES else ""
            if charts := tuple(_charts(trained)):
                yield Panel(title=f"{short(student)} on {dataset}{several}", charts=charts)


def overlaid(runs: Sequence[Run]) -> list[Chart]:
    """The curves of single runs in one picture each; at most as many runs as can be distinguished."""
    labels = run_labels(runs)
    return list(_charts([_Trained(label=f"run {run.id}, {labels[run.id]}", runs=(run,)) for run in runs[:SERIES]]))


def _by_place(runs: Iterable[Run], sizes: Mapping[str, int]) -> Mapping[tuple[str, str], list[_Trained]]:
    grouped: dict[tuple[str, str], dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        if len(run.metrics.get("curve", ())) > 1 or run.metrics.get("valid"):
            grouped[run.student, run.dataset][alike(run, sizes)].append(run)
    return {place: list(_labelled(list(map(_of_seeds, arms.values())))) for place, arms in grouped.items()}


def _of_seeds(runs: Sequence[Run]) -> list[Run]:
    done = {run.settings.train.seed: run for run in runs if run.state == "done"}
    return list(done.values()) or [runs[-1]]


def _labelled(arms: Sequence[Sequence[Run]]) -> Iterator[_Trained]:
    """With the number of the first run where the settings do not distinguish two arms."""
    labels = run_labels(runs[0] for runs in arms)
    taken: set[str] = set()
    for runs in arms:
        label = labels[runs[0].id] + ("" if runs[0].state == "done" else f", {runs[0].state}")
        label = f"{label}, run {runs[0].id}" if label in taken else label
        taken.add(label)
        yield _Trained(label=label, runs=tuple(runs))


def _charts(trained: Sequence[_Trained]) -> Iterator[Chart]:
    """A curve has two points at least: of a single one the tables tell all."""
    kinds = (
        ("Accuracy on valid", True, [(one.label, one.valid()) for one in trained]),
        ("Loss of the answers", False, [(one.label, one.losses(of_answers=True)) for one in trained]),
        ("Loss of the rationales", False, [(one.label, one.losses(of_answers=False)) for one in trained]),
    )
    for title, share, lines in kinds:
        if drawn := [(label, points) for label, points in lines if len(points) > 1]:
            yield _chart(title, drawn, share=share)


def _chart(title: str, lines: Sequence[tuple[str, Points]], *, share: bool) -> Chart:
    """Every evaluation is marked, of losses the last alone."""
    factor, unit = (100, "percent") if share else (1, "nats per token")
    rows = [
        {"series": legend_name(label), "x": x, "y": factor * y, "hint": f"{label}: {_hint((x, y), share)}",
         "marked": share or (x, y) == points[-1]}
        for label, points in lines for x, y in points
    ]  # fmt: skip
    x = Axis(title="steps", domain=(0.0, 1.03 * max(x for _, points in lines for x, _ in points)))
    y = Axis(title=unit, domain=enclosing([factor * y for _, points in lines for _, y in points]), nice=True)
    channels = series([label for label, _ in lines])
    base = layer(rows).encode(x=horizontal("x", x), y=vertical("y", y), color=channels["color"])
    marks = layer([row for row in rows if row["marked"]]).encode(
        x=horizontal("x", x), y=vertical("y", y), **channels, description="hint:N"
    )
    return draw(
        [base.mark_line(), marks.mark_point(filled=True, size=45, opacity=1)],
        f"{title}, in {unit}",
        "; ".join(f"{label}: from {_hint(points[0], share)} to {_hint(points[-1], share)}" for label, points in lines),
    )


def _hint(point: tuple[float, float], share: bool) -> str:
    step, figure = point
    return f"{f'{number(figure)} %' if share else f'{figure:.3g}'} at step {step:,.0f}"


def _pieces(whole: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    return (whole[start : start + size] for start in range(0, len(whole), size))


def _means(of_runs: Sequence[Points]) -> list[tuple[float, float]]:
    """The mean figure at each step that every run has, in order."""
    found: dict[float, list[float]] = defaultdict(list)
    for points in of_runs:
        for step, figure in points:
            found[step].append(figure)
    shared = set(found).intersection(*({step for step, _ in points} for points in of_runs))
    return [(step, fmean(found[step])) for step in sorted(shared)]
