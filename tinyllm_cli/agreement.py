"""How far several teachers, or several samples of one, say the same; and which samples to learn from.

Pure: answers and texts in, figures out. Knows nothing of the store, and judges no text by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_RESAMPLES = 1000
VERDICTS: Mapping[str, int] = {"kept": 0, "repaired": 1}
"""What may be learned from, best first."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Krippendorff's alpha, nominal: 1 is full agreement, 0 is what chance would give. `low` and `high` bound its
    95 % bootstrap interval over questions. `same` is the share of the questions on which all say the same; only
    questions with two answers at least count."""

    alpha: float
    low: float
    high: float
    same: float
    questions: int


def agreement(answers: Iterable[Sequence[int | None]]) -> Agreement | None:
    """Agreement of raters on questions: for each question one option index by rater, None where one says nothing.

    None where nothing can be told: no question with two answers, or only one option ever named."""
    import krippendorff
    import numpy as np

    counts = np.array(_counts(answers), dtype=np.int64)
    if not len(counts) or (counts.sum(axis=0) > 0).sum() < 2:
        return None
    value = float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))
    kinds, often = np.unique(counts, axis=0, return_counts=True)  # questions take few shapes, so that counts say it all
    drawn = np.random.default_rng(0).multinomial(len(counts), often / len(counts), size=_RESAMPLES)
    low, high = map(float, np.quantile(alphas(kinds, drawn), [0.025, 0.975]))
    same = float((counts.max(axis=1) == counts.sum(axis=1)).mean())
    return Agreement(alpha=value, low=low, high=high, same=same, questions=len(counts))


def alphas(kinds: Any, drawn: Any) -> Any:
    """Nominal alpha (Krippendorff, 2004, ch. 11) of each resample: `kinds` (shapes, options) says how often each
    option was named, `drawn` (resamples, shapes) how many questions are of each shape. The library's own, asked a
    thousand times, takes a hundred times as long."""
    import numpy as np

    size = kinds.sum(axis=1)
    agreed = drawn @ ((kinds * (kinds - 1)).sum(axis=1) / (size - 1))
    named = drawn @ kinds
    total = named.sum(axis=1)
    by_chance = (named * (named - 1)).sum(axis=1) / (total - 1)
    expected = total - by_chance  # 0 where only one option was named: no disagreement, alpha is 1
    return 1 - np.divide(total - agreed, expected, out=np.zeros(len(drawn)), where=expected > 0)


def _counts(answers: Iterable[Sequence[int | None]]) -> list[list[int]]:
    """How often each option was named, for each question with two answers at least."""
    named = [[option for option in row if option is not None] for row in answers]
    paired = [row for row in named if len(row) > 1]
    width = 1 + max((option for row in paired for option in row), default=0)
    return [[row.count(option) for option in range(width)] for row in paired]


def overlap(one: str, other: str) -> float:
    """How alike the words of two texts are, 0 to 1 (rapidfuzz's token set ratio): 1 where all words of one are in the
    other. Words count by their letters, so that unrelated texts of one language reach a third or so: compare with what
    unrelated texts give."""
    from rapidfuzz.fuzz import token_set_ratio
    from rapidfuzz.utils import default_process

    return token_set_ratio(one, other, processor=default_process) / 100


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """One of several samples for a question. `verdict` is the gates'; `gain` its usefulness, None where not scored."""

    verdict: str
    text: str
    gain: float | None = None


def best_of(samples: Sequence[Sampled], k: int) -> list[int]:
    """The positions of the `k` samples to learn from, best first; fewer where fewer are fit.

    The gates come first: what they kept goes before what they repaired, and what they rejected is never taken. Among
    equals the more useful text comes first, a scored one before one that is not. Among what is still equal, the first
    choice is the text that is most like all the others, which is the least likely to be a slip; each further one is
    the text that is least like those already chosen, so that k texts teach more than one. The same text is taken
    once. The order of the samples decides what is left, so that the choice is always the same."""
    left = [index for index, one in enumerate(samples) if one.verdict in VERDICTS and one.text]
    likeness = {(a, b): overlap(samples[a].text, samples[b].text) for a in left for b in left if a < b}

    def alike(a: int, b: int) -> float:
        return likeness[min(a, b), max(a, b)]

    chosen: list[int] = []
    fit = tuple(left)
    while left and len(chosen) < k:
        first = min(_rank(samples[index]) for index in left)
        tied = [index for index in left if _rank(samples[index]) == first]
        if chosen:
            pick = min(tied, key=lambda index: max(alike(index, taken) for taken in chosen))
        else:
            pick = max(tied, key=lambda index: sum(alike(index, other) for other in fit if other != index))
        chosen.append(pick)
        left = [index for index in left if samples[index].text != samples[pick].text]
    return chosen


def _rank(sample: Sampled) -> tuple[int, bool, float]:
    """The smaller the better."""
    return VERDICTS[sample.verdict], sample.gain is None, -(sample.gain or 0.0)
