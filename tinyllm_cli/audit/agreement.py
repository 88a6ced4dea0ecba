"""Krippendorff's alpha: agreement of several teachers' answers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

_RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Krippendorff's nominal alpha: 1 is full agreement, 0 is chance agreement. `low` and `high` bound its 95 %
    bootstrap interval over questions. `same` is the share of questions with identical answers. Only questions with at
    least two answers count."""

    alpha: float
    low: float
    high: float
    same: float
    questions: int


def agreement(answers: Iterable[Sequence[int | None]]) -> Agreement | None:
    """Agreement of raters on questions: for each question one option index per rater, None for no answer.

    None if it is undefined: no question has two answers, or only one option is ever named."""
    import krippendorff
    import numpy as np

    counts = np.array(_counts(answers), dtype=np.int64)
    if not len(counts) or (counts.sum(axis=0) > 0).sum() < 2:
        return None
    value = float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))
    kinds, often = np.unique(counts, axis=0, return_counts=True)  # few distinct rows: their counts suffice
    drawn = np.random.default_rng(0).multinomial(len(counts), often / len(counts), size=_RESAMPLES)
    low, high = map(float, np.quantile(alphas(kinds, drawn), [0.025, 0.975]))
    same = float((counts.max(axis=1) == counts.sum(axis=1)).mean())
    return Agreement(alpha=value, low=low, high=high, same=same, questions=len(counts))


def alphas(kinds: Any, drawn: Any) -> Any:
    """Nominal alpha (Krippendorff, 2004, ch. 11) of each resample: `kinds` (rows, options) has how often each option
    was named, `drawn` (resamples, rows) how many questions have each row of counts. A hundred times as fast as one call
    of the library for each resample."""
    import numpy as np

    size = kinds.sum(axis=1)
    agreed = drawn @ ((kinds * (kinds - 1)).sum(axis=1) / (size - 1))
    named = drawn @ kinds
    total = named.sum(axis=1)
    by_chance = (named * (named - 1)).sum(axis=1) / (total - 1)
    expected = total - by_chance  # 0 where only one option was named: no disagreement, alpha is 1
    return 1 - np.divide(total - agreed, expected, out=np.zeros(len(drawn)), where=expected > 0)


def _counts(answers: Iterable[Sequence[int | None]]) -> list[list[int]]:
    """How often each option was named, for each question with at least two answers."""
    named = [[option for option in row if option is not None] for row in answers]
    paired = [row for row in named if len(row) > 1]
    width = 1 + max((option for row in paired for option in row), default=0)
    return [[row.count(option) for option in range(width)] for row in paired]
