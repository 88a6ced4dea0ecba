"""`date-understanding`: a meeting is moved several times; on which date is it?

After BIG-bench's task "date understanding". The gold answer is the earliest, the latest or any other of the six dates
equally often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from tinyllm_cli.datasets.procedural.problem import Family, Problem, conclusion

_FIRST, _LAST = date(1950, 1, 1), date(2049, 12, 31)
_OPTIONS = 6
_SPAN = 40  # days between the earliest and the latest option, at most
_LENGTHS = [(days, "day") for days in range(1, 31) if days % 7] + [(weeks, "week") for weeks in range(1, 13)]
_TODAY = {"Yesterday was": 1, "Today is": 0, "Tomorrow is": -1}
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Shift:
    amount: int
    unit: str
    sign: int

    @property
    def days(self) -> int:
        return self.sign * self.amount * (7 if self.unit == "week" else 1)

    def __str__(self) -> str:
        return f"{_counted(self.amount, self.unit)} {_direction(self.sign)}"


def _make(rng: Random, size: int, _gold: str) -> Problem:
    today = _FIRST + timedelta(days=rng.randrange((_LAST - _FIRST).days + 1))
    phrase = rng.choice(list(_TODAY))
    stated = today - timedelta(days=_TODAY[phrase])
    shifts = [_Shift(amount=amount, unit=unit, sign=rng.choice((1, -1))) for amount, unit in rng.sample(_LENGTHS, size)]
    half = size // 2
    dates = _dates(today, shifts)
    offsets = _offsets(rng)
    slip = rng.choice(offsets)
    mistaken = _dates(today, shifts, mistake=rng.randrange(size), slip=slip)
    opening = f"{phrase} {_usual(stated)}, so the meeting first falls on {_usual(today)}."
    moves = " ".join(f"{'Then it' if number else 'It'} is moved {shift}." for number, shift in enumerate(shifts))
    return Problem(
        text=f"{phrase} {_MONTHS[stated.month - 1]} {stated.day}, {stated.year}. A meeting is planned for today."
        f" {moves} What is its date, in MM/DD/YYYY?",
        gold=_usual(dates[-1]),
        distractors=tuple(_usual(dates[-1] + timedelta(days=offset)) for offset in offsets),
        stepwise=" ".join([opening, *_steps(shifts, dates), conclusion(_usual(dates[-1]))]),
        first_half=" ".join([opening, *_steps(shifts[:half], dates), f"{size - half} of the {size} moves follow."]),
        second_half=_second_half(shifts[half:], half),
        mistaken=" ".join([opening, *_steps(shifts, mistaken), conclusion(_usual(mistaken[-1]))]),
        mistake=_usual(mistaken[-1]),
    )


def _offsets(rng: Random) -> list[int]:
    """Days from the gold answer to the other options. The rank of the gold answer among the dates is uniform."""
    places = rng.sample(range(_SPAN + 1), _OPTIONS)
    return [place - places[0] for place in places[1:]]


def _dates(day: date, shifts: Sequence[_Shift], *, mistake: int | None = None, slip: int = 0) -> list[date]:
    """The date after every shift. The shift `mistake` is counted wrong by `slip` days."""
    dates = []
    for number, shift in enumerate(shifts):
        day += timedelta(days=shift.days + (slip if number == mistake else 0))
        dates.append(day)
    return dates


def _usual(day: date) -> str:
    return f"{day.month:02}/{day.day:02}/{day.year:04}"


def _direction(sign: int) -> str:
    return "later" if sign >= 0 else "earlier"


def _counted(amount: int, unit: str) -> str:
    return f"{amount} {unit}{'' if amount == 1 else 's'}"


def _move(number: int, shift: _Shift) -> str:
    if shift.unit == "day":
        return f"Move {number}, {shift}"
    length = _counted(shift.amount, shift.unit)
    return f"Move {number}, {length} or {_counted(abs(shift.days), 'day')} {_direction(shift.sign)}"


def _steps(shifts: Sequence[_Shift], dates: Sequence[date]) -> list[str]:
    return [
        f"{_move(number, shift)}: {_usual(day)}."
        for number, (shift, day) in enumerate(zip(shifts, dates, strict=False), start=1)
    ]


def _second_half(shifts: Sequence[_Shift], half: int) -> str:
    """The sum of the days after every shift."""
    sentences, total = [], 0
    for number, shift in enumerate(shifts, start=half + 1):
        total += shift.days
        sentences.append(f"{_move(number, shift)}: in total {_counted(abs(total), 'day')} {_direction(total)}.")
    return " ".join(
        [*sentences, f"So the meeting is {_counted(abs(total), 'day')} {_direction(total)} than after move {half}."]
    )


DATE_UNDERSTANDING = Family(
    name="date-understanding", unit="moves", sizes=tuple(range(2, 9)), default_size=4, make=_make
)
