"""The objective L = L_A + sum_m alpha_m L_Tm (paper, eq. 2-4) as one weight for each target token.

Weights are fixed by the whole optimizer step before anything is batched, so the gradient of a step does not depend
on how its examples are grouped, ordered, padded or spread over processes: it is always the gradient of
`sum(weight * negative log-likelihood)` over the step's target tokens. Pure arithmetic, no torch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, get_args

from tinyllm_cli.records.settings import Reading
from tinyllm_cli.students.inputs import ANSWER

READINGS: tuple[str, ...] = get_args(Reading)


class Weighted(Protocol):
    """What of a span decides its weight. `length` is its number of target tokens, `weight` the rationale's own, 1 on
    average; `share` is 1 over the spans of its name that its question has."""

    @property
    def name(self) -> str: ...
    @property
    def weight(self) -> float: ...
    @property
    def share(self) -> float: ...
    @property
    def length(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Objective:
    """`alpha` by task name, 1 for a task that it does not name, such as the answer. `coverage` by task name: the
    fraction of the training questions that have the task, 1 where it is not named."""

    reading: Reading = "example"
    alpha: Mapping[str, float] = field(default_factory=dict)
    coverage: Mapping[str, float] = field(default_factory=dict)

    def token_weights(self, step: Sequence[Weighted]) -> list[float]:
        """What every target token of each span of an optimizer step weighs in the gradient:

            alpha_m * w_i * mean_weight_i * n_m / (b * p_m)

        with b questions in the step, n_m of which have task m, as a fraction p_m of all training questions has. L_Tm is
        the mean over the N_m = p_m N questions with a rationale of m (eq. 4); a step of b questions has p_m b of them
        on average, and dividing by that number, not by n_m, makes the step's gradient the one of eq. 2 in expectation.
        What a rationale weighs (w_i) is no part of N: a useful one counts for more also where it is alone in a step."""
        questions = self._questions(step)
        scale = {
            name: self.alpha.get(name, 1.0) * own / (questions[ANSWER] * self.coverage.get(name, 1.0))
            for name, own in questions.items()
        }
        return [
            span.weight * mean * scale[span.name]
            for span, mean in zip(step, mean_weights(step, self.reading), strict=True)
        ]

    def _questions(self, step: Sequence[Weighted]) -> dict[str, float]:
        """Questions of the step by task. Every question has an answer."""
        return _totals((span.name, span.share) for span in step)


def mean_weights(step: Sequence[Weighted], reading: Reading) -> list[float]:
    """The weight of every target token of each span in the mean l of its task over the step.

    For a task with spans i of length T_i and share s_i:

    - "example": s_i / (n * T_i) with n = sum of s_i, the step's questions that have this task;
    - "token":   s_i / (sum of s_j * T_j)."""
    totals = _totals((span.name, span.share * (span.length if reading == "token" else 1)) for span in step)
    return [span.share / (totals[span.name] * (1 if reading == "token" else span.length)) for span in step]


def coverage_of(questions: Sequence[Sequence[Weighted]]) -> dict[str, float]:
    """The fraction of the training questions, each given by its spans, that have each task."""
    counts = _totals((name, 1.0) for own in questions for name in {span.name for span in own})
    return {name: count / len(questions) for name, count in counts.items()}


def _totals(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    totals: dict[str, float] = defaultdict(float)
    for name, amount in pairs:
        totals[name] += amount
    return totals
