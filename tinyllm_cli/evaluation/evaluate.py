"""The evaluation stage: which questions a student or teacher answers correctly. Predictions are rows of the store, so
that an interrupted evaluation resumes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.evaluation.scoring import StudentScoring, chunk_size, predictions_of
from tinyllm_cli.evaluation.targets import EvaluationTarget
from tinyllm_cli.iteration import batched
from tinyllm_cli.rationales.teacher_answers import TeacherAnswers, load_teacher_answers, unforced_command
from tinyllm_cli.records.evaluations import Evaluation, Prediction, Scoring, Subject
from tinyllm_cli.store import Store
from tinyllm_cli.store.evaluations import EvaluatedQuestions
from tinyllm_cli.students.base import Student

OnAnswered = Callable[[int, int], None]
"""Called with (questions answered, questions in all)."""

OnEvaluated = Callable[[str, int, int], None]
"""Called with (label of the evaluation, questions answered, questions in all)."""

LoadStudent = Callable[[], Student]


@dataclass(frozen=True, kw_only=True)
class QuestionSlice:
    """The first `limit` questions of a split; None: all."""

    dataset: str
    split: str
    limit: int | None = None


def evaluate(
    store: Store, target: EvaluationTarget, questions: QuestionSlice, scorings: Sequence[Scoring], load: LoadStudent,
    watch: OnEvaluated,
) -> list[Evaluation]:  # fmt: skip
    """One evaluation for each scoring, in their order. A teacher's `generate` is that of its stored replies. `load`,
    which should load once, is called only when predictions are missing.

    Raises UsageProblem when the split does not exist or the teacher has not answered it, and WorldProblem when a
    student's scores are not finite."""
    done = []
    for scoring in scorings:
        if target.teacher is not None and scoring == "generate":
            done.append(evaluate_teacher(store, target.teacher, questions))
            continue
        label = f"{target.subject.name} on {questions.dataset}/{questions.split}, {scoring}"

        def answered(count: int, total: int, label: str = label) -> None:
            watch(label, count, total)

        how = StudentScoring(
            scoring=scoring, limits=target.limits, explaining=target.explaining, extra_context=target.extra_context
        )
        done.append(evaluate_student(store, target.subject, load, questions, how, answered))
    return done


def evaluate_student(
    store: Store, subject: Subject, load: LoadStudent, questions: QuestionSlice, how: StudentScoring, watch: OnAnswered
) -> Evaluation:
    """Accuracy of a student. `load` is called only when predictions are missing; those in the store are not repeated.

    Raises WorldProblem when a score is not finite: such a student has no accuracy."""
    total = question_count(store, questions)
    evaluation = _open(store, subject, questions, how.scoring, total)
    store.evaluations.forget_stale(evaluation)
    answered = store.evaluations.predicted_keys(evaluation.id)
    if evaluation.correct is not None and len(answered) == total:
        return evaluation
    started = time.monotonic()
    student = load()
    asked = store.questions.iterate(questions.dataset, questions.split, questions.limit)
    missing = (question for question in asked if question.key not in answered)
    for chunk in batched(missing, chunk_size(student.device)):
        store.evaluations.add_predictions(evaluation.id, predictions_of(student, chunk, how, subject.name))
        answered.update(question.key for question in chunk)
        watch(len(answered), total)
    return store.evaluations.complete(evaluation.id, time.monotonic() - started)


def evaluate_teacher(store: Store, teacher: str, questions: QuestionSlice) -> Evaluation:
    """Accuracy of a teacher, from its replies to prompts without the gold answer.

    Raises UsageProblem when there are no such replies, or not for every question."""
    own = load_teacher_answers(store, teacher, questions.dataset, questions.split)
    total = question_count(store, questions)
    predictions = []
    for question in store.questions.iterate(questions.dataset, questions.split, questions.limit):
        if not own.asked(question):
            raise UsageProblem(
                f"{teacher} has not answered all {total} questions of {questions.dataset}, split {questions.split}.",
                f"Run: {unforced_command(teacher, questions.dataset, questions.split)}",
            )
        predictions.append(_teacher_prediction(question, own))
    subject = Subject.of_replies(teacher, own.variant.sampling, own.variant.recipe.name)
    evaluation = _open(store, subject, questions, "generate", total)
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


def question_count(store: Store, questions: QuestionSlice) -> int:
    """How many questions the slice has.

    Raises UsageProblem when the data set has no such split."""
    sizes = store.questions.splits(questions.dataset)
    if not sizes.get(questions.split):
        raise UsageProblem(
            f"The data set {questions.dataset} has no split '{questions.split}'.",
            f"It has: {', '.join(sizes) or 'none'}.",
        )
    return min(sizes[questions.split], questions.limit or sizes[questions.split])


def _open(store: Store, subject: Subject, questions: QuestionSlice, scoring: Scoring, total: int) -> Evaluation:
    chance, majority = store.questions.answers(questions.dataset, questions.split, questions.limit)
    counted = EvaluatedQuestions(
        dataset=questions.dataset, split=questions.split, count=total, chance=chance, majority=majority
    )
    return store.evaluations.open(subject, scoring, counted)
