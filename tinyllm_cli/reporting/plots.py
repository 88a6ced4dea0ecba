"""Where the lines, whiskers and ticks of a sweep's plot lie, in a box of 460 by 300; `_plot.html.j2` draws them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tinyllm_cli.reporting.arms import METHODS, Arm
from tinyllm_cli.reporting.cells import number, short
from tinyllm_cli.reporting.sweeps import Sweep

_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 448, 14, 250
_APART = 5.0  # between points of several lines at one x, so that their whiskers don't hide each other
_MANY = 8  # more ticks than this overlap

MARKERS = (
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0z",
    "M-3.7,-3.7h7.4v7.4h-7.4z",
    "M0,-5L4.7,3.4H-4.7z",
    "M0,-5.2L5.2,0L0,5.2L-5.2,0z",
    "M0,5L4.7,-3.4H-4.7z",
    "M-1.6,-4.6h3.2v3h3v3.2h-3v3h-3.2v-3h-3v-3.2h3z",
)
"""Shapes beside colours: a line is told from another without seeing colours."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A point with its whisker from `low` to `high`, and what it says when pointed at."""

    x: float
    y: float
    low: float
    high: float
    told: str


@dataclass(frozen=True, kw_only=True)
class Curve:
    label: str
    style: int
    marker: str
    line: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, kw_only=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Level:
    """A line across, dotted or dashed by `style`."""

    style: str
    y: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Plot:
    """`described` says in words what the picture shows."""

    title: str
    described: str
    x_title: str
    curves: tuple[Curve, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    levels: tuple[Level, ...]


def plot(sweep: Sweep) -> Plot:
    across, ticks, title = (_by_size if sweep.kind == "train-size" else _by_alpha)(sweep)
    up, steps = _up(sweep)
    curves = tuple(_curve(sweep, index, across, up) for index in range(len(sweep.series)))
    return Plot(
        title=f"{short(sweep.student)} on {sweep.dataset}",
        described="; ".join(_in_words(sweep, index) for index in range(len(sweep.series))),
        x_title=title,
        curves=curves,
        x_ticks=tuple(ticks),
        y_ticks=tuple(Tick(at=up(step), text=f"{100 * step:g}") for step in steps),
        levels=tuple(_levels(sweep, up, steps)),
    )


def _by_size(sweep: Sweep) -> tuple[Callable[[float], float], list[Tick], str]:
    values = _xs(sweep)
    whole = max(values)

    def across(x: float) -> float:
        return _LEFT + 14 + (_RIGHT - _LEFT - 34) * x / whole

    shown = values if len(values) <= _MANY else values[:: -(-len(values) // _MANY)]
    ticks = [Tick(at=across(x), text=f"{100 * x / whole:.3g}") for x in shown]
    return across, ticks, f"% of {whole:,.0f} training questions"


def _by_alpha(sweep: Sweep) -> tuple[Callable[[float], float], list[Tick], str]:
    values = [x for x in _xs(sweep) if x > 0]
    first, last = math.log10(values[0]), math.log10(values[-1])

    def across(x: float) -> float:
        return _LEFT + 20 + (_RIGHT - _LEFT - 40) * (math.log10(x) - first) / (last - first or 1)

    decades = [10.0**power for power in range(math.ceil(first), math.floor(last) + 1)]
    shown = values if len(values) <= _MANY else decades
    return across, [Tick(at=across(x), text=f"{x:g}") for x in shown], "alpha, logarithmic"


def _xs(sweep: Sweep) -> list[float]:
    return sorted({point.x for line in sweep.series for point in line.points})


def _up(sweep: Sweep) -> tuple[Callable[[float], float], list[float]]:
    """The vertical scale, and its ticks: round numbers around all whiskers."""
    arms = [point.arm for line in sweep.series for point in line.points] + ([sweep.level] if sweep.level else [])
    low, high = min(arm.low for arm in arms), max(arm.high for arm in arms)
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2) if (high - low) / step <= 7 or step == 0.2)
    first, last = math.floor(low / step), math.ceil(high / step)
    steps = [round(step * index, 4) for index in range(first, max(last, first + 1) + 1)]

    def up(share: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (share - steps[0]) / (steps[-1] - steps[0])

    return up, steps


def _curve(sweep: Sweep, index: int, across: Callable[[float], float], up: Callable[[float], float]) -> Curve:
    line = sweep.series[index]
    shift = _APART * (index - (len(sweep.series) - 1) / 2)
    marks = tuple(
        Mark(
            x=round(across(point.x) + shift, 1),
            y=round(up(point.arm.mean), 1),
            low=round(up(point.arm.low), 1),
            high=round(up(point.arm.high), 1),
            told=f"{line.label}: {_told(sweep, point.x, point.arm)}",
        )
        for point in line.points
    )
    return Curve(
        label=line.label,
        style=index % len(MARKERS),
        marker=MARKERS[index % len(MARKERS)],
        line=" ".join(f"{mark.x},{mark.y}" for mark in marks),
        marks=marks,
    )


def _levels(sweep: Sweep, up: Callable[[float], float], steps: Sequence[float]) -> Iterator[Level]:
    if sweep.level is not None:
        text = f"{METHODS['finetune']} on all questions: {number(sweep.level.mean)}"
        yield Level(style="level", y=round(up(sweep.level.mean), 1), text=text)
    if steps[0] <= sweep.chance <= steps[-1]:
        yield Level(style="chance", y=round(up(sweep.chance), 1), text=f"Chance: {number(sweep.chance)}")


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
