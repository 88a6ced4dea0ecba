"""Training curves: loss and accuracy on valid against the steps of a training, a line for each arm."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

from tinyllm_cli.records.runs import Run
from tinyllm_cli.report.arms import alike, label_of
from tinyllm_cli.report.axes import MARKERS, Curve, Mark, Plot, Scale, accuracies_up, from_zero, polyline, upward
from tinyllm_cli.report.table_model import number, short
from tinyllm_cli.students.inputs import ANSWER

_POINTS = 25
"""A curve of losses is the mean of as many pieces: single steps jump."""

_Item = TypeVar("_Item")

Points = Sequence[tuple[float, float]]
"""(step, figure) in order."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The trainings of one student on one data set, at most as many as there are ways to draw a line."""

    title: str
    plots: tuple[Plot, ...]


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


def panels(runs: Sequence[Run], sizes: Mapping[str, int]) -> list[Panel]:
    """`sizes` are the data sets' numbers of training questions."""
    return [
        Panel(title=title, plots=tuple(_plots(trained)))
        for (student, dataset), arms in _by_place(runs, sizes).items()
        for part, trained in enumerate(_pieces(arms, len(MARKERS)), start=1)
        for title in [f"{short(student)} on {dataset}" + (f", part {part}" if len(arms) > len(MARKERS) else "")]
    ]


def _by_place(runs: Iterable[Run], sizes: Mapping[str, int]) -> Mapping[tuple[str, str], list[_Trained]]:
    grouped: dict[tuple[str, str], dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        if len(run.metrics.get("curve", ())) > 1 or run.metrics.get("valid"):
            grouped[run.student, run.dataset][alike(run, sizes)].append(run)
    return {place: list(_labelled(map(_of_seeds, arms.values()))) for place, arms in grouped.items()}


def _of_seeds(runs: Sequence[Run]) -> list[Run]:
    done = {run.settings.train.seed: run for run in runs if run.state == "done"}
    return list(done.values()) or [runs[-1]]


def _labelled(arms: Iterable[Sequence[Run]]) -> Iterator[_Trained]:
    """With the number of the first run where a label does not tell two arms apart."""
    taken: set[str] = set()
    for runs in arms:
        label = label_of(runs[0]) + ("" if runs[0].state == "done" else f", {runs[0].state}")
        label = f"{label}, run {runs[0].id}" if label in taken else label
        taken.add(label)
        yield _Trained(label=label, runs=tuple(runs))


def _plots(trained: Sequence[_Trained]) -> Iterator[Plot]:
    valid = [(one.label, one.valid()) for one in trained]
    if any(points for _, points in valid):
        yield _plot("Accuracy on valid", valid, share=True)
    for title, of_answers in (("Loss of the answers", True), ("Loss of the rationales", False)):
        losses = [(one.label, one.losses(of_answers=of_answers)) for one in trained]
        if any(len(points) > 1 for _, points in losses):
            yield _plot(title, losses, share=False)


def _plot(title: str, lines: Sequence[tuple[str, Points]], *, share: bool) -> Plot:
    figures = [y for _, points in lines for _, y in points]
    up, _, y_ticks = (accuracies_up if share else upward)(min(figures), max(figures))
    across, x_ticks = from_zero(max(x for _, points in lines for x, _ in points))
    drawn = [(style, label, points) for style, (label, points) in enumerate(lines) if points]
    return Plot(
        title=f"{title}, in percent" if share else f"{title}, in nats per token",
        described="; ".join(f"{label}: from {_told(points[0], share)} to {_told(points[-1], share)}"
                            for _, label, points in drawn),
        x_title="steps",
        curves=tuple(_curve(label, style, points, across, up, share=share) for style, label, points in drawn),
        x_ticks=tuple(x_ticks),
        y_ticks=tuple(y_ticks),
    )  # fmt: skip


def _curve(label: str, style: int, points: Points, across: Scale, up: Scale, *, share: bool) -> Curve:
    """Every evaluation is marked, of losses the last alone."""
    return Curve(
        label=label,
        style=style,
        line=polyline((across(x), up(y)) for x, y in points) if len(points) > 1 else "",
        marks=tuple(
            Mark(x=across(x), y=up(y), told=f"{label}: {_told((x, y), share)}")
            for x, y in (points if share else points[-1:])
        ),
    )


def _told(point: tuple[float, float], share: bool) -> str:
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
