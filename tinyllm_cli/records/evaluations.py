"""Evaluations and predictions, as the store holds them, and whose they are."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

Scoring = Literal["rank", "generate"]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Who answers the questions: a run's student, a model that was not trained here, or a teacher."""

    kind: Literal["run", "model", "teacher"]
    name: str
    fingerprint: str = ""
    """Tells two states of one name apart (a folder that changed, a teacher asked differently)."""

    run: int | None = None

    @classmethod
    def asked(cls, teacher: str, sampling: str, recipe: str) -> Subject:
        """A teacher by what it wrote when it was asked in this way."""
        return cls(kind="teacher", name=teacher, fingerprint=f"{sampling} {recipe}")

    @property
    def way(self) -> tuple[str, str] | None:
        """(sampling, recipe) of a teacher by what it wrote; None for one whose model answers here."""
        told = _ASKED.fullmatch(self.fingerprint) if self.kind == "teacher" else None
        return (told[1], told[2]) if told else None

    def reading(self, digest: str) -> Subject:
        """The same, with hints beside the questions."""
        return replace(self, fingerprint=f"{self.fingerprint}{_READS}{digest}")

    @property
    def state(self) -> str:
        """The fingerprint without the hints."""
        return self.fingerprint.partition(_READS)[0]


_READS = " reads "


_ASKED = re.compile(r"([0-9a-f]{32}) (.+)")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Counts over one split. `correct` and `unparseable` are None until it is complete."""

    id: int
    subject: Subject
    dataset: str
    split: str
    scoring: Scoring
    questions: int
    chance: float
    majority: float
    correct: int | None
    unparseable: int | None
    inputs_cut: int | None
    seconds: float | None
    created: str


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One answer: an option index, or None when the text names no option. `scores` are mean log-likelihoods
    (nats per token) by option."""

    key: str
    question: str
    option: int | None
    correct: bool
    scores: tuple[float, ...] | None = None
    text: str | None = None
    input_cut: bool = False
