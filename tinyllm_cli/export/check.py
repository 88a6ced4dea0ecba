"""Whether an exported model answers as its student does: by ranked options with their scores, and by greedy text where
the runtime generates it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.evaluation.scoring import named
from tinyllm_cli.records.evaluations import Prediction, Scoring
from tinyllm_cli.students.base import Example, Limits, Ranker, Student, Writer
from tinyllm_cli.students.inputs import ExtraContext, Task
from tinyllm_cli.students.predict import generate, rank

TOLERANCE = 0.01
"""Nats per token. Two implementations in float32 differ in the fourth decimal; a wrong scale, which does not change
greedy text, by much more than this."""

Predictions = Mapping[Scoring, Mapping[str, Prediction]]


class Format(Protocol):
    """The module of one format. `write` raises UsageProblem when the format does not support this student, and may
    destroy the student's model: `load` uses only its tokenizer and settings."""

    NEEDS: Sequence[str]
    """Required packages besides tinyllm's own, as requirements."""

    WRITES_TEXT: bool
    """Whether its runtime generates text; otherwise only ranked options are checked."""

    USAGE: str
    """How to load an export, in Markdown."""

    write: Callable[[Student, str, Path, bool], None]
    load: Callable[[Path, Student], Ranker]


@dataclass(frozen=True, kw_only=True)
class AnswerAgreement:
    """The answers of the student and of the export by one scoring."""

    scoring: Scoring
    questions: int
    same: int
    correct_before: int
    correct_after: int
    largest_difference: float | None
    """The largest difference of an option's score, in nats per token; None for generated text."""

    @property
    def lossless(self) -> bool:
        return self.same == self.questions and (self.largest_difference or 0.0) <= TOLERANCE


class Borrowed:
    """The parts of its student that an exported model uses: the tokenizer and the encoding of tasks."""

    def __init__(self, student: Student) -> None:
        self.tokenizer = student.tokenizer
        self._student = student

    def encode(self, tasks: Sequence[Task], limits: Limits) -> list[Example]:
        return self._student.encode(tasks, limits)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The questions of a comparison, with how they are encoded. `student` is its name for messages."""

    questions: Sequence[Question]
    limits: Limits
    student: str
    extra_context: ExtraContext = field(default_factory=dict)


def answers_of(student: Student, asked: Asked, *, text: bool) -> Predictions:
    """The student's answers before it is exported.

    Raises WorldProblem when its scores are not finite."""
    with named(asked.student):
        ranked = list(rank(student, asked.questions, asked.limits, asked.extra_context))
    found: dict[Scoring, Mapping[str, Prediction]] = {"rank": _by_key(ranked)}
    if text:
        found["generate"] = _by_key(generate(student, asked.questions, asked.limits, asked.extra_context))
    return found


def compare(before: Predictions, exported: Ranker | Writer, asked: Asked) -> list[AnswerAgreement]:
    """An agreement for each scoring in `before`; with `generate` among them the exported model must be a Writer.

    Raises WorldProblem when its scores are not finite."""
    agreements = []
    for scoring, old in before.items():
        answers = rank if scoring == "rank" else generate
        with named(f"the export of {asked.student}"):
            new = _by_key(answers(exported, asked.questions, asked.limits, asked.extra_context))  # type: ignore[arg-type]
        pairs = [(old[question.key], new[question.key]) for question in asked.questions]
        differences = [
            abs(a - b) for one, other in pairs for a, b in zip(one.scores or (), other.scores or (), strict=True)
        ]
        agreements.append(
            AnswerAgreement(
                scoring=scoring,
                questions=len(asked.questions),
                same=sum((one.option, one.text) == (other.option, other.text) for one, other in pairs),
                correct_before=sum(one.correct for one, _ in pairs),
                correct_after=sum(other.correct for _, other in pairs),
                largest_difference=max(differences) if differences else None,
            )
        )
    return agreements


def _by_key(predictions: Iterable[Prediction]) -> dict[str, Prediction]:
    return {prediction.key: prediction for prediction in predictions}
