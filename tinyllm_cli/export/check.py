"""Does an exported model answer as its student does?

Compared are ranked options, with their scores, and greedy text where the runtime writes any."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.records.evaluations import Prediction, Scoring
from tinyllm_cli.students.base import Example, Limits, Ranker, Student, Writer
from tinyllm_cli.students.inputs import NO_EXTRA_CONTEXT, ExtraContext, Task
from tinyllm_cli.students.predict import generate, rank

TOLERANCE = 0.01
"""Nats per token. Two implementations in float32 differ in the fourth decimal; a wrong scale, which leaves greedy text
as it is, by much more than this."""

Predictions = Mapping[Scoring, Mapping[str, Prediction]]


class Format(Protocol):
    """A module that knows one format. `write` raises UsageProblem when the format can't hold this student, and may use
    the student up: only its tokenizer and settings are left to `load`."""

    NEEDS: Sequence[str]
    """What has to be installed beside tinyllm, as requirements."""

    WRITES_TEXT: bool
    """Whether its runtime generates; one that doesn't is checked by ranked options alone."""

    USAGE: str
    """How to load it, in Markdown."""

    write: Callable[[Student, str, Path, bool], None]
    load: Callable[[Path, Student], Ranker]


@dataclass(frozen=True, kw_only=True)
class AnswerAgreement:
    """One scoring of the same questions, before and after."""

    scoring: Scoring
    questions: int
    same: int
    correct_before: int
    correct_after: int
    largest_difference: float | None
    """Of any option's score, where options were ranked."""

    @property
    def lossless(self) -> bool:
        return self.same == self.questions and (self.largest_difference or 0.0) <= TOLERANCE


class Borrowed:
    """What an exported model takes from its student: the tokenizer, and how a task is spelt."""

    def __init__(self, student: Student) -> None:
        self.tokenizer = student.tokenizer
        self._student = student

    def encode(self, tasks: Sequence[Task], limits: Limits) -> list[Example]:
        return self._student.encode(tasks, limits)


def predictions_of(
    student: Student,
    questions: Sequence[Question],
    limits: Limits,
    extra_context: ExtraContext = NO_EXTRA_CONTEXT,
    *,
    text: bool,
) -> Predictions:
    """What the student answers before it is exported."""
    found: dict[Scoring, Mapping[str, Prediction]] = {"rank": _by_key(rank(student, questions, limits, extra_context))}
    if text:
        found["generate"] = _by_key(generate(student, questions, limits, extra_context))
    return found


def compare(
    before: Predictions,
    exported: Ranker | Writer,
    questions: Sequence[Question],
    limits: Limits,
    extra_context: ExtraContext = NO_EXTRA_CONTEXT,
) -> list[AnswerAgreement]:
    """An agreement for each scoring in `before`; an exported model that is asked for text must be a Writer."""
    agreements = []
    for scoring, old in before.items():
        answers = rank if scoring == "rank" else generate
        new = _by_key(answers(exported, questions, limits, extra_context))  # type: ignore[arg-type]
        pairs = [(old[question.key], new[question.key]) for question in questions]
        differences = [
            abs(a - b) for one, other in pairs for a, b in zip(one.scores or (), other.scores or (), strict=True)
        ]
        agreements.append(
            AnswerAgreement(
                scoring=scoring,
                questions=len(questions),
                same=sum((one.option, one.text) == (other.option, other.text) for one, other in pairs),
                correct_before=sum(one.correct for one, _ in pairs),
                correct_after=sum(other.correct for _, other in pairs),
                largest_difference=max(differences) if differences else None,
            )
        )
    return agreements


def _by_key(predictions: Any) -> dict[str, Prediction]:
    return {prediction.key: prediction for prediction in predictions}
