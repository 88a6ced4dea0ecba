"""A sweep as a plot: accuracy against the size of the training set, or against alpha."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tinyllm_cli.report.arms import Arm
from tinyllm_cli.report.axes import (
    LEFT,
    MARKERS,
    RIGHT,
    Curve,
    Level,
    Mark,
    Plot,
    Scale,
    Tick,
    accuracies_up,
    polyline,
    spaced,
)
from tinyllm_cli.report.sweeps import Sweep
from tinyllm_cli.report.table_model import number, short
from tinyllm_cli.training.methods import TITLES

_APART = 5.0  # between points of several lines at one x, so that their whiskers don't hide each other
_MANY = 8  # more ticks than this overlap


def plot(sweep: Sweep) -> Plot:
    across, ticks, title = (_by_size if sweep.kind == "train-size" else _by_alpha)(sweep)
    arms = [point.arm for line in sweep.series for point in line.points] + ([sweep.level] if sweep.level else [])
    up, steps, y_ticks = accuracies_up(min(arm.low for arm in arms), max(arm.high for arm in arms))
    curves = tuple(_curve(sweep, index, across, up) for index in range(len(sweep.series)))
    return Plot(
        title=f"{short(sweep.student)} on {sweep.dataset}, scored by {sweep.scoring}",
        described="; ".join(_in_words(sweep, index) for index in range(len(sweep.series))),
        x_title=title,
        curves=curves,
        x_ticks=tuple(ticks),
        y_ticks=tuple(y_ticks),
        levels=tuple(_levels(sweep, up, steps)),
    )


def _by_size(sweep: Sweep) -> tuple[Scale, list[Tick], str]:
    values = _xs(sweep)
    whole = max(values)

    def across(x: float) -> float:
        return LEFT + 14 + (RIGHT - LEFT - 34) * x / whole

    ticks = [Tick(at=across(x), text=f"{100 * x / whole:.3g}") for x in values]
    return across, spaced(ticks), f"% of {whole:,.0f} training questions"


def _by_alpha(sweep: Sweep) -> tuple[Scale, list[Tick], str]:
    values = [x for x in _xs(sweep) if x > 0]
    first, last = math.log10(values[0]), math.log10(values[-1])

    def across(x: float) -> float:
        return LEFT + 20 + (RIGHT - LEFT - 40) * (math.log10(x) - first) / (last - first or 1)

    decades = [10.0**power for power in range(math.ceil(first), math.floor(last) + 1)]
    shown = values if len(values) <= _MANY else decades if len(decades) > 1 else [values[0], *decades, values[-1]]
    return across, spaced([Tick(at=across(x), text=f"{x:g}") for x in shown]), "alpha, logarithmic"


def _xs(sweep: Sweep) -> list[float]:
    return sorted({point.x for line in sweep.series for point in line.points})


def _curve(sweep: Sweep, index: int, across: Scale, up: Scale) -> Curve:
    line = sweep.series[index]
    shift = _APART * (index - (len(sweep.series) - 1) / 2)
    marks = tuple(
        Mark(
            x=round(across(point.x) + shift, 1),
            y=up(point.arm.mean),
            low=up(point.arm.low),
            high=up(point.arm.high),
            told=f"{line.label}: {_told(sweep, point.x, point.arm)}",
        )
        for point in line.points
    )
    return Curve(
        label=line.label,
        style=index % len(MARKERS),
        line=polyline((mark.x, mark.y) for mark in marks),
        marks=marks,
    )


def _levels(sweep: Sweep, up: Scale, steps: Sequence[float]) -> Iterator[Level]:
    if sweep.level is not None:
        text = f"{TITLES['finetune']} on {sweep.level.size:,} questions: {number(sweep.level.mean)}"
        yield Level(style="level", y=up(sweep.level.mean), text=text)
    if steps[0] <= sweep.chance <= steps[-1]:
        yield Level(style="chance", y=up(sweep.chance), text=f"Chance: {number(sweep.chance)}")


def _told(sweep: Sweep, x: float, arm: Arm) -> str:
    where = f"{x:,.0f} questions" if sweep.kind == "train-size" else f"alpha {x:g}"
    return f"{where}, {number(arm.mean)} % ({number(arm.low)} to {number(arm.high)})"


def _in_words(sweep: Sweep, index: int) -> str:
    line = sweep.series[index]
    first, last = line.points[0], line.points[-1]
    best = max(line.points, key=lambda point: point.arm.mean)
    return (
        f"{line.label}: from {_told(sweep, first.x, first.arm)} to {_told(sweep, last.x, last.arm)},"
        f" highest at {_told(sweep, best.x, best.arm)}"
    )
