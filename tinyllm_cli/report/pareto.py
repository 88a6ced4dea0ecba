"""What accuracy costs: hours of training and money for teachers against accuracy, and which arms no other one beats.

An arm is on the Pareto front when none that takes as little is as accurate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import Any

from tinyllm_cli.records.elicitation import Elicitation
from tinyllm_cli.records.runs import Run
from tinyllm_cli.report.arms import Arm
from tinyllm_cli.report.axes import (
    MARKERS,
    Curve,
    Level,
    Mark,
    Plot,
    accuracies_up,
    by_ratio,
    from_zero,
    legible,
    polyline,
)
from tinyllm_cli.report.table_model import Group, Sheet, TableCell, TableRow, arm_cell, number, short, slug
from tinyllm_cli.training.methods import TITLES

_UNITS = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))
_LOCAL = ("huggingface", "scripted", "vllm")  # nobody is paid by the token
_WIDE = 8  # times as much as the least: from there on a logarithmic scale shows more
_RIGHT_HALF = 250

HOW_COUNTED = (
    "Hours are those of one training, mean over seeds, on whatever machine it ran. Money is what the rationales that"
    " an arm learned from cost at their endpoints: a local teacher's cost nothing there, a recording's are unknown. A"
    " teacher costs what its answers to these questions did. Bold: on the Pareto front of one of the two, as no other"
    " arm that takes as little is as accurate."
)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """An arm with what it took; None where nobody knows. Seconds are of training, money is in the currency of the
    teachers' prices."""

    arm: Arm
    label: str
    seconds: float | None
    money: float | None


@dataclass(frozen=True, kw_only=True)
class Tradeoff:
    """Arms that answered the same questions by the same scoring; `teachers` by whatever scoring they have."""

    dataset: str
    scoring: str
    n: int
    students: tuple[Taken, ...]
    teachers: tuple[Taken, ...]


def tradeoffs(found: Sequence[Arm], runs: Sequence[Run], asked: Sequence[Elicitation]) -> list[Tradeoff]:
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
            made.append(Tradeoff(dataset=dataset, scoring=scoring, n=n, students=own, teachers=theirs))
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
    """What a rationale cost, by teacher and way of asking: failed and repeated calls are part of the price."""

    def __init__(self, asked: Sequence[Elicitation]) -> None:
        self._asked = asked

    def of_run(self, run: Run) -> float | None:
        """Of all the rationales, labels and hints that a run learned from; 0 without teachers."""
        total = 0.0
        for teacher, record in run.sources.items():
            each = self._each(teacher, run.dataset, record)
            if each is None:
                return None
            total += each * _replies(record)
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


def plots(tradeoff: Tradeoff) -> Iterator[Plot]:
    """Accuracy against training time, and against money where any was spent."""
    longest = max(one.seconds or 0.0 for one in tradeoff.students)
    unit, seconds = next((name, size) for name, size in _UNITS if longest >= size or size == 1.0)
    yield _plot(tradeoff, _by_time, f"{unit} of training", seconds)
    if any(one.money for one in (*tradeoff.students, *tradeoff.teachers)):
        yield _plot(tradeoff, _by_money, "money spent on teachers", 1.0)


def _plot(tradeoff: Tradeoff, taken: Callable[[Taken], float | None], what: str, unit: float) -> Plot:
    shown = [(amount / unit, one) for one in _all(tradeoff) if (amount := taken(one)) is not None]
    paid = [amount for amount, _ in shown if amount > 0]
    wide = max(paid) > _WIDE * min(paid)
    points = sorted(((amount, one) for amount, one in shown if amount > 0 or not wide), key=lambda point: point[0])
    apart = [one for one in _all(tradeoff) if one not in [shown for _, shown in points]]
    levels = [one for one in apart if taken(one) == 0 or one.arm.method == "teacher"]
    unknown = len(apart) - len(levels)
    across, x_ticks = by_ratio(min(paid), max(paid)) if wide else from_zero(max(paid))
    arms = [one.arm for _, one in points] + [one.arm for one in levels]
    up, _, y_ticks = accuracies_up(min(arm.low for arm in arms), max(arm.high for arm in arms))
    best = front(shown)
    students = list(dict.fromkeys(one.arm.student for _, one in points))

    def mark(amount: float, one: Taken) -> Mark:
        x = across(amount)
        told = f"{short(one.arm.student)}, {one.label}: {amount:.3g} {what}, {number(one.arm.mean)} %"
        told += f" ({number(one.arm.low)} to {number(one.arm.high)})"
        name = one.label.partition(" (")[0] if one in best else ""
        return Mark(x=x, y=up(one.arm.mean), low=up(one.arm.low), high=up(one.arm.high), told=told, name=name,
                    before=x > _RIGHT_HALF)  # fmt: skip

    edge = [(across(amount), up(one.arm.mean)) for amount, one in points if one in best]
    curves = [Curve(label="Pareto front", style=len(MARKERS) - 1, marks=(), line=polyline(sorted(edge)))]
    curves = curves if len(edge) > 1 else []
    drawn = list(zip(legible(mark(amount, one) for amount, one in points), points, strict=True))
    for style, student in enumerate(students):
        marks = tuple(mark for mark, (_, one) in drawn if one.arm.student == student)
        curves.append(Curve(label=short(student), style=style % (len(MARKERS) - 1), marks=marks))
    return Plot(
        title=f"{tradeoff.dataset}: accuracy against {what}",
        described="On the Pareto front: " + "; ".join(f"{short(one.arm.student)}, {one.label},"
                                                      f" {number(one.arm.mean)} %" for one in best),
        x_title=what + (", logarithmic" if wide else "") + (f"; unknown for {unknown} arms" if unknown else ""),
        curves=tuple(curves),
        x_ticks=tuple(x_ticks),
        y_ticks=tuple(y_ticks),
        levels=tuple(
            Level(style="level" if one.arm.method == "teacher" else "chance", y=up(one.arm.mean),
                  text=f"{short(one.arm.student)}, {one.label}: {number(one.arm.mean)}")
            for one in levels
        ),
    )  # fmt: skip


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
                TableCell(text="unknown") if one.money is None else TableCell(text=f"{one.money:.4f}"),
            ),
        )
        for one in sorted(_all(tradeoff), key=lambda one: -one.arm.mean)
    ]
    return Sheet(
        name=f"costs-{slug(tradeoff.dataset)}-{tradeoff.scoring}-{tradeoff.n}",
        title=f"What accuracy costs on {tradeoff.dataset}, n = {tradeoff.n:,}, scored by {tradeoff.scoring}",
        head=("arm", ">accuracy", ">hours of training", ">money"),
        groups=(Group(rows=tuple(rows)),),
        notes=(HOW_COUNTED,),
    )
