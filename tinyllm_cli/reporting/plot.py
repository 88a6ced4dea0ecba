"""A line plot as numbers for an SVG: where lines, marks, bars and labels stand. Knows nothing of the store."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

WIDTH, HEIGHT = 640.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 150.0, 14.0, 42.0
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 2", "10 4")
"""Lines are told apart without colour, too."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """Shares in 0..1; `low` and `high` bound the 95 % interval."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Series:
    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A point in the picture: its centre, its interval's ends, and what a reader that sees nothing hears."""

    x: float
    y: float
    top: float
    bottom: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Line:
    name: str
    points: str
    dash: str
    marks: tuple[Mark, ...]
    label_y: float


@dataclass(frozen=True, kw_only=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Plot:
    """`levels` are dotted lines across; all coordinates are in a box of WIDTH by HEIGHT."""

    title: str
    x_title: str
    lines: tuple[Line, ...]
    levels: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    description: str


def plot(
    title: str, x_title: str, series: Sequence[Series], levels: Sequence[tuple[str, float]] = (), *,
    logarithmic: bool = False, percent_x: bool = False,
) -> Plot:  # fmt: skip
    """Accuracies against something. `levels` are (name, accuracy) pairs. `series` must hold a point."""
    xs = sorted({point.x for one in series for point in one.points})
    bounds = [edge for one in series for point in one.points for edge in (point.low, point.high)]
    bounds += [level for _, level in levels]
    bottom, top = max(0.0, math.floor(20 * min(bounds)) / 20), min(1.0, math.ceil(20 * max(bounds)) / 20)
    place = math.log if logarithmic else float
    first, last = place(xs[0]), place(xs[-1])

    def across(x: float) -> float:
        share = 0.5 if first == last else (place(x) - first) / (last - first)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def up(y: float) -> float:
        return round(HEIGHT - BOTTOM - (y - bottom) / (top - bottom or 1.0) * (HEIGHT - TOP - BOTTOM), 1)

    def named(x: float) -> str:
        return f"{100 * x:g} %" if percent_x else f"{x:g}"

    lines = []
    for number, one in enumerate(series):
        marks = tuple(
            Mark(
                x=across(p.x), y=up(p.y), top=up(p.high), bottom=up(p.low),
                text=f"{one.name}, {named(p.x)}: {100 * p.y:.1f} %, {100 * p.low:.1f} to {100 * p.high:.1f}",
            )
            for p in sorted(one.points, key=lambda point: point.x)
        )  # fmt: skip
        lines.append(
            Line(
                name=one.name, points=" ".join(f"{mark.x},{mark.y}" for mark in marks), marks=marks,
                dash=DASHES[number % len(DASHES)], label_y=marks[-1].y,
            )
        )  # fmt: skip
    across_all = [
        Line(name=f"{name}, {100 * level:.1f} %", points=f"{LEFT},{up(level)} {WIDTH - RIGHT},{up(level)}", dash="1 4",
             marks=(), label_y=up(level))
        for name, level in levels
    ]  # fmt: skip
    placed = _apart([*lines, *across_all])
    steps = [bottom + index * (top - bottom) / 4 for index in range(5)]
    return Plot(
        title=title, x_title=x_title, lines=tuple(placed[: len(lines)]), levels=tuple(placed[len(lines) :]),
        x_ticks=tuple(Tick(at=across(x), text=named(x)) for x in xs),
        y_ticks=tuple(Tick(at=up(step), text=f"{100 * step:.0f} %") for step in steps),
        description="; ".join(mark.text for line in lines for mark in line.marks),
    )  # fmt: skip


def _apart(lines: Sequence[Line]) -> list[Line]:
    """Their labels so far from each other that they can be read, in the order of their heights."""
    heights: dict[int, float] = {}
    free = -math.inf
    for index in sorted(range(len(lines)), key=lambda index: lines[index].label_y):
        heights[index] = free = max(lines[index].label_y, free + 14)
    return [replace(line, label_y=round(heights[index], 1)) for index, line in enumerate(lines)]
