"""Accuracy and cost: hours of training and money for teachers against accuracy, and the Pareto front.

An arm is on the Pareto front when none that takes as little is as accurate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import Any

from tinyllm_cli.currency import with_currency
from tinyllm_cli.records.elicitation import Elicitation
from tinyllm_cli.records.runs import Run
from tinyllm_cli.report.accuracy_charts import level_layer
from tinyllm_cli.report.arms import Arm
from tinyllm_cli.report.charts import (
    Axis,
    Chart,
    decades,
    draw,
    enclosing,
    horizontal,
    layer,
    legend_name,
    position,
    series,
    vertical,
)
from tinyllm_cli.report.table_model import Group, Sheet, TableCell, TableRow, arm_cell, money, number, short, slug
from tinyllm_cli.training.methods import TITLES

_UNITS = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))
_LOCAL = ("huggingface", "scripted", "vllm")  # nobody is paid by the token
_NUMBER = (0.06, 0.07)  # of the plot's width and height: what a number takes
_WIDE = 8  # times as much as the least: from there on a logarithmic scale shows more

HOW_COUNTED = (
    "Hours are those of one training, mean over seeds, on whatever machine it ran. Money is what the rationales that"
    " an arm was trained on cost at their endpoints: nothing for a local teacher, unknown for a recording. A"
    " teacher costs what its answers to these questions did. Bold: on the Pareto front of one of the two, as no other"
    " arm that takes as little is as accurate."
)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """An arm with what it took; None where nobody knows. Seconds are of training."""

    arm: Arm
    label: str
    seconds: float | None
    money: float | None


@dataclass(frozen=True, kw_only=True)
class Tradeoff:
    """Arms that answered the same questions by the same scoring; `teachers` by whatever scoring they have. Money is in
    `currency`, None where none was paid."""

    currency: str | None
    dataset: str
    scoring: str
    n: int
    students: tuple[Taken, ...]
    teachers: tuple[Taken, ...]


def tradeoffs(
    found: Sequence[Arm], runs: Sequence[Run], asked: Sequence[Elicitation], currency: str | None
) -> list[Tradeoff]:
    """Of everything that was evaluated on test, where at least two arms may be weighed against each other."""
    prices = _Prices(asked)
    by_id = {run.id: run for run in runs}
    tested = [arm for arm in found if arm.split == "test"]
    teachers = [arm for arm in tested if arm.method == "teacher"]
    students = [arm for arm in tested if arm.method in TITLES and arm.trained_on in (None, arm.dataset)]
    students.sort(key=lambda arm: arm.questions)
    made = []
    for (dataset, _, scoring, n), same in groupby(students, key=lambda arm: arm.questions):
        own = tuple(_student(arm, by_id, prices) for arm in same)
        theirs = tuple(_teacher(arm, prices) for arm in teachers if (arm.dataset, arm.n) == (dataset, n))
        if len(own) > 1 and any(one.seconds for one in own):
            made.append(
                Tradeoff(currency=currency, dataset=dataset, scoring=scoring, n=n, students=own, teachers=theirs)
            )
    return made


def _student(arm: Arm, runs: Mapping[int, Run], prices: _Prices) -> Taken:
    own = [runs[number] for number in arm.runs]
    seconds = [run.metrics["training_seconds"] for run in own if "training_seconds" in run.metrics]
    untrained = arm.method == "inference"
    money = 0.0 if untrained else prices.of_run(own[0])
    return Taken(
        arm=arm,
        label=TITLES[arm.method] if untrained else _label(arm),
        seconds=0.0 if untrained else fmean(seconds) if seconds else None,
        money=money,
    )


def _label(arm: Arm) -> str:
    """The method with what tells it from others of its kind in a picture of costs: teachers, treatment, size."""
    parts = [arm.alphas] if len(set(arm.alpha.values())) > 1 or len(arm.alpha) == 1 else []
    parts += [arm.treatment] if arm.treatment else []
    parts += ["shuffled"] if arm.shuffled else []
    parts += [f"{arm.size:,} questions"] if arm.size else []
    return TITLES[arm.method] + (f" ({'; '.join(parts)})" if parts else "")


def _teacher(arm: Arm, prices: _Prices) -> Taken:
    return Taken(arm=arm, label=arm.label, seconds=None, money=prices.of_answers(arm))


class _Prices:
    """The price of a rationale by teacher, sampling and recipe, with failed and repeated calls."""

    def __init__(self, asked: Sequence[Elicitation]) -> None:
        self._asked = asked

    def of_run(self, run: Run) -> float | None:
        """Of all the rationales, labels and hints that a run was trained on; 0 without teachers."""
        total = 0.0
        for teacher, record in run.sources.items():
            fallback = record.get("fallback", {})
            used = fallback.get("questions", 0)
            for source, replies in ((record, _replies(record) - used), (fallback, used)):
                each = self._each(teacher, run.dataset, source) if replies else 0.0
                if each is None:
                    return None
                total += each * replies
        return total

    def _each(self, teacher: str, dataset: str, record: Mapping[str, str]) -> float | None:
        own = [
            one for one in self._asked
            if (one.teacher, one.dataset, one.sampling, one.recipe)
            == (teacher, dataset, record.get("sampling"), record.get("recipe")) and one.replies
        ]  # fmt: skip
        paid = [one.cost for one in own if one.cost is not None]
        if own and not paid:
            return 0.0 if all(one.backend in _LOCAL for one in own) else None
        return sum(paid) / sum(one.replies for one in own if one.cost is not None) if paid else None

    def of_answers(self, arm: Arm) -> float | None:
        """Of a teacher's own answers to a split; a local model that ranks the options costs nothing."""
        if arm.way is None:
            return 0.0
        sampling, recipe = arm.way
        each = self._each(arm.label, arm.dataset, {"sampling": sampling, "recipe": recipe})
        return None if each is None else each * arm.n


def _replies(record: Mapping[str, Any]) -> int:
    """All that a run chose from: what was rejected, left or named no option was paid for as well."""
    left = sum(record.get("rejected", {}).values()) + sum(record.get(why, 0) for why in ("empty", "unchosen", "silent"))
    return int(record.get("rationales", record.get("answers", 0)) + left)


def front(points: Iterable[tuple[float, Taken]]) -> list[Taken]:
    """Those of (what it took, arm) that no other one beats, the cheapest first."""
    best: list[Taken] = []
    for _, one in sorted(points, key=lambda point: (point[0], -point[1].arm.mean)):
        if not best or one.arm.mean > best[-1].arm.mean:
            best.append(one)
    return best


def _by_time(one: Taken) -> float | None:
    return one.seconds


def _by_money(one: Taken) -> float | None:
    return one.money


def charts(tradeoff: Tradeoff) -> Iterator[Chart]:
    """Accuracy against training time, and against money where any was spent."""
    longest = max(one.seconds or 0.0 for one in tradeoff.students)
    unit, seconds = next((name, size) for name, size in _UNITS if longest >= size or size == 1.0)
    yield _chart(tradeoff, _by_time, f"{unit} of training", seconds)
    if any(one.money for one in (*tradeoff.students, *tradeoff.teachers)):
        yield _chart(tradeoff, _by_money, f"{tradeoff.currency or 'money'} spent on teachers", 1.0)


def _chart(tradeoff: Tradeoff, taken: Callable[[Taken], float | None], what: str, unit: float) -> Chart:
    """Numbers mark the Pareto front from the cheapest to the best; the chart's key names them. Teachers, which were
    not trained here, are lines across where their cost is unknown."""
    shown = [(amount / unit, one) for one in _all(tradeoff) if (amount := taken(one)) is not None]
    apart = [one for one in _all(tradeoff) if taken(one) is None]
    teachers = [one for one in apart if one.arm.method == "teacher"]
    best = front(shown)
    x = _amounts([amount for amount, _ in shown], what, len(apart) - len(teachers))
    arms = [one.arm for _, one in shown] + [one.arm for one in teachers]
    y = Axis(
        title="accuracy on test in percent",
        domain=enclosing([100 * bound for arm in arms for bound in (arm.low, arm.high)]),
        nice=True,
    )
    amounts = {id(one): amount for amount, one in shown}
    numbered = legible([(position(x, amounts[id(one)]), position(y, 100 * one.arm.mean)) for one in best])
    places = {id(one): number + 1 for number, one in enumerate(best)}
    rows = [
        {"series": legend_name(short(one.arm.student)), "x": amount, "y": 100 * one.arm.mean,
         "low": 100 * one.arm.low, "high": 100 * one.arm.high, "place": places.get(id(one), 0),
         "number": str(places[id(one)]) if places.get(id(one), 0) - 1 in numbered else "",
         "hint": _hint(amount, one, what)}
        for amount, one in shown
    ]  # fmt: skip
    channels = series(list(dict.fromkeys(short(one.arm.student) for _, one in shown)))
    base = layer(rows).encode(x=horizontal("x", x), color=channels["color"])
    edge = layer([row for row in rows if row["place"]]).encode(x=horizontal("x", x), y=vertical("y", y))
    layers = [
        base.mark_rule().encode(y=vertical("low", y), y2="high:Q", description="hint:N"),
        edge.mark_line(color="var(--dim)", strokeDash=[3, 3]),
        base.mark_point(filled=True, size=55, opacity=1).encode(
            y=vertical("y", y), shape=channels["shape"], description="hint:N"
        ),
        edge.mark_text(dx=9, dy=-9, fontWeight="bold").encode(text="number:N"),
        *level_layer([(f"{one.label}, a teacher: {number(one.arm.mean)}", 100 * one.arm.mean) for one in teachers], y),
    ]
    names = [f"{_name(one)}: {number(one.arm.mean)} %" for one in best]
    return draw(
        layers, f"{tradeoff.dataset}: accuracy against {what}", "On the Pareto front: " + "; ".join(names), key=names
    )


def legible(places: Sequence[tuple[float, float]]) -> set[int]:
    """Of numbers at these places, as shares of the plot, those that are not written over a later one: the best arm,
    which is the last, always has its number."""
    kept: set[int] = set()
    for index, (x, y) in reversed(list(enumerate(places))):
        if all(abs(x - places[one][0]) > _NUMBER[0] or abs(y - places[one][1]) > _NUMBER[1] for one in kept):
            kept.add(index)
    return kept


def _amounts(amounts: Sequence[float], what: str, unknown: int) -> Axis:
    """From 0 on; logarithmic above the least amount where that shows more, so that 0 keeps a place."""
    paid = [amount for amount in amounts if amount > 0]
    most, least = max(paid, default=1.0), min(paid, default=1.0)
    title = what + (f"; unknown for {unknown} arms" if unknown else "")
    if most <= _WIDE * least:
        return Axis(title=title, domain=(0.0, 1.08 * most))
    ticks = (0.0, *decades(least, most, most=5))
    return Axis(title=f"{title}; logarithmic", domain=(0.0, 1.4 * most), scale="symlog", ticks=ticks)


def _hint(amount: float, one: Taken, what: str) -> str:
    accuracy = f"{number(one.arm.mean)} % ({number(one.arm.low)} to {number(one.arm.high)})"
    return f"{_name(one)}: {amount:.3g} {what}, {accuracy}"


def _name(one: Taken) -> str:
    return f"{one.label}, a teacher" if one.arm.method == "teacher" else f"{short(one.arm.student)}, {one.label}"


def _all(tradeoff: Tradeoff) -> Sequence[Taken]:
    return *tradeoff.students, *tradeoff.teachers


def tradeoff_sheet(tradeoff: Tradeoff) -> Sheet:
    best: list[Taken] = []
    for taken in (_by_time, _by_money):
        best += front((amount, one) for one in _all(tradeoff) if (amount := taken(one)) is not None)
    rows = [
        TableRow(
            label=one.label,
            note="a teacher" if one.arm.method == "teacher" else short(one.arm.student),
            cells=(
                arm_cell(one.arm, strong=one in best),
                TableCell() if one.seconds is None else TableCell(text=f"{one.seconds / 3600:.3f}"),
                TableCell(text=money(one.money)),
            ),
        )
        for one in sorted(_all(tradeoff), key=lambda one: -one.arm.mean)
    ]
    return Sheet(
        name=f"costs-{slug(tradeoff.dataset)}-{tradeoff.scoring}-{tradeoff.n}",
        title=f"Accuracy and cost on {tradeoff.dataset}, n = {tradeoff.n:,}, scored by {tradeoff.scoring}",
        head=("arm", ">accuracy", ">hours of training", with_currency(">money", tradeoff.currency)),
        groups=(Group(rows=tuple(rows)),),
        notes=(HOW_COUNTED,),
    )
