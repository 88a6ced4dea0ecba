"""Training data: a plan, the queries that it needs, and the examples made of their rows.

`load_training_data` reads the store first; everything after that is pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinyllm_cli.datasets.question import Question, canonical
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.rationales.select import select
from tinyllm_cli.rationales.selection import EVERY_RATIONALE, SelectedRationale, Selection
from tinyllm_cli.rationales.teacher_answers import load_teacher_answers
from tinyllm_cli.rationales.training_rationales import LearningTask, TrainingQuestions, load_rationales
from tinyllm_cli.records.settings import Target, TrainSettings
from tinyllm_cli.records.usefulness import Scorer
from tinyllm_cli.store import Store
from tinyllm_cli.students.inputs import NO_EXTRA_CONTEXT, ExtraContext, Task
from tinyllm_cli.students.loading import model_fingerprint
from tinyllm_cli.training.alpha import WeightedTeacher
from tinyllm_cli.training.methods import METHODS
from tinyllm_cli.training.pinto import extra_context_of
from tinyllm_cli.training.pseudo_labels import pseudo_labels
from tinyllm_cli.training.sequences import tasks_of


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """What to train. `method` is a key of METHODS; `teachers` with an alpha of 0 take no part."""

    method: str
    dataset: str
    student: str
    teachers: tuple[WeightedTeacher, ...]
    settings: TrainSettings
    limit: int | None = None
    """Training questions, the first ones; None: all."""

    valid_limit: int | None = None
    """Validation questions, the first ones; None: as many as `limit`."""

    selection: Selection = EVERY_RATIONALE
    command: str = ""

    @property
    def valid_questions(self) -> int | None:
        """The limit of validation questions; None: all."""
        return self.limit if self.valid_limit is None else self.valid_limit

    @property
    def active(self) -> tuple[WeightedTeacher, ...]:
        """The teachers with an alpha above 0."""
        return tuple(teacher for teacher in self.teachers if teacher.alpha > 0)

    @property
    def learns_rationales(self) -> bool:
        return METHODS[self.method].takes == "rationales"


@dataclass(frozen=True, kw_only=True)
class TrainingQuestion:
    """All the tasks of one question. An optimizer step takes whole questions."""

    question: Question
    tasks: tuple[Task, ...]


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What the student learns from. `lineage` records which rationales, by teacher; `extra_context` is for the valid
    questions."""

    training_questions: tuple[TrainingQuestion, ...]
    valid: tuple[Question, ...]
    lineage: Mapping[str, Mapping[str, Any]]
    extra_context: ExtraContext = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Changes with any question of train or valid, with their order, and with the extra context."""
        content: list[Any] = [
            [one.question.hash for one in self.training_questions],
            [one.hash for one in self.valid],
        ]
        content += [sorted(self.extra_context.items())] if self.extra_context else []
        return hashlib.sha256(canonical(content).encode()).hexdigest()[:16]


def load_training_data(store: Store, plan: TrainingPlan) -> TrainingData:
    """The questions of train and valid, with what the method takes from every active teacher.

    Raises UsageProblem if the data set has no train split, or a teacher has nothing for it."""
    sizes = store.questions.splits(plan.dataset)
    if not sizes.get("train"):
        raise UsageProblem(
            f"The data set {plan.dataset} has no train split.", f"It has: {', '.join(sizes) or 'nothing'}."
        )
    train = list(store.questions.iterate(plan.dataset, "train", plan.limit))
    valid = list(store.questions.iterate(plan.dataset, "valid", plan.valid_questions))
    takes = METHODS[plan.method].takes
    if takes == "answers":
        return _with_answers(store, plan, train, valid)
    if takes == "context":
        return _with_context(store, plan, train, valid)
    return _with_rationales(store, plan, train, valid)


def _with_rationales(
    store: Store, plan: TrainingPlan, train: Sequence[Question], valid: Sequence[Question]
) -> TrainingData:
    """Of the teachers, their rationales; of none, the answers alone."""
    known = store.rationales.variants(plan.dataset, "train") if plan.active else []
    split = TrainingQuestions(
        dataset=plan.dataset, questions=train, limited=len(train) == plan.limit, known=known
    )  # fmt: skip
    student = Scorer(model=plan.student, fingerprint=model_fingerprint(plan.student))
    tasks = [LearningTask(teacher=one.teacher, prefix=one.prefix, student=student) for one in plan.active]
    rows = [load_rationales(store, split, task, plan.selection) for task in tasks]
    selected = select(rows, plan.selection, plan.settings.seed)
    by_teacher = {teacher: one.by_question for teacher, one in selected.items()}
    return TrainingData(
        training_questions=tuple(training_questions(train, by_teacher, plan.active, plan.settings.target)),
        valid=tuple(valid),
        lineage={teacher: one.record for teacher, one in selected.items()},
    )


def _with_answers(
    store: Store, plan: TrainingPlan, train: Sequence[Question], valid: Sequence[Question]
) -> TrainingData:
    """The teachers' own answers instead of the gold ones."""
    answers = [load_teacher_answers(store, one.teacher, plan.dataset, "train") for one in plan.active]
    labels = pseudo_labels(train, list(zip(plan.active, answers, strict=True)))
    return TrainingData(
        training_questions=tuple(training_questions(labels.questions, {}, ())),
        valid=tuple(valid),
        lineage=labels.lineage,
    )


def _with_context(
    store: Store, plan: TrainingPlan, train: Sequence[Question], valid: Sequence[Question]
) -> TrainingData:
    """The gold answers, with what the teachers wrote as extra context."""
    if not plan.active:
        raise UsageProblem("PINTO reads what teachers wrote, and no teacher has an alpha above 0.", "Set --alpha.")
    names = [one.teacher for one in plan.active]
    for_train = {name: load_teacher_answers(store, name, plan.dataset, "train") for name in names}
    for_valid = {name: load_teacher_answers(store, name, plan.dataset, "valid") for name in names if valid}
    read = extra_context_of(train, for_train)
    return TrainingData(
        training_questions=tuple(training_questions(train, {}, (), extra_context=read.extra_context)),
        valid=tuple(valid),
        lineage=read.lineage,
        extra_context=extra_context_of(valid, for_valid).extra_context,
    )


def training_questions(
    questions: Iterable[Question],
    rationales: Mapping[str, Mapping[str, Sequence[SelectedRationale]]],
    teachers: Sequence[WeightedTeacher],
    target: Target = "multitask",
    extra_context: ExtraContext = NO_EXTRA_CONTEXT,
) -> Iterator[TrainingQuestion]:
    """The tasks of each question. `rationales` maps teacher -> question key -> what to learn. A teacher with alpha 0
    has no part."""
    for question in questions:
        texts = [(one, rationales.get(one.teacher, {}).get(question.key, ())) for one in teachers if one.alpha]
        tasks = tasks_of(question, [(one, own) for one, own in texts if own], target, extra_context)
        yield TrainingQuestion(question=question, tasks=tasks)
