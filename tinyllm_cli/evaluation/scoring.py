"""A student's predictions, which are only valid when its scores are finite numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import WorldProblem
from tinyllm_cli.records.evaluations import Prediction, Scoring
from tinyllm_cli.students.base import Limits, Student
from tinyllm_cli.students.explain import ANSWERS_ALONE, Explaining, explain_and_answer
from tinyllm_cli.students.inputs import ExtraContext
from tinyllm_cli.students.predict import ScoresNotFinite, generate, rank


@dataclass(frozen=True, kw_only=True)
class StudentScoring:
    """How a student answers. `explaining` says how it explains ("explain"), and where its text has the answer
    ("generate"). `extra_context` is in its input beside the questions (PINTO)."""

    scoring: Scoring
    limits: Limits
    explaining: Explaining = ANSWERS_ALONE
    extra_context: ExtraContext = field(default_factory=dict)


_CHUNK_OF_A_GPU = 1024


def chunk_size(device: str, on_cpu: int = 64) -> int:
    """Questions whose predictions are kept together: the most that a kill can lose. A GPU computes so many at once that
    fewer would leave it idle."""
    return _CHUNK_OF_A_GPU if device.startswith("cuda") else on_cpu


def predictions_of(student: Student, questions: Sequence[Question], how: StudentScoring, name: str) -> list[Prediction]:
    """One prediction for each question. A student that writes ranks the first question as well: text shows no NaN.

    Raises WorldProblem that names the student when a score is not finite."""
    with named(name):
        if how.scoring == "rank":
            return list(rank(student, questions, how.limits, how.extra_context))
        list(rank(student, questions[:1], how.limits, how.extra_context))
    if how.scoring == "explain":
        return list(explain_and_answer(student, questions, how.explaining, how.limits, how.extra_context))
    return list(generate(student, questions, how.limits, how.extra_context, how.explaining.option))


@contextmanager
def named(student: str) -> Iterator[None]:
    """Name the student in the error about scores that are not finite."""
    try:
        yield
    except ScoresNotFinite as error:
        raise WorldProblem(
            f"The scores of {student} are not finite, so it has no answers: its weights are damaged, or its training"
            " diverged.",
            error.hint,
        ) from error
