"""`shuffled-objects`: people swap balls in pairs; which ball does one of them have at the end?

After BIG-bench's task "tracking shuffled objects", with as many swaps as people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from tinyllm_cli.datasets.procedural.problem import NAMES, Family, Problem, conclusion, listed

COLOURS = ("red", "blue", "green", "yellow", "orange", "purple", "pink", "black", "white", "brown", "gray")
_BALLS = tuple(f"{colour} ball" for colour in COLOURS)
Swap = tuple[str, str]
Holding = dict[str, str]


def _make(rng: Random, size: int, gold: str) -> Problem:
    people = rng.sample(NAMES, size)
    swaps: list[Swap] = [(a, b) for a, b in (rng.sample(people, 2) for _ in range(size))]
    asked = rng.choice(sorted({person for swap in swaps for person in swap}))
    start = _start(rng, people, _origins(people, swaps)[asked], gold)
    states = _states(start, swaps)
    half = size // 2
    mistaken = _mistake(rng, start, swaps, asked)
    opening = f"At the start: {_shown(start)}."
    holding = listed([f"{person} has the {ball}" for person, ball in start.items()])
    moves = " ".join(f"{'Then' if number else 'First'} {a} and {b} swap." for number, (a, b) in enumerate(swaps))
    return Problem(
        text=f"{listed(people)} hold a ball each. {holding}. {moves} Which ball does {asked} have now?",
        gold=gold,
        distractors=tuple(ball for ball in start.values() if ball != gold),
        stepwise=" ".join([opening, *_moves(swaps, states), conclusion(f"the {gold}")]),
        first_half=" ".join([opening, *_moves(swaps[:half], states), f"These are the balls after swap {half}."]),
        second_half=_second_half(people, swaps[half:], asked, half),
        mistaken=" ".join([opening, *_moves(swaps, mistaken), conclusion(f"the {mistaken[-1][asked]}")]),
        mistake=mistaken[-1][asked],
    )


def _origins(people: Sequence[str], swaps: Sequence[Swap]) -> Holding:
    """Person -> whose ball this person has after the swaps."""
    return _states({person: person for person in people}, swaps)[-1]


def _start(rng: Random, people: Sequence[str], owner: str, gold: str) -> Holding:
    """Who has which ball at the start; `owner` has `gold`."""
    balls = rng.sample([ball for ball in _BALLS if ball != gold], len(people))
    return {person: gold if person == owner else ball for person, ball in zip(people, balls, strict=True)}


def _states(start: Mapping[str, str], swaps: Sequence[Swap], *, missed: int | None = None) -> list[Holding]:
    """The state after every swap, without the effect of the swap `missed`."""
    states = [dict(start)]
    for number, (a, b) in enumerate(swaps):
        state = dict(states[-1])
        if number != missed:
            state[a], state[b] = state[b], state[a]
        states.append(state)
    return states[1:]


def _mistake(rng: Random, start: Mapping[str, str], swaps: Sequence[Swap], asked: str) -> list[Holding]:
    """The states when one swap is missed, with another ball for `asked` at the end. There is always one:
    the last swap of `asked`."""
    right = _states(start, swaps)[-1][asked]
    runs = [_states(start, swaps, missed=missed) for missed in range(len(swaps))]
    return rng.choice([states for states in runs if states[-1][asked] != right])


def _shown(state: Mapping[str, str]) -> str:
    return ", ".join(f"{person} {ball.removesuffix(' ball')}" for person, ball in state.items())


def _moves(swaps: Sequence[Swap], states: Sequence[Holding]) -> list[str]:
    return [
        f"Swap {number} of {a} and {b}: {_shown(state)}."
        for number, ((a, b), state) in enumerate(zip(swaps, states, strict=False), start=1)
    ]


def _second_half(people: Sequence[str], swaps: Sequence[Swap], asked: str, half: int) -> str:
    """Whose ball of halfway everybody has, after every swap."""
    states = _states({person: person for person in people}, swaps)
    sentences = [
        f"Swap {number} of {a} and {b}: {', '.join(f'{person} from {owner}' for person, owner in state.items())}."
        for number, ((a, b), state) in enumerate(zip(swaps, states, strict=True), start=half + 1)
    ]
    return " ".join([*sentences, f"At the end {asked} has the ball that {states[-1][asked]} has after swap {half}."])


SHUFFLED_OBJECTS = Family(
    name="shuffled-objects", unit="objects", sizes=(3, 5, 7), default_size=3, make=_make, golds=_BALLS
)
