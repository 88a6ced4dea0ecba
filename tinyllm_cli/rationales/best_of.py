"""Which of several samples for a question to learn. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinyllm_cli.rationales.similarity import overlap

VERDICTS: Mapping[str, int] = {"kept": 0, "repaired": 1}
"""Rank of the verdicts that allow learning, best first."""


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """One of several samples for a question. `verdict` is the gates'; `gain` its usefulness, None if not scored."""

    verdict: str
    text: str
    gain: float | None = None


def best_of(samples: Sequence[Sampled], k: int) -> list[int]:
    """The positions of the `k` samples to learn, best first; fewer if fewer are eligible.

    Kept samples come before repaired ones; rejected ones are never chosen. Among equals the sample with the highest
    gain comes first, a scored one before an unscored one. Among the remaining ties, the first choice is the text most
    similar to all others, which is the least likely to be an outlier; each further choice is the text least similar to
    those already chosen, so that k texts add information. Identical texts are chosen once. The last tie-break is the
    order of the samples, so the result is deterministic."""
    left = [index for index, one in enumerate(samples) if one.verdict in VERDICTS and one.text]
    similarity = {(a, b): overlap(samples[a].text, samples[b].text) for a in left for b in left if a < b}

    def similar(a: int, b: int) -> float:
        return similarity[min(a, b), max(a, b)]

    chosen: list[int] = []
    eligible = tuple(left)
    while left and len(chosen) < k:
        first = min(_rank(samples[index]) for index in left)
        tied = [index for index in left if _rank(samples[index]) == first]
        if chosen:
            pick = min(tied, key=lambda index: max(similar(index, taken) for taken in chosen))
        else:
            pick = max(tied, key=lambda index: sum(similar(index, other) for other in eligible if other != index))
        chosen.append(pick)
        left = [index for index in left if samples[index].text != samples[pick].text]
    return chosen


def _rank(sample: Sampled) -> tuple[int, bool, float]:
    """The smaller the better."""
    return VERDICTS[sample.verdict], sample.gain is None, -(sample.gain or 0.0)
