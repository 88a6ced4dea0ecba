"""Two arms compared question by question over the seeds that both have, for the scripts of this folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Marks = Mapping[int, Sequence[int]]
"""Seed -> 1 for each test question answered right, else 0."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """For each question, means over the common seeds: `differences` of the two arms' marks, and `discordant`, how often
    just one of them is right."""

    seeds: int
    differences: tuple[float, ...]
    discordant: tuple[float, ...]


def compare(ours: Marks, theirs: Marks) -> Compared | None:
    """None without a common seed."""
    common = sorted(set(ours) & set(theirs))
    if not common:
        return None
    columns = list(zip(*(zip(ours[seed], theirs[seed], strict=True) for seed in common), strict=True))
    return Compared(
        seeds=len(common),
        differences=tuple(sum(own - their for own, their in column) / len(common) for column in columns),
        discordant=tuple(sum(own != their for own, their in column) / len(common) for column in columns),
    )
