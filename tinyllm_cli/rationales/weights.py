"""Usefulness scores: which of them are of the present texts, and how they weight a teacher's rationales. Pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Literal

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.rationales.masking import masked
from tinyllm_cli.rationales.verdicts import JudgedRationale
from tinyllm_cli.records.usefulness import Scorer, TextScore

Use = Literal["none", "weight", "filter"]


def text_hash(text: str, question: Question, *, mask: bool) -> str:
    """Identifies the scored text: with the answer masked, or as it is."""
    scored = masked(text, question) if mask else text
    return hashlib.sha256(scored.encode()).hexdigest()[:16]


def weights(gains: Mapping[int, float]) -> dict[int, float]:
    """A weight for each rationale, by id, between 0 and 2 before scaling to a mean of 1.

    w = 2 / (1 + exp(-(gain - mean) / deviation)): a rationale with the mean gain has weight 1, and no single one can
    outweigh the rest. If all gains are equal, all weights are 1."""
    if not gains:
        return {}
    mean, deviation = fmean(gains.values()), pstdev(gains.values())
    if deviation <= 1e-9 * max(1.0, abs(mean)):
        return dict.fromkeys(gains, 1.0)
    raw = {key: 2 / (1 + math.exp(-max(-30.0, min(30.0, (gain - mean) / deviation)))) for key, gain in gains.items()}
    scale = fmean(raw.values())
    return {key: value / scale for key, value in raw.items()}


@dataclass(frozen=True, kw_only=True)
class ModelScores:
    """The gains that one model's scores give a teacher's texts, by rationale id, with the answer masked."""

    scorer: Scorer
    gains: Mapping[int, float]


def current_scores(
    stored: Mapping[Scorer, Sequence[TextScore]], rationales: Sequence[JudgedRationale]
) -> list[ModelScores]:
    """The scores of each model that are of these texts; the model that scored most of them first."""
    if not stored:
        return []
    hashes = {one.rationale.id: text_hash(one.text, one.question, mask=True) for one in rationales}
    found = [
        ModelScores(
            scorer=scorer,
            gains={one.rationale: one.value for one in gains if hashes.get(one.rationale) == one.text_hash},
        )
        for scorer, gains in stored.items()
    ]
    return sorted(found, key=lambda one: -len(one.gains))
