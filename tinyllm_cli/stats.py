"""Intervals for accuracies."""

from __future__ import annotations

CONFIDENCE = 0.95


def wilson(correct: int, total: int) -> tuple[float, float]:
    """The Wilson score interval of a proportion at 95 %, as (low, high) in 0..1.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference (1927)."""
    from scipy.stats import binomtest

    interval = binomtest(correct, total).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)
