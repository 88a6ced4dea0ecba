"""Intervals for accuracies, and tests of one against another on the same questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm, sqrt
from statistics import NormalDist

CONFIDENCE = 0.95
POWER = 0.8
_SEEDS = 1000
"""The most seeds that a question's mean difference may come from."""


def wilson(correct: float, total: int) -> tuple[float, float]:
    """The Wilson score interval of a proportion at 95 %, as (low, high) in 0..1. `correct` may be a mean over seeds.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference (1927)."""
    share, z = correct / total, NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    middle = share + z**2 / (2 * total)
    reach = z * sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    low, high = ((middle + way * reach) / (1 + z**2 / total) for way in (-1, 1))
    return (0.0 if correct == 0 else low), (1.0 if correct == total else high)


def mcnemar(only_one: int, only_other: int) -> float:
    """The exact two-sided p-value that two answerers are equally good, from the questions that just one got right.

    Source: Q. McNemar, Note on the sampling error of the difference between correlated proportions (1947); exact: a
    binomial test of the discordant pairs."""
    from scipy.stats import binomtest

    discordant = only_one + only_other
    return float(binomtest(only_one, discordant).pvalue) if discordant else 1.0


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A difference in accuracy (the first minus the second) on the same questions, with its 95 % interval and the
    two-sided p-value that there is none."""

    mean: float
    low: float
    high: float
    p: float


def paired(differences: Iterable[float], *, seed: int = 0, resamples: int = 9999) -> Difference:
    """The mean of the differences of single questions; with several seeds, each is a question's mean over them,
    so that a question counts once.

    The interval is the percentile bootstrap over questions (Efron, 1979). p is exact: of all ways to swap the two
    answerers question by question, the share that differ as much (Fisher, 1935). For one seed that is McNemar's."""
    import numpy as np

    counts = dict(sorted(Counter(differences).items()))  # they take few values, so that counts suffice
    values = np.asarray(list(counts), dtype=float)
    questions = np.asarray(list(counts.values()))
    total = int(questions.sum())
    mean = float(values @ questions) / total
    if not values.any():
        return Difference(mean=0.0, low=0.0, high=0.0, p=1.0)
    drawn = np.random.default_rng(seed).multinomial(total, questions / total, size=resamples) @ values / total
    low, high = np.quantile(drawn, [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2])
    return Difference(mean=mean, low=float(low), high=float(high), p=_swapped(counts))


def _swapped(counts: Mapping[float, int]) -> float:
    """The two-sided p of the exact sign-flip test: the sum over questions, each with either sign, is a sum of binomial
    variables, one for each size of difference."""
    import numpy as np
    from scipy.signal import convolve
    from scipy.stats import binom

    exact = {Fraction(value).limit_denominator(_SEEDS): count for value, count in counts.items() if value}
    scale = lcm(*(value.denominator for value in exact))
    steps: Counter[int] = Counter()
    for value, count in exact.items():
        steps[abs(int(value * scale))] += count
    seen = abs(int(sum(value * count for value, count in exact.items()) * scale))
    if len(steps) == 1:
        [(size, count)] = steps.items()
        return mcnemar((count + seen // size) // 2, (count - seen // size) // 2)
    law = np.ones(1)
    for size, count in steps.items():
        own = np.zeros(size * count + 1)
        own[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        law = convolve(law, own)
    most = sum(size * count for size, count in steps.items())
    tail = float(np.clip(law[(most + seen) // 2 :], 0, 1).sum())
    return min(1.0, 2 * tail) if seen else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for how many there are, in their order.

    Source: S. Holm, A simple sequentially rejective multiple test procedure (1979)."""
    if not p_values:
        return []
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(p_values, method="holm")[1]]


def smallest_difference(questions: int, spread: float, discordant: float) -> float | None:
    """The minimum detectable difference in accuracy of a paired test at 5 % with 80 % power; None where no difference
    would be detected, even if all discord were for one side.

    `spread` is the mean of the squared differences of single questions, `discordant` the share of questions that just
    one of the two answers right, a mean over seeds. For one seed they are the same; for several the spread is less,
    since a question's mean over seeds varies less.

    Source: R. J. Connor, Sample size for testing differences in proportions for the paired-sample design (1987)."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    most = min(discordant, sqrt(spread))
    if most <= 0:
        return None
    alpha, beta = float(norm.ppf(0.5 + CONFIDENCE / 2)), float(norm.ppf(POWER))

    def lacking(difference: float) -> float:
        least = max(0.0, spread - difference**2)
        needed = (alpha * sqrt(spread) + beta * sqrt(least)) ** 2 / difference**2
        return needed - questions

    return None if lacking(most) > 0 else float(brentq(lacking, 1e-9, most))
