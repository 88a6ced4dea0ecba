"""The evaluation stage: who answers which questions right. Predictions are rows; an interrupted evaluation goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Literal

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.rationales.teacher_answers import TeacherAnswers, load_teacher_answers, unforced_command
from tinyllm_cli.records.evaluations import Evaluation, Prediction, Scoring, Subject
from tinyllm_cli.records.runs import Run
from tinyllm_cli.store import Store
from tinyllm_cli.store.evaluations import EvaluatedQuestions
from tinyllm_cli.students.base import Limits, Student
from tinyllm_cli.students.inputs import NO_EXTRA_CONTEXT, ExtraContext
from tinyllm_cli.students.loading import model_fingerprint
from tinyllm_cli.students.predict import generate, rank

OnEvaluated = Callable[[int, int], None]
"""Called with (questions answered, questions in all)."""

LoadStudent = Callable[[], Student]
_CHUNK = 64  # questions whose predictions are committed together


def evaluate_student(
    store: Store,
    subject: Subject,
    load: LoadStudent,
    *,
    dataset: str,
    split: str,
    scoring: Scoring,
    limits: Limits,
    limit: int | None,
    watch: OnEvaluated,
    extra_context: ExtraContext = NO_EXTRA_CONTEXT,
) -> Evaluation:
    """Accuracy of a student, which reads `extra_context` beside the questions.

    `load` is called only when predictions are missing; finished work is not repeated."""
    total = question_count(store, dataset, split, limit)
    evaluation = _open(store, subject, dataset, split, scoring, total, limit)
    store.evaluations.forget_stale(evaluation)
    answered = store.evaluations.predicted_keys(evaluation.id)
    if evaluation.correct is not None and len(answered) == total:
        return evaluation
    started = time.monotonic()
    student = load()
    answer = {"rank": rank, "generate": generate}[scoring]
    for chunk in _missing_chunks(store.questions.iterate(dataset, split, limit), answered):
        store.evaluations.add_predictions(evaluation.id, answer(student, chunk, limits, extra_context))
        answered.update(question.key for question in chunk)
        watch(len(answered), total)
    return store.evaluations.complete(evaluation.id, time.monotonic() - started)


def evaluate_teacher(store: Store, teacher: str, *, dataset: str, split: str, limit: int | None) -> Evaluation:
    """Accuracy of a teacher's own answers, read from what it wrote without seeing the gold answer.

    Raises UsageProblem when there are no such replies, or not for every question."""
    own = load_teacher_answers(store, teacher, dataset, split)
    total = question_count(store, dataset, split, limit)
    predictions = []
    for question in store.questions.iterate(dataset, split, limit):
        if not own.asked(question):
            raise UsageProblem(
                f"{teacher} has not answered all {total} questions of {dataset}, split {split}.",
                f"Run: {unforced_command(teacher, dataset, split)}",
            )
        predictions.append(_teacher_prediction(question, own))
    subject = Subject.of_replies(teacher, own.variant.sampling, own.variant.recipe.name)
    evaluation = _open(store, subject, dataset, split, "generate", total, limit)
    store.evaluations.forget_stale(evaluation)
    store.evaluations.add_predictions(evaluation.id, predictions)
    return store.evaluations.complete(evaluation.id, 0.0)


def _teacher_prediction(question: Question, own: TeacherAnswers) -> Prediction:
    """A failed reply is unparseable."""
    reply, option = own.replies.get(question.key), own.option(question)
    return Prediction(
        key=question.key,
        question=question.hash,
        option=option,
        correct=option == question.answer,
        text=None if reply is None else reply.text,
    )


def question_count(store: Store, dataset: str, split: str, limit: int | None) -> int:
    """How many questions there are to answer.

    Raises UsageProblem when the data set has no such split."""
    sizes = store.questions.splits(dataset)
    if not sizes.get(split):
        raise UsageProblem(
            f"The data set {dataset} has no split '{split}'.",
            f"It has: {', '.join(sizes) or 'none'}.",
        )
    return min(sizes[split], limit or sizes[split])


def run_subject(run: Run) -> Subject:
    """A run's student: by its step, and while it is being trained by the files of its checkpoint."""
    fingerprint = model_fingerprint(run.folder) if run.checkpoint is None else None
    return Subject(kind="run", name=f"run {run.id}", run=run.id, step=run.checkpoint, model_fingerprint=fingerprint)


def model_subject(
    kind: Literal["model", "teacher"], name: str, model: str, limits: Limits, revision: str | None = None
) -> Subject:
    """A model that was not trained here. A local model has a fingerprint instead of a revision."""
    fingerprint = model_fingerprint(model) or None
    return Subject(
        kind=kind, name=name, model=model or None, model_fingerprint=fingerprint, max_input=limits.input,
        revision=None if fingerprint else revision or None,
    )  # fmt: skip


def _open(
    store: Store, subject: Subject, dataset: str, split: str, scoring: Scoring, total: int, limit: int | None
) -> Evaluation:
    chance, majority = store.questions.answers(dataset, split, limit)
    questions = EvaluatedQuestions(dataset=dataset, split=split, count=total, chance=chance, majority=majority)
    return store.evaluations.open(subject, scoring, questions)


def _missing_chunks(questions: Iterator[Question], answered: set[str]) -> Iterator[list[Question]]:
    missing = (question for question in questions if question.key not in answered)
    while chunk := list(islice(missing, _CHUNK)):
        yield chunk
