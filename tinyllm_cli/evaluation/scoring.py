"""A student's predictions, which are only valid when its scores are finite numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import WorldProblem
from tinyllm_cli.records.evaluations import Prediction, Scoring
from tinyllm_cli.students.base import Limits, Ranker, Student
from tinyllm_cli.students.inputs import ExtraContext
from tinyllm_cli.students.predict import generate, rank


@dataclass(frozen=True, kw_only=True)
class StudentScoring:
    """How a student answers. `extra_context` is in its input beside the questions (PINTO)."""

    scoring: Scoring
    limits: Limits
    extra_context: ExtraContext = field(default_factory=dict)


def predictions_of(student: Student, questions: Sequence[Question], how: StudentScoring, name: str) -> list[Prediction]:
    """One prediction for each question. A generating student ranks the first question as well: text shows no NaN.

    Raises WorldProblem that names the student when a score is not finite."""
    if how.scoring == "rank":
        found = list(rank(student, questions, how.limits, how.extra_context))
        require_finite(found, name)
        return found
    require_finite_scores(student, questions[:1], how, name)
    return list(generate(student, questions, how.limits, how.extra_context))


def require_finite_scores(student: Ranker, questions: Sequence[Question], how: StudentScoring, name: str) -> None:
    """Raises WorldProblem when the student's scores of these questions are not finite."""
    require_finite(rank(student, questions, how.limits, how.extra_context), name)


def require_finite(predictions: Iterable[Prediction], name: str) -> None:
    for prediction in predictions:
        if not all(map(math.isfinite, prediction.scores or ())):
            raise WorldProblem(
                f"The scores of {name} are not finite numbers (question {prediction.key}), so it has no answers.",
                "Its training diverged or its weights are damaged: train it again, with a smaller --lr.",
            )
