"""How far several teachers, or several samples of one, say the same; and which samples to learn from.

Pure: answers and texts in, figures out. Knows nothing of the store, and judges no text by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinyllm_cli.rationales.similarity import overlap

VERDICTS: Mapping[str, int] = {"kept": 0, "repaired": 1}
"""What may be learned from, best first."""


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
