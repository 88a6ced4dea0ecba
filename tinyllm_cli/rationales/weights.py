"""Gains as weights of examples, or as a filter: what a student makes of how useful a rationale is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean, pstdev
from typing import Literal

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.rationales.masking import masked
from tinyllm_cli.records.elicitation import Rationale
from tinyllm_cli.records.usefulness import Scorer
from tinyllm_cli.store import Store

Use = Literal["none", "weight", "filter"]

_PAGE = 500


def text_hash(text: str, question: Question, *, mask: bool) -> str:
    """What of a text was scored: with the answer's name in it, or without."""
    scored = masked(text, question) if mask else text
    return hashlib.sha256(scored.encode()).hexdigest()[:16]


def weights(gains: Mapping[int, float]) -> dict[int, float]:
    """A weight for each rationale, by id, between 0 and 2 before they are scaled to a mean of 1.

    w = 2 / (1 + exp(-(gain - mean) / deviation)): a rationale of average use weighs 1, and no single one can outweigh
    the rest however large its gain is. Where all gains are the same, all weigh 1."""
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
    """What one model made of a teacher's texts: the gain of each, by rationale id, with the answer's name masked."""

    scorer: Scorer
    gains: Mapping[int, float]


def scores_of(
    store: Store, dataset: str, texts: Sequence[tuple[Rationale, str]], questions: Mapping[str, Question]
) -> list[ModelScores]:
    """Of every model that scored rationales for the data set, the one that scored most of these texts first."""
    models = store.usefulness.models(dataset)
    if not models:
        return []
    hashes = {one.id: text_hash(text, questions[one.key], mask=True) for one, text in texts}
    found = []
    for model in models:
        gains: dict[int, float] = {}
        for page in _pages(hashes.items()):
            gains |= {one: known.gain for one, known in store.usefulness.stored(model, page).items()}
        found.append(ModelScores(scorer=model, gains=gains))
    return sorted(found, key=lambda one: -len(one.gains))


def _pages(hashes: Iterable[tuple[int, str]]) -> Iterator[dict[int, str]]:
    stream = iter(hashes)
    while page := dict(islice(stream, _PAGE)):
        yield page
