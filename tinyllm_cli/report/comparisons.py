"""Paired tests of one arm against another on the same questions, corrected for their number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from tinyllm_cli.report.arms import Arm
from tinyllm_cli.stats import holm, paired, smallest_difference
from tinyllm_cli.store import Store


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """What to compare: two arms, or the same two methods on several data sets. `part`: in which of the report's tables
    they are."""

    part: str
    arm: str
    against: str
    student: str
    pairs: tuple[tuple[Arm, Arm], ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A difference in accuracy with its 95 % interval, its exact two-sided p, and p after Holm's correction for all
    comparisons of the report. `discordant` is the share of questions that just one of the two got right, a mean over
    seeds; `spread` the mean of the questions' squared differences, each a mean over seeds; `smallest` the minimum
    detectable difference at 80 % power, None where no difference would be detected. Of several data sets each may have
    another number of seeds: `seeds` is the highest, `fewest_seeds` the lowest. `evaluations` are the pairs that were
    compared."""

    part: str
    arm: str
    against: str
    student: str
    dataset: str
    scoring: str
    n: int
    seeds: int
    fewest_seeds: int
    difference: float
    low: float
    high: float
    p: float
    adjusted: float
    discordant: float
    spread: float
    smallest: float | None
    evaluations: tuple[tuple[int, int], ...]


def comparisons(store: Store, pairings: Sequence[Pairing]) -> list[Comparison]:
    """Each pair of arms once; pairs without a seed in common are left out."""
    tested: dict[tuple[tuple[int, int], ...], Comparison | None] = {}
    for pairing in pairings:
        together = [common(one, other) for one, other in pairing.pairs]
        key = tuple(pair for some in together for pair in some)
        if key not in tested and all(together):
            tested[key] = _compared(store, pairing, together)
    found = [one for one in tested.values() if one is not None]
    adjusted = holm([one.p for one in found])
    return [replace(one, adjusted=correction) for one, correction in zip(found, adjusted, strict=True)]


def common(one: Arm, other: Arm) -> list[tuple[int, int]]:
    """Pairs of evaluations with the same seed. An untrained model has one for all seeds."""
    if one.questions[:2] != other.questions[:2] or one.n != other.n:
        return []
    if not other.runs:
        return [(own, other.evaluations[-1]) for own in one.evaluations]
    return [(one.evaluations[ours], other.evaluations[theirs]) for ours, theirs in one.same_seeds(other)]


def _compared(store: Store, pairing: Pairing, together: Sequence[Sequence[tuple[int, int]]]) -> Comparison | None:
    """None where they have no question in common."""
    counts: Counter[tuple[Fraction, Fraction]] = Counter()
    for some in together:
        counts += store.paired.outcomes(some)
    n = counts.total()
    if not n:
        return None
    discordant = float(sum(share * count for (_, share), count in counts.items()) / n)
    spread = float(sum(difference**2 * count for (difference, _), count in counts.items()) / n)
    differences: Counter[float] = Counter()
    for (difference, _), count in counts.items():
        differences[float(difference)] += count
    found = paired(differences.elements())
    first = pairing.pairs[0][0]
    seeds = [len(set(one.seeds) & set(other.seeds)) if other.runs else one.seed_count for one, other in pairing.pairs]
    return Comparison(
        part=pairing.part,
        arm=pairing.arm,
        against=pairing.against,
        student=pairing.student,
        dataset=" + ".join(one.dataset for one, _ in pairing.pairs),
        scoring=first.scoring,
        n=n,
        seeds=max(seeds),
        fewest_seeds=min(seeds),
        difference=found.mean,
        low=found.low,
        high=found.high,
        p=found.p,
        adjusted=found.p,
        discordant=discordant,
        spread=spread,
        smallest=smallest_difference(n, spread, discordant),
        evaluations=tuple(pair for some in together for pair in some),
    )
