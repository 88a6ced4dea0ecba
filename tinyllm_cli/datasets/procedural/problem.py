"""What a family of generated questions is, and what its rule-based teachers write about one problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

FamilyName = Literal["coin-flip", "last-letters", "shuffled-objects", "date-understanding"]
NAMES = (
    "Alice", "Bob", "Carol", "David", "Emma", "Frank", "Grace", "Henry", "Irene", "Jack", "Karen", "Leo", "Maria",
    "Nina", "Oscar", "Paula", "Quinn", "Rosa", "Simon", "Tina", "Uma", "Victor", "Wendy", "Xavier", "Yusuf", "Zoe",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One problem, solved. `stepwise` writes every intermediate state and ends in `gold`. `mistaken` does the same with
    one mistake and ends in `mistake`, one of the `distractors`. `first_half` and `second_half` each know a part of the
    steps: together they determine `gold`, alone neither states it."""

    text: str
    gold: str
    distractors: tuple[str, ...]
    stepwise: str
    first_half: str
    second_half: str
    mistaken: str
    mistake: str


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of problem. `sizes` are the allowed numbers of `unit` in a question. `golds`: the texts that gold answers
    have, all equally often; empty when nearly every problem has another. `make` draws one problem of a size with a
    wanted gold text (empty without `golds`)."""

    name: FamilyName
    unit: str
    sizes: tuple[int, ...]
    default_size: int
    make: Callable[[Random, int, str], Problem]
    golds: tuple[str, ...] = ()


def conclusion(answer: str) -> str:
    """The last sentence of a rationale that states an answer."""
    return f"So the answer is {answer}."


def listed(items: list[str]) -> str:
    """`a, b and c`."""
    return f"{', '.join(items[:-1])} and {items[-1]}"
