"""What a student will learn: a plan, and the questions and rationales that it takes from the store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinyllm_cli.datasets.question import Question, canonical
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.opinions import how_to_ask, majority, opinions
from tinyllm_cli.prompts import rationale_text
from tinyllm_cli.records import Variant
from tinyllm_cli.store import Store
from tinyllm_cli.store import questions as stored_questions
from tinyllm_cli.store import rationales as stored_rationales
from tinyllm_cli.tasks import Lesson, Voice, lessons
from tinyllm_cli.training import TrainSettings

METHODS = ("finetune", "lora", "standard-kd", "distill-step-by-step", "tinyllm")
"""The paper's methods that train a student as it stands on questions alone."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to distil into whom. An alpha of 0 for every teacher is full fine-tuning."""

    dataset: str
    student: str
    voices: tuple[Voice, ...]
    settings: TrainSettings
    limit: int | None = None
    labels: bool = False
    """Learn the teachers' own answers instead of the gold ones, by majority, alpha being the weight of a vote."""

    command: str = ""

    @property
    def method(self) -> str:
        if self.labels:
            return "standard-kd"
        if not self.active:
            return "lora" if self.settings.lora_rank else "finetune"
        return "distill-step-by-step" if len(self.active) == 1 else "tinyllm"

    @property
    def active(self) -> tuple[Voice, ...]:
        """The teachers that count. One with an alpha of 0 costs nothing."""
        return tuple(voice for voice in self.voices if voice.alpha > 0)


@dataclass(frozen=True, kw_only=True)
class Material:
    """What the student will learn from. `lineage` says which rationales, by teacher."""

    lessons: tuple[Lesson, ...]
    valid: tuple[Question, ...]
    lineage: Mapping[str, Mapping[str, Any]]

    @property
    def digest(self) -> str:
        """Changes with any question of train or valid, and with their order."""
        asked = [[lesson.question.hash for lesson in self.lessons], [question.hash for question in self.valid]]
        return hashlib.sha256(canonical(asked).encode()).hexdigest()[:16]


def gather(store: Store, plan: Plan) -> Material:
    """Questions of train and valid with every active teacher's newest rationales.

    Raises UsageProblem when the data set has no train split, or a teacher wrote nothing for it."""
    sizes = stored_questions.splits(store, plan.dataset)
    if not sizes.get("train"):
        raise UsageProblem(
            f"The data set {plan.dataset} has no train split.", f"It has: {', '.join(sizes) or 'nothing'}."
        )
    valid = tuple(stored_questions.iterate(store, plan.dataset, "valid"))
    if plan.labels:
        labelled, lineage = _labelled(store, plan)
        return Material(lessons=tuple(lessons(labelled, {}, ())), valid=valid, lineage=lineage)
    texts: dict[str, Mapping[str, Sequence[str]]] = {}
    lineage = {}
    known = stored_rationales.variants(store, plan.dataset, "train")
    for voice in plan.active:
        variant = fullest(known, voice.teacher, plan.dataset)
        texts[voice.teacher], lineage[voice.teacher] = _accepted(store, plan, variant, sizes["train"])
    train_split = stored_questions.iterate(store, plan.dataset, "train", plan.limit)
    return Material(
        lessons=tuple(lessons(train_split, texts, plan.voices)),
        valid=valid,
        lineage=lineage,
    )


def _labelled(store: Store, plan: Plan) -> tuple[list[Question], dict[str, Mapping[str, Any]]]:
    """Training questions whose answer is what the teachers say, without those of which none says anything; and the
    record of who said what."""
    teachers = {voice: opinions(store, voice.teacher, plan.dataset, "train") for voice in plan.active}
    questions = list(stored_questions.iterate(store, plan.dataset, "train", plan.limit))
    said = {voice.teacher: [own.option(question) for question in questions] for voice, own in teachers.items()}
    labels = [
        majority((said[voice.teacher][index], voice.alpha) for voice in plan.active) for index in range(len(questions))
    ]
    labelled = [
        replace(question, answer=label) for question, label in zip(questions, labels, strict=True) if label is not None
    ]
    if not labelled:
        raise UsageProblem(
            f"None of these teachers' replies names an option of {plan.dataset}, split train.",
            how_to_ask(plan.active[0].teacher, plan.dataset, "train") if plan.active else "Name teachers with --alpha.",
        )
    lineage: dict[str, Mapping[str, Any]] = {}
    for voice, own in teachers.items():
        answers = said[voice.teacher]
        pairs = list(zip(questions, answers, strict=True))
        stated = [f"{question.hash}\0{option}\0" for question, option in pairs if option is not None]
        lineage[voice.teacher] = {
            **_source(own.variant),
            "questions": len(stated),
            "answers": len(stated),
            "right": sum(option == question.answer for question, option in pairs),
            "digest": hashlib.sha256("".join(stated).encode()).hexdigest()[:16],
        }
    return labelled, lineage


def fullest(variants: Sequence[Variant], teacher: str, dataset: str) -> Variant:
    """The way of asking `teacher` that covers most questions, of those that saw the gold answer if any did; of
    several the newest.

    Raises UsageProblem when there are none."""
    own = [variant for variant in variants if variant.teacher == teacher]
    if not own:
        raise UsageProblem(
            f"The database has no rationales of {teacher} for {dataset}, split train.",
            f"Run: tinyllm elicit --teacher {teacher} --dataset {dataset}",
        )
    return max(own, key=lambda variant: (variant.teacher_forcing, variant.questions, variant.latest))


def _accepted(
    store: Store, plan: Plan, variant: Variant, train_size: int
) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Usable texts by question key, and the record of which they were."""
    texts: dict[str, list[str]] = {}
    digest = hashlib.sha256()
    empty = 0
    limit = plan.limit or train_size
    for rationale in stored_rationales.iterate(store, plan.dataset, "train", variant):
        if rationale.position >= limit:
            break
        text = rationale_text(rationale.text)
        if not text:
            empty += 1
            continue
        texts.setdefault(rationale.key, []).append(text)
        digest.update(f"{rationale.question}\0{rationale.sample}\0{text}\0".encode())
    if not texts:
        raise UsageProblem(
            f"None of {variant.teacher}'s rationales for {plan.dataset} has any text.",
            f"Ask again, in another way: tinyllm elicit --teacher {variant.teacher} --dataset {plan.dataset}",
        )
    record = {
        **_source(variant),
        "questions": len(texts),
        "rationales": sum(map(len, texts.values())),
        "empty": empty,
        "digest": digest.hexdigest()[:16],
    }
    return texts, record


def _source(variant: Variant) -> dict[str, str]:
    """Which way of asking a record speaks of."""
    return {
        "model": variant.model,
        "revision": variant.revision,
        "recipe": variant.recipe,
        "sampling": variant.sampling,
    }
