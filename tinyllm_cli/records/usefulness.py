"""Scores of rationales by a model (usefulness, learnability), as the store holds them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """A model that scores rationales. `fingerprint` changes with the files of a local model; empty for a model of the
    hub."""

    model: str
    fingerprint: str = ""

    @property
    def name(self) -> str:
        """For display, and for the record of a run."""
        return f"{self.model} {self.fingerprint}".strip()


@dataclass(frozen=True, kw_only=True)
class ScorerCount:
    """How many of a data set's rationales a model scored, and when it last did."""

    scorer: Scorer
    rationales: int
    latest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TextScore:
    """`text_hash` is the hash of what was scored. `value` in nats: the gain of a usefulness, or the mean log-likelihood
    per token of a learnability. `input_truncated`: the model did not read all of question and text."""

    rationale: int
    text_hash: str
    value: float
    input_truncated: bool = False
