"""The objective L = L_A + sum_m alpha_m L_Tm (paper, eq. 2-4) as one weight for each target token.

Weights are fixed by the whole optimizer step before anything is batched, so the gradient of a step does not depend
on how its examples are grouped, ordered, padded or spread over processes: it is always the gradient of
`sum(weight * negative log-likelihood)` over the step's target tokens. Pure arithmetic, no torch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, Protocol, get_args

Reading = Literal["example", "token"]
"""Two readings of the cross-entropy l. "example" (the paper): the mean over a task's examples of each example's mean
over its target tokens. "token" (the authors' code): the mean over all of a task's target tokens."""

READINGS: tuple[str, ...] = get_args(Reading)


class Weighted(Protocol):
    """What of an example decides its weight. `length` is its number of target tokens."""

    @property
    def name(self) -> str: ...
    @property
    def weight(self) -> float: ...
    @property
    def share(self) -> float: ...
    @property
    def length(self) -> int: ...


def token_weights(step: Sequence[Weighted], reading: Reading) -> list[float]:
    """The weight of every target token of each example in an optimizer step.

    For a task with examples i of weight w_i, length T_i and share s_i (1 over the samples of its question):

    - "example": w_i * s_i / (N * T_i) with N = sum of s_i, the questions that have this task;
    - "token":   w_i * s_i / (sum of s_j * T_j).

    What a rationale weighs (w_i) is no part of N: a useful one counts for more also where it is alone in a step.
    """
    totals: dict[str, float] = defaultdict(float)
    for example in step:
        totals[example.name] += example.share * (example.length if reading == "token" else 1)
    return [
        example.weight * example.share / (totals[example.name] * (1 if reading == "token" else example.length))
        for example in step
    ]
