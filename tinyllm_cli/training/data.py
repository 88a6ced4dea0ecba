"""What a student will learn: a plan, and the questions and rationales that it takes from the store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tinyllm_cli.datasets.question import Question, canonical
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.rationales.selection import EVERY_RATIONALE, SelectedRationale, Selection, best_covered, selected
from tinyllm_cli.records.settings import TrainSettings
from tinyllm_cli.store import Store
from tinyllm_cli.students.inputs import ANSWER, ANSWER_PREFIX, NO_EXTRA_CONTEXT, ExtraContext, Task, student_input
from tinyllm_cli.training.alpha import WeightedTeacher
from tinyllm_cli.training.pinto import load_extra_context
from tinyllm_cli.training.pseudo_labels import pseudo_labels

Teaching = Literal["rationales", "labels", "hints"]
"""What of the teachers is used: rationales to learn; their own answers instead of the gold ones, by majority, alpha
being the weight of a vote (standard distillation); or what they wrote without the gold answer, to read beside the
question in training and in test (PINTO)."""


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """What to distil into whom. An alpha of 0 for every teacher is full fine-tuning."""

    dataset: str
    student: str
    voices: tuple[WeightedTeacher, ...]
    settings: TrainSettings
    limit: int | None = None
    teaching: Teaching = "rationales"
    selection: Selection = EVERY_RATIONALE
    command: str = ""

    @property
    def method(self) -> str:
        if self.teaching != "rationales":
            return "standard-kd" if self.teaching == "labels" else "pinto"
        if not self.active:
            return "lora" if self.settings.lora_rank else "finetune"
        return "distill-step-by-step" if len(self.active) == 1 else "tinyllm"

    @property
    def active(self) -> tuple[WeightedTeacher, ...]:
        """The teachers that count. One with an alpha of 0 costs nothing."""
        return tuple(voice for voice in self.voices if voice.alpha > 0)

    @property
    def told(self) -> bool:
        """Whether rationales are learnt."""
        return bool(self.active) and self.teaching == "rationales"


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What the student will learn from. `lineage` says which rationales, by teacher; `extra_context` are for the valid
    questions."""

    training_questions: tuple[TrainingQuestion, ...]
    valid: tuple[Question, ...]
    lineage: Mapping[str, Mapping[str, Any]]
    extra_context: ExtraContext = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Changes with any question of train or valid, with their order, and with the hints."""
        asked: list[Any] = [
            [lesson.question.hash for lesson in self.training_questions],
            [one.hash for one in self.valid],
        ]
        asked += [sorted(self.extra_context.items())] if self.extra_context else []
        return hashlib.sha256(canonical(asked).encode()).hexdigest()[:16]


def load_training_data(store: Store, plan: TrainingPlan) -> TrainingData:
    """Questions of train and valid, with what the plan takes of every active teacher.

    Raises UsageProblem when the data set has no train split, or a teacher wrote nothing for it."""
    sizes = store.questions.splits(plan.dataset)
    if not sizes.get("train"):
        raise UsageProblem(
            f"The data set {plan.dataset} has no train split.", f"It has: {', '.join(sizes) or 'nothing'}."
        )
    train = list(store.questions.iterate(plan.dataset, "train", plan.limit))
    valid = tuple(store.questions.iterate(plan.dataset, "valid"))
    if plan.teaching == "labels":
        train, lineage = pseudo_labels(store, train, plan.active)
        return TrainingData(training_questions=tuple(training_questions(train, {}, ())), valid=valid, lineage=lineage)
    if plan.teaching == "hints":
        return _hinted(store, plan, train, valid)
    taught: dict[str, Mapping[str, Sequence[SelectedRationale]]] = {}
    lineage = {}
    known = store.rationales.variants(plan.dataset, "train")
    for voice in plan.active:
        variant = best_covered(known, voice.teacher, plan.dataset, plan.selection.icl)
        taught[voice.teacher], lineage[voice.teacher] = selected(
            store, plan.dataset, variant, plan.selection, limit=len(train), seed=plan.settings.seed
        )
    return TrainingData(
        training_questions=tuple(training_questions(train, taught, plan.voices)), valid=valid, lineage=lineage
    )


def _hinted(store: Store, plan: TrainingPlan, train: Sequence[Question], valid: tuple[Question, ...]) -> TrainingData:
    teachers = [voice.teacher for voice in plan.active]
    if not teachers:
        raise UsageProblem("PINTO reads what teachers wrote, and no teacher has an alpha above 0.", "Set --alpha.")
    learnt = load_extra_context(store, teachers, plan.dataset, "train", plan.limit)
    read = load_extra_context(store, teachers, plan.dataset, "valid").extra_context if valid else NO_EXTRA_CONTEXT
    return TrainingData(
        training_questions=tuple(training_questions(train, {}, (), learnt.extra_context)),
        valid=valid,
        lineage=learnt.lineage,
        extra_context=read,
    )


@dataclass(frozen=True, kw_only=True)
class TrainingQuestion:
    """All the tasks of one question. A step of training takes whole lessons."""

    question: Question
    tasks: tuple[Task, ...]


def training_questions(
    questions: Iterable[Question],
    rationales: Mapping[str, Mapping[str, Sequence[SelectedRationale]]],
    voices: Sequence[WeightedTeacher],
    extra_context: ExtraContext = NO_EXTRA_CONTEXT,
) -> Iterator[TrainingQuestion]:
    """The lesson of each question. `rationales` maps teacher -> question key -> what to learn. A teacher with
    alpha 0 makes no task at all, so it costs nothing. `extra_context` stand in the input of the answer."""
    for question in questions:
        tasks = [Task(name=ANSWER, input=student_input(ANSWER_PREFIX, question, extra_context), target=question.gold)]
        for voice in voices:
            taught = rationales.get(voice.teacher, {}).get(question.key, ()) if voice.alpha else ()
            tasks += [
                Task(
                    name=voice.teacher,
                    input=student_input(voice.prefix, question),
                    target=one.text,
                    weight=one.weight,
                    share=1 / len(taught),
                )
                for one in taught
            ]
        yield TrainingQuestion(question=question, tasks=tuple(tasks))
