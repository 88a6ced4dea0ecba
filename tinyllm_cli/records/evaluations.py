"""Evaluations, their subjects and their predictions, as the store holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scoring = Literal["rank", "generate", "explain"]
"""How an answer is chosen: the most likely option; greedy text that is an option; or a text that explains and
answers."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Who answers the questions: a run's student, a model that was not trained here, or a teacher. The other fields
    distinguish two states of one name, such as two checkpoints of a run."""

    kind: Literal["run", "model", "teacher"]
    name: str
    run: int | None = None
    step: int | None = None
    """Of the run's checkpoint."""

    model: str | None = None
    model_fingerprint: str | None = None
    """Changes with the files of a local model."""

    revision: str | None = None
    max_input: int | None = None
    """Limit of the input in tokens."""

    sampling: str | None = None
    """Hash of the sampling of a teacher's stored replies; `recipe` is the name of their recipe."""

    recipe: str | None = None
    explain_as: str | None = None
    """The teacher in whose style a student explains, where it writes one at a time."""

    votes: int | None = None
    """Rationales that were sampled for each question; None: one greedy text, or none."""

    extra_context: str | None = None
    """Hash of the rationales that the student reads beside the questions (PINTO)."""

    @classmethod
    def of_replies(cls, teacher: str, sampling: str, recipe: str) -> Subject:
        """A teacher, by its stored replies."""
        return cls(kind="teacher", name=teacher, sampling=sampling, recipe=recipe)

    @property
    def replies(self) -> tuple[str, str] | None:
        """(sampling, recipe) of a teacher's stored replies; None where a model answered."""
        return None if self.sampling is None or self.recipe is None else (self.sampling, self.recipe)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Counts over one split. `chance` is the expected accuracy of guessing, `majority` that of always choosing the most
    frequent position. `correct`, `unparseable` and `truncated_inputs` are None until it is complete."""

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
    truncated_inputs: int | None
    written_tokens: int | None
    """Tokens of the texts that the student wrote; None where it wrote none."""

    seconds: float | None
    created: str

    @property
    def scored_by(self) -> str:
        """The scoring, with the number of votes: accuracies by the same one can be compared."""
        return f"{self.scoring}, {self.subject.votes} votes" if self.subject.votes else self.scoring


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One answer: an option index, or None when the text is unparseable. `scores` are mean log-likelihoods (nats per
    token) by option."""

    key: str
    question: str
    option: int | None
    correct: bool
    scores: tuple[float, ...] | None = None
    text: str | None = None
    written_tokens: int | None = None
    """Of all texts that were written for it, where these are counted."""

    input_truncated: bool = False
