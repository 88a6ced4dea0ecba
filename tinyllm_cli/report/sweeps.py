"""The paper's Figures 2 and 3: accuracy against the size of the training set, and against each teacher's alpha.

All arms of a line are alike but for what its axis shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, product
from statistics import fmean
from typing import TypeVar

from tinyllm_cli.datasets.question import canonical
from tinyllm_cli.report.arms import Arm
from tinyllm_cli.report.main_table import Column, MainTable, stands_for
from tinyllm_cli.training.methods import ON_RATIONALES, TITLES

_Value = TypeVar("_Value")


@dataclass(frozen=True, kw_only=True)
class Point:
    x: float
    arm: Arm


@dataclass(frozen=True, kw_only=True)
class Series:
    label: str
    points: tuple[Point, ...]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One plot. `level` is drawn as a dotted line across: full fine-tuning on as many questions as the last point,
    by the same recipe."""

    kind: str
    student: str
    dataset: str
    scoring: str
    n: int
    series: tuple[Series, ...]
    level: Arm | None
    chance: float


def train_sizes(found: Sequence[Arm], tables: Sequence[MainTable]) -> list[Sweep]:
    """x is the number of training questions."""
    return list(_drawn(found, tables, _sizes))


def alphas(found: Sequence[Arm], tables: Sequence[MainTable]) -> list[Sweep]:
    """x is one teacher's alpha, the others' being what they are; a line for each teacher."""
    return list(_drawn(found, tables, _alphas))


def _drawn(
    found: Sequence[Arm], tables: Sequence[MainTable], draw: Callable[[Sequence[Arm], str, Column], Sweep | None]
) -> Iterator[Sweep]:
    """One sweep for each student and data set: on as many test questions as Table 1 has; where these are no sweep, on
    the number that most arms have."""
    for table in tables:
        for student, column in product(_students(found, table), table.columns):
            own = [
                arm for arm in found
                if (arm.student, arm.split, arm.scoring) == (student, "test", table.scoring)
                and arm.dataset == column.dataset == arm.trained_on and not arm.shuffled and arm.icl is None
            ]  # fmt: skip
            by_n = sorted(_grouped(own, lambda arm: arm.n), key=lambda one: (one[0] != column.n, -len(one[1]), -one[0]))
            sweeps = (draw(arms, student, column) for _, arms in by_n)
            yield from islice(filter(None, sweeps), 1)


def _students(found: Sequence[Arm], table: MainTable) -> list[str]:
    """Those of the table first, then those that it has no line of."""
    known = [block.student for block in table.blocks]
    return list(dict.fromkeys([*known, *(arm.student for arm in found if arm.trained_on is not None)]))


def _sizes(own: Sequence[Arm], student: str, column: Column) -> Sweep | None:
    """By the recipe with the most points, of these the best on valid; a tie is decided by the settings, not by age."""
    trained = [arm for arm in own if arm.method in ON_RATIONALES]
    drawn = [(recipe, _by_size(arms)) for recipe, arms in _grouped(trained, lambda arm: arm.recipe)]
    recipe, series = max(drawn, key=lambda one: _preference(*one), default=("", []))
    if not series:
        return None
    whole = max(point.x for line in series for point in line.points)
    tuned = [arm for arm in own if (arm.method, arm.size, arm.recipe) == ("finetune", whole, recipe)]
    level = stands_for(tuned).arm if tuned else None
    return _sweep("train-size", student, column, own, sorted(series, key=_tinyllm_first), level)


def _by_size(trained: Sequence[Arm]) -> list[Series]:
    series = []
    for (method, treatment, names), arms in _grouped(trained, lambda a: (a.method, a.treatment, tuple(a.alpha))):
        best = _longest(arms, lambda arm: (arm.alpha, arm.gates), lambda arm: float(arm.size))
        if len(best) > 1:
            whose = f" ({names[0]})" if method == "distill-step-by-step" else ""
            treated = f" + {treatment}" if treatment else ""
            series.append(Series(label=f"{TITLES[method]}{whose}{treated}", points=best))
    return series


def _preference(recipe: str, series: Sequence[Series]) -> tuple[int, float, str]:
    arms = [point.arm for line in series for point in line.points]
    known = [arm.valid for arm in arms if arm.valid is not None]
    return len(arms), fmean(known) if known else 0.0, recipe


def _alphas(own: Sequence[Arm], student: str, column: Column) -> Sweep | None:
    """By runs on as many questions as those of Table 1; where these are no sweep, on another number."""
    trained = [arm for arm in own if arm.alpha and arm.method in ON_RATIONALES]
    by_size = sorted(_grouped(trained, lambda arm: arm.size), key=lambda one: (one[0] != column.size, -len(one[1])))
    for size, arms in by_size:
        on = "" if size == column.size else f", {size} training questions"
        series = list(_by_teacher(arms, on))
        if series:
            return _sweep("alpha", student, column, own, series, None)
    return None


def _by_teacher(trained: Sequence[Arm], on: str) -> Iterator[Series]:
    for teacher in sorted({name for arm in trained for name in arm.alpha}):
        having = [arm for arm in trained if teacher in arm.alpha]
        best = _longest(having, partial(_but_for, teacher), partial(_alpha_of, teacher))
        if len(best) > 1:
            rest = ", ".join(f"{name}={weight:g}" for name, weight in _others(teacher, best[0].arm).items())
            yield Series(label=f"alpha of {teacher}" + (f", with {rest}" if rest else "") + on, points=best)


def _alpha_of(teacher: str, arm: Arm) -> float:
    return arm.alpha[teacher]


def _others(teacher: str, arm: Arm) -> dict[str, float]:
    return {name: weight for name, weight in arm.alpha.items() if name != teacher}


def _but_for(teacher: str, arm: Arm) -> tuple[object, ...]:
    """All that makes an arm but for one teacher's alpha."""
    return _others(teacher, arm), arm.treatment, arm.recipe, arm.gates, arm.data


def _sweep(
    kind: str, student: str, column: Column, own: Sequence[Arm], series: Sequence[Series], level: Arm | None
) -> Sweep:  # fmt: skip
    return Sweep(
        kind=kind,
        student=student,
        dataset=column.dataset,
        scoring=own[0].scoring,
        n=own[0].n,
        series=tuple(series),
        level=level,
        chance=own[0].chance,
    )


def _longest(found: Iterable[Arm], alike: Callable[[Arm], object], x: Callable[[Arm], float]) -> tuple[Point, ...]:
    """Of the groups of arms that are alike the one with the most points, then seeds; by x."""
    lines = []
    for _, group in _grouped(found, alike):
        points = [Point(x=value, arm=stands_for(arms).arm) for value, arms in _grouped(group, x)]
        lines.append(tuple(sorted(points, key=lambda point: point.x)))
    return max(lines, key=lambda line: (len(line), sum(len(point.arm.seeds) for point in line)), default=())


def _grouped(found: Iterable[Arm], key: Callable[[Arm], _Value]) -> list[tuple[_Value, list[Arm]]]:
    groups: dict[str, tuple[_Value, list[Arm]]] = {}
    for arm in found:
        value = key(arm)
        groups.setdefault(canonical(value), (value, []))[1].append(arm)
    return list(groups.values())


def _tinyllm_first(line: Series) -> tuple[bool, str]:
    return not line.label.startswith(TITLES["tinyllm"]), line.label
