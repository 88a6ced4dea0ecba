"""`coin-flip`: people flip a coin or do not; which side does it show at the end?

After Wei et al. 2022, "Chain-of-Thought Prompting Elicits Reasoning in Large Language Models", section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tinyllm_cli.datasets.procedural.problem import NAMES, Family, Problem, conclusion

SIDES = ("heads", "tails")


def _make(rng: Random, size: int, gold: str) -> Problem:
    people = rng.sample(NAMES, size)
    flips = [rng.random() < 0.5 for _ in people]
    start = _other(gold) if sum(flips) % 2 else gold
    half = size // 2
    turns = " ".join(
        f"{person} flips the coin." if flipped else f"{person} does not flip the coin."
        for person, flipped in zip(people, flips, strict=True)
    )
    middle = people[half - 1]
    halfway = _other(start) if sum(flips[:half]) % 2 else start
    opening = f"The coin starts with {start} up."
    return Problem(
        text=f"A coin lies with {start} up. {turns} Which side of the coin is up now?",
        gold=gold,
        distractors=(_other(gold),),
        stepwise=" ".join([opening, *_states(people, flips, start), conclusion(gold)]),
        first_half=" ".join(
            [opening, *_states(people[:half], flips[:half], start), f"After the turn of {middle} it shows {halfway}."]
        ),
        second_half=" ".join([*_counts(people[half:], flips[half:]), _parity(flips[half:], middle)]),
        mistaken=" ".join(
            [opening, *_states(people, flips, start, mistake=rng.randrange(size)), conclusion(_other(gold))]
        ),
        mistake=_other(gold),
    )


def _other(side: str) -> str:
    return SIDES[1 - SIDES.index(side)]


def _states(people: Sequence[str], flips: Sequence[bool], side: str, *, mistake: int | None = None) -> list[str]:
    """The side after every turn. The turn `mistake` is followed the wrong way round."""
    sentences = []
    for number, (person, flipped) in enumerate(zip(people, flips, strict=True)):
        if flipped != (number == mistake):
            side = _other(side)
        sentences.append(f"{person} {'flips' if flipped else 'does not flip'} it: {side}.")
    return sentences


def _counts(people: Sequence[str], flips: Sequence[bool]) -> list[str]:
    sentences, count = [], 0
    for person, flipped in zip(people, flips, strict=True):
        count += flipped
        flipping = "flips" if flipped else "does not flip"
        sentences.append(f"{person} {flipping} the coin: {count} flip{'' if count == 1 else 's'}.")
    return sentences


def _parity(flips: Sequence[bool], middle: str) -> str:
    kind, side = ("odd", "other") if sum(flips) % 2 else ("even", "same")
    relation = "than" if side == "other" else "as"
    return f"This is an {kind} number, so the coin shows the {side} side {relation} after the turn of {middle}."


COIN_FLIP = Family(
    name="coin-flip", unit="people", sizes=tuple(range(2, 13)), default_size=6, make=_make, golds=SIDES
)  # fmt: skip
