"""Scores of texts by a model: stored ones are reused, missing ones are computed and stored in small batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from tinyllm_cli.iteration import batched
from tinyllm_cli.rationales.verdicts import JudgedRationale
from tinyllm_cli.records.elicitation import Rationale
from tinyllm_cli.records.usefulness import Scorer, TextScore
from tinyllm_cli.store.usefulness import ScoreQueries
from tinyllm_cli.students.base import Ranker

_CHUNK = 64
"""Rationales whose scores are committed together."""

OnScored = Callable[[int], None]
"""Called with the number of rationales scored so far, those of earlier runs included."""


class Measure(Protocol):
    """What is measured of a text."""

    def hash(self, one: JudgedRationale) -> str:
        """Identifies what the model reads."""
        ...

    def compute(self, ranker: Ranker, chunk: Sequence[JudgedRationale]) -> dict[int, tuple[float, bool]]:
        """By rationale id, the score in nats and whether the model's input was truncated."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """A rationale's text as it would be learned, and its score in nats. `cut`: the model's input was truncated."""

    rationale: Rationale
    text: str
    value: float
    cut: bool


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """The model that reads; `load` is called only when a score is missing."""

    scorer: Scorer
    load: Callable[[], Ranker]


def score(
    stored: ScoreQueries, rationales: Iterable[JudgedRationale], scoring: Scoring, measure: Measure, watch: OnScored
) -> Iterator[Scored]:
    """The score of each text."""
    ranker: Ranker | None = None
    done = 0
    for chunk in batched(rationales, _CHUNK):
        hashes = {one.rationale.id: measure.hash(one) for one in chunk}
        scores = stored.stored(scoring.scorer, hashes)
        missing = [one for one in chunk if one.rationale.id not in scores]
        if missing:
            ranker = ranker or scoring.load()
            computed = [
                TextScore(rationale=id, text_hash=hashes[id], value=value, input_truncated=cut)
                for id, (value, cut) in measure.compute(ranker, missing).items()
            ]
            stored.add(scoring.scorer, computed)
            scores |= {one.rationale: one for one in computed}
        done += len(chunk)
        watch(done)
        for one in chunk:
            own = scores[one.rationale.id]
            yield Scored(rationale=one.rationale, text=one.text, value=own.value, cut=own.input_truncated)
