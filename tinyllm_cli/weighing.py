"""Gains as weights of examples, or as a filter: what a student makes of how useful a rationale is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from statistics import fmean, pstdev
from typing import Literal

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.masking import masked
from tinyllm_cli.records import Rationale
from tinyllm_cli.store import Store
from tinyllm_cli.store import usefulness as stored_usefulness

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


def gains_of(
    store: Store, dataset: str, teacher: str, texts: Sequence[tuple[Rationale, str]], questions: Mapping[str, Question]
) -> dict[int, float]:
    """The gain of each of these texts, by rationale id, with the answer's name masked.

    Raises UsageProblem that names the command when some were never scored."""
    models = stored_usefulness.models(store, dataset)
    found: dict[int, float] = {}
    for page in _pages(texts):
        hashes = {one.id: text_hash(text, questions[one.key], mask=True) for one, text in page}
        found |= stored_usefulness.stored(store, models[0], hashes) if models else {}
    wanted = {one.id for one, _ in texts}  # a question that stands in two places has one rationale
    if missing := len(wanted - found.keys()):
        raise UsageProblem(
            f"{missing} of {len(wanted)} rationales of {teacher} for {dataset} have no score.",
            f"Run: tinyllm score --dataset {dataset} --teacher {teacher}",
        )
    return found


def _pages(texts: Sequence[tuple[Rationale, str]]) -> Iterator[list[tuple[Rationale, str]]]:
    stream = iter(texts)
    while page := list(islice(stream, _PAGE)):
        yield page
