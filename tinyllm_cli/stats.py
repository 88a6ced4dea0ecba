"""Intervals for accuracies, and tests of one against another on the same questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

CONFIDENCE = 0.95
POWER = 0.8


def wilson(correct: int, total: int) -> tuple[float, float]:
    """The Wilson score interval of a proportion at 95 %, as (low, high) in 0..1.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference (1927)."""
    from scipy.stats import binomtest

    interval = binomtest(correct, total).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


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


def paired(differences: Sequence[float], *, seed: int = 0, resamples: int = 9999) -> Difference:
    """What the differences of single questions say together; with several seeds, each is a question's mean over them,
    so that a question counts once.

    The interval is the percentile bootstrap over questions (Efron, 1979), p that of the permutation test that flips
    signs. Where every difference is -1, 0 or 1, p is McNemar's, exactly."""
    import numpy as np
    from scipy.stats import bootstrap, permutation_test

    values = np.asarray(differences, dtype=float)
    mean = float(values.mean())
    if not values.any():
        return Difference(mean=0.0, low=0.0, high=0.0, p=1.0)
    drawn = bootstrap(
        (values,), np.mean, confidence_level=CONFIDENCE, n_resamples=resamples, batch=500, method="percentile",
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    if set(np.unique(values)) <= {-1.0, 0.0, 1.0}:
        p = mcnemar(int((values > 0).sum()), int((values < 0).sum()))
    else:
        p = float(
            permutation_test(
                (values,), np.mean, permutation_type="samples", n_resamples=resamples, batch=500,
                rng=np.random.default_rng(seed),
            ).pvalue
        )  # fmt: skip
    low, high = drawn.confidence_interval
    return Difference(mean=mean, low=float(low), high=float(high), p=p)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for how many there are, in their order.

    Source: S. Holm, A simple sequentially rejective multiple test procedure (1979)."""
    if not p_values:
        return []
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(p_values, method="holm")[1]]


def smallest_difference(questions: int, discordant: float) -> float:
    """The smallest difference in accuracy that McNemar's test at 5 % finds in four cases of five, where a share
    `discordant` of the questions is answered right by just one of the two.

    Source: R. J. Connor, Sample size for testing differences in proportions for the paired-sample design (1987). The
    share itself where even that is not enough."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    if discordant <= 0:
        return 0.0
    alpha, beta = float(norm.ppf(0.5 + CONFIDENCE / 2)), float(norm.ppf(POWER))

    def lacking(difference: float) -> float:
        needed = (alpha * sqrt(discordant) + beta * sqrt(discordant - difference**2)) ** 2 / difference**2
        return needed - questions

    highest = min(discordant, sqrt(discordant))
    return highest if lacking(highest) > 0 else float(brentq(lacking, 1e-9, highest))
