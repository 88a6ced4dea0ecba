"""How well a student that is in training answers the valid questions, in the way that its target is used."""

from __future__ import annotations

from collections.abc import Sequence

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.records.settings import TrainSettings
from tinyllm_cli.students.base import Limits, Student
from tinyllm_cli.students.explain import Explaining, explain_and_answer, gold_loss_after
from tinyllm_cli.students.inputs import ExtraContext
from tinyllm_cli.students.predict import rank


def answered(
    student: Student, questions: Sequence[Question], settings: TrainSettings, extra_context: ExtraContext
) -> tuple[int, float]:
    """The number of right answers, and the sum of the gold answers' losses: each the mean negative log-likelihood (nats
    per token) of the gold option. A student that explains before it answers is measured with its own rationales."""
    limits = Limits.of(settings)
    if settings.target == "rationale-first":
        how = Explaining(target=settings.target)
        written = {one.key: one for one in explain_and_answer(student, questions, how, limits, extra_context)}
        texts = {key: one.text or "" for key, one in written.items()}
        losses = gold_loss_after(student, questions, texts, limits)
        return sum(one.correct for one in written.values()), sum(losses)
    gold = {question.key: question.answer for question in questions}
    predictions = list(rank(student, questions, limits, extra_context))
    loss = sum(-(prediction.scores or ())[gold[prediction.key]] for prediction in predictions)
    return sum(prediction.correct for prediction in predictions), loss
