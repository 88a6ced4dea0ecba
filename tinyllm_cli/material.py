"""What a student will learn: a plan, and the questions and rationales that it takes from the store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tinyllm_cli.datasets.question import Question, canonical
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.hinting import hinting
from tinyllm_cli.labelling import labelled
from tinyllm_cli.selection import EVERY_RATIONALE, Selection, fullest, selected
from tinyllm_cli.store import Store
from tinyllm_cli.store import questions as stored_questions
from tinyllm_cli.store import rationales as stored_rationales
from tinyllm_cli.tasks import NO_HINTS, Hints, Lesson, Taught, Voice, lessons
from tinyllm_cli.training import TrainSettings

Teaching = Literal["rationales", "labels", "hints"]
"""What of the teachers is used: rationales to learn; their own answers instead of the gold ones, by majority, alpha
being the weight of a vote (standard distillation); or what they wrote without the gold answer, to read beside the
question in training and in test (PINTO)."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to distil into whom. An alpha of 0 for every teacher is full fine-tuning."""

    dataset: str
    student: str
    voices: tuple[Voice, ...]
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
    def active(self) -> tuple[Voice, ...]:
        """The teachers that count. One with an alpha of 0 costs nothing."""
        return tuple(voice for voice in self.voices if voice.alpha > 0)

    @property
    def told(self) -> bool:
        """Whether rationales are learnt."""
        return bool(self.active) and self.teaching == "rationales"


@dataclass(frozen=True, kw_only=True)
class Material:
    """What the student will learn from. `lineage` says which rationales, by teacher; `hints` are for the valid
    questions."""

    lessons: tuple[Lesson, ...]
    valid: tuple[Question, ...]
    lineage: Mapping[str, Mapping[str, Any]]
    hints: Hints = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Changes with any question of train or valid, with their order, and with the hints."""
        asked: list[Any] = [[lesson.question.hash for lesson in self.lessons], [one.hash for one in self.valid]]
        asked += [sorted(self.hints.items())] if self.hints else []
        return hashlib.sha256(canonical(asked).encode()).hexdigest()[:16]


def gather(store: Store, plan: Plan) -> Material:
    """Questions of train and valid, with what the plan takes of every active teacher.

    Raises UsageProblem when the data set has no train split, or a teacher wrote nothing for it."""
    sizes = stored_questions.splits(store, plan.dataset)
    if not sizes.get("train"):
        raise UsageProblem(
            f"The data set {plan.dataset} has no train split.", f"It has: {', '.join(sizes) or 'nothing'}."
        )
    train = list(stored_questions.iterate(store, plan.dataset, "train", plan.limit))
    valid = tuple(stored_questions.iterate(store, plan.dataset, "valid"))
    if plan.teaching == "labels":
        train, lineage = labelled(store, train, plan.active)
        return Material(lessons=tuple(lessons(train, {}, ())), valid=valid, lineage=lineage)
    if plan.teaching == "hints":
        return _hinted(store, plan, train, valid)
    taught: dict[str, Mapping[str, Sequence[Taught]]] = {}
    lineage = {}
    known = stored_rationales.variants(store, plan.dataset, "train")
    for voice in plan.active:
        variant = fullest(known, voice.teacher, plan.dataset, plan.selection.icl)
        taught[voice.teacher], lineage[voice.teacher] = selected(
            store, plan.dataset, variant, plan.selection, limit=len(train), seed=plan.settings.seed
        )
    return Material(lessons=tuple(lessons(train, taught, plan.voices)), valid=valid, lineage=lineage)


def _hinted(store: Store, plan: Plan, train: Sequence[Question], valid: tuple[Question, ...]) -> Material:
    teachers = [voice.teacher for voice in plan.active]
    if not teachers:
        raise UsageProblem("PINTO reads what teachers wrote, and no teacher has an alpha above 0.", "Set --alpha.")
    learnt = hinting(store, teachers, plan.dataset, "train", plan.limit)
    read = hinting(store, teachers, plan.dataset, "valid").hints if valid else NO_HINTS
    return Material(
        lessons=tuple(lessons(train, {}, (), learnt.hints)), valid=valid, lineage=learnt.lineage, hints=read
    )
