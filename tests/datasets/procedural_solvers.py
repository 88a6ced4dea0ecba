"""Solvers for generated questions: they read texts of questions and rationales, and know nothing of the generator."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

SHIFT = r"(\d+) (day|week)s? (later|earlier)"
DATE = r"\d\d/\d\d/\d{4}"
OTHER = {"heads": "tails", "tails": "heads"}


@dataclass(frozen=True, kw_only=True)
class Solver:
    """`states`: from the question, what is known after every step; the last one is the answer. `written`: the same from
    a rationale of `stepwise`. `join`: from the two halves, the answer. `answer`: from a last state, the gold text."""

    states: Callable[[str], list[str]]
    written: Callable[[str], list[str]]
    join: Callable[[str, str], str]
    answer: Callable[[str, str], str] = lambda state, _text: state


def _sides(text: str) -> list[str]:
    side = re.findall(r"lies with (\w+) up", text)[0]
    sides = []
    for verb in re.findall(r"(flips|does not flip) the coin\.", text):
        side = OTHER[side] if verb == "flips" else side
        sides.append(side)
    return sides


def _join_sides(first: str, second: str) -> str:
    halfway: str = re.findall(r"it shows (\w+)\.$", first)[0]
    flips = len(re.findall(r"\w+ flips the coin", second))
    stated = re.findall(r"shows the (same|other) side", second)
    assert stated == ["other" if flips % 2 else "same"]
    return OTHER[halfway] if flips % 2 else halfway


def _prefixes(text: str) -> list[str]:
    letters = [word[-1] for word in re.findall(r'"(\w+)"', text)]
    return ["".join(letters[: number + 1]) for number in range(len(letters))]


def _join_letters(first: str, second: str) -> str:
    ends = [part.partition("The result ")[2] for part in (first, second)]
    assert [end.split()[0] for end in ends] == ["begins", "ends"]
    return "".join(letter for end in ends for letter in re.findall(r'"(\w)"', end))


def _holdings(text: str) -> list[str]:
    holds = dict(re.findall(r"(\w+) has the (\w+) ball", text))
    states = []
    for one, other in re.findall(r"(\w+) and (\w+) swap\.", text):
        holds[one], holds[other] = holds[other], holds[one]
        states.append(", ".join(f"{person} {colour}" for person, colour in holds.items()))
    return states


def _asked_ball(state: str, text: str) -> str:
    asked = re.findall(r"Which ball does (\w+) have", text)[0]
    return f"{dict(pair.split() for pair in state.split(', '))[asked]} ball"


def _join_balls(first: str, second: str) -> str:
    halfway = dict(pair.split() for pair in re.findall(r": ([^.]+)\.", first)[-1].split(", "))
    owners = {person: person for person in halfway}
    for one, other in re.findall(r"of (\w+) and (\w+):", second):
        owners[one], owners[other] = owners[other], owners[one]
    asked, owner = re.findall(r"At the end (\w+) has the ball that (\w+) has", second)[0]
    assert owners[asked] == owner
    return f"{halfway[owner]} ball"


def _days(amount: str, unit: str, direction: str) -> timedelta:
    return timedelta(days=int(amount) * {"day": 1, "week": 7}[unit] * {"later": 1, "earlier": -1}[direction])


def _dates(text: str) -> list[str]:
    phrase, stated = re.findall(r"^(Yesterday was|Today is|Tomorrow is) (\w+ \d+, \d+)\.", text)[0]
    day = datetime.strptime(stated, "%B %d, %Y")
    day += timedelta(days={"Yesterday was": 1, "Today is": 0, "Tomorrow is": -1}[phrase])
    dates = []
    for shift in re.findall(f"moved {SHIFT}", text):
        day += _days(*shift)
        dates.append(day.strftime("%m/%d/%Y"))
    return dates


def _join_dates(first: str, second: str) -> str:
    day = datetime.strptime(re.findall(DATE, first)[-1], "%m/%d/%Y")
    moves = [_days(*shift) for shift in re.findall(rf"Move \d+, (?:\d+ weeks? or )?{SHIFT}", second)]
    total = _days(*re.findall(f"So the meeting is {SHIFT} than", second)[0])
    assert total == sum(moves, start=timedelta())
    return (day + total).strftime("%m/%d/%Y")


SOLVERS = {
    "coin-flip": Solver(
        states=_sides, written=lambda text: re.findall(r"flips? it: (\w+)\.", text), join=_join_sides
    ),
    "last-letters": Solver(
        states=_prefixes, written=lambda text: re.findall(r"giving (\w+)\.", text), join=_join_letters
    ),
    "shuffled-objects": Solver(
        states=_holdings, written=lambda text: re.findall(r"Swap[^:]+: ([^.]+)\.", text), join=_join_balls,
        answer=_asked_ball,
    ),
    "date-understanding": Solver(
        states=_dates, written=lambda text: re.findall(rf"Move[^:]+: ({DATE})\.", text), join=_join_dates
    ),
}  # fmt: skip
