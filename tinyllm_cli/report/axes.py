"""A plot as geometry: where lines, whiskers and ticks lie in a box of 460 by 300. `_plot.html.j2` draws it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

LEFT, RIGHT, TOP, BOTTOM = 40, 448, 14, 250
_LETTER_WIDE, _LETTER_HIGH = 6.6, 13.0
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

Scale = Callable[[float], float]
"""From a figure to its place along an axis."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A point, and what it says when pointed at. Its whisker goes from `low` to `high`; `name` stands beside it, on
    its left where `before` is set, a little lower where `beneath` is."""

    x: float
    y: float
    told: str
    low: float | None = None
    high: float | None = None
    name: str = ""
    before: bool = False
    beneath: bool = False

    def covers(self, other: Mark) -> bool:
        """Whether the names of both would be written over each other."""
        (left, right, up), (its_left, its_right, its_up) = self._written(), other._written()
        return left < its_right and its_left < right and abs(up - its_up) < _LETTER_HIGH

    def _written(self) -> tuple[float, float, float]:
        wide = _LETTER_WIDE * len(self.name)
        left = self.x - 8 - wide if self.before else self.x + 8
        return left, left + wide, self.y + (16 if self.beneath else -6)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """`line` is an SVG polyline; without one there are marks alone."""

    label: str
    style: int
    marks: tuple[Mark, ...]
    line: str = ""

    @property
    def marker(self) -> str:
        return MARKERS[self.style]


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
    levels: tuple[Level, ...] = ()


def legible(marks: Iterable[Mark]) -> Iterator[Mark]:
    """The marks, each name where it covers none before it; where there is no such place, without it."""
    named: list[Mark] = []
    for mark in marks:
        places = [replace(mark, before=before, beneath=beneath)
                  for beneath in (False, True) for before in (mark.before, not mark.before)]  # fmt: skip
        free = next((one for one in places if not any(map(one.covers, named))), replace(mark, name=""))
        named += [free] if free.name else []
        yield free


def spaced(ticks: Sequence[Tick]) -> list[Tick]:
    """The ticks along a horizontal axis, from left to right, without those that would be written over a later one."""
    kept: list[Tick] = []
    for tick in reversed(ticks):
        if not kept or kept[-1].at - tick.at >= _LETTER_WIDE * (len(tick.text) + len(kept[-1].text) + 2) / 2:
            kept.append(tick)
    return kept[::-1]


def polyline(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def rounds(low: float, high: float, *, finest: float = 0.0, most: int = 7) -> list[float]:
    """Round numbers around `low` to `high`: the finest steps of 1, 2 or 5 times a power of ten that need no more than
    `most`."""
    spread = max(high - low, finest, 1e-6 * abs(high), 1e-9)
    power = math.floor(math.log10(spread)) - 1
    steps = [digit * 10.0**exponent for exponent in range(power, power + 4) for digit in (1, 2, 5)]
    step = next(one for one in steps if one >= finest and (high - low) / one <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * index, 10) for index in range(first, max(last, first + 1) + 1)]


def upward(low: float, high: float, *, finest: float = 0.0, factor: float = 1) -> tuple[Scale, list[float], list[Tick]]:
    """The vertical scale around these figures, its round numbers, and the ticks, which show them times `factor`."""
    steps = rounds(low, high, finest=finest)

    def up(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (value - steps[0]) / (steps[-1] - steps[0]), 1)

    return up, steps, [Tick(at=up(step), text=f"{factor * step:g}") for step in steps]


def accuracies_up(low: float, high: float) -> tuple[Scale, list[float], list[Tick]]:
    """For shares in 0..1, told in percent."""
    return upward(low, high, finest=0.01, factor=100)


def from_zero(highest: float) -> tuple[Scale, list[Tick]]:
    """A horizontal scale from 0 to a round number."""
    steps = rounds(0.0, highest or 1.0, most=_MANY)

    def across(value: float) -> float:
        return round(LEFT + 14 + (RIGHT - LEFT - 34) * value / steps[-1], 1)

    return across, [Tick(at=across(step), text=f"{step:,g}") for step in steps]


def by_ratio(lowest: float, highest: float) -> tuple[Scale, list[Tick]]:
    """A logarithmic horizontal scale; figures are above 0."""
    first, last = math.log10(lowest), math.log10(highest)

    def across(value: float) -> float:
        return round(LEFT + 20 + (RIGHT - LEFT - 40) * (math.log10(value) - first) / (last - first or 1), 1)

    decades = [10.0**power for power in range(math.ceil(first), math.floor(last) + 1)]
    finer = [digit * 10.0**power for power in range(math.floor(first), math.ceil(last)) for digit in (1, 2, 5)]
    inside = [step for step in finer if lowest <= step <= highest]
    shown = inside if len(inside) <= _MANY else decades[:: -(-len(decades) // _MANY)]
    return across, [Tick(at=across(step), text=f"{step:,.3g}") for step in shown or (lowest, highest)]
