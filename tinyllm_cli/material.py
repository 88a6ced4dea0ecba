"""What a student will learn: a plan, and the questions and rationales that it takes from the store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.prompts import rationale_text
from tinyllm_cli.records import Variant
from tinyllm_cli.store import Store
from tinyllm_cli.store import questions as stored_questions
from tinyllm_cli.store import rationales as stored_rationales
from tinyllm_cli.tasks import Lesson, Voice, lessons
from tinyllm_cli.training import TrainSettings


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to distil into whom. An alpha of 0 for every teacher is full fine-tuning."""

    dataset: str
    student: str
    voices: tuple[Voice, ...]
    settings: TrainSettings
    limit: int | None = None
    command: str = ""

    @property
    def method(self) -> str:
        active = sum(voice.alpha > 0 for voice in self.voices)
        return ("finetune", "distill-step-by-step")[active] if active < 2 else "tinyllm"


@dataclass(frozen=True, kw_only=True)
class Material:
    """What the student will learn from. `lineage` says which rationales, by teacher."""

    lessons: tuple[Lesson, ...]
    valid: tuple[Question, ...]
    lineage: Mapping[str, Mapping[str, Any]]


def gather(store: Store, plan: Plan) -> Material:
    """Questions of train and valid with every active teacher's newest rationales.

    Raises UsageProblem when the data set has no train split, or a teacher wrote nothing for it."""
    sizes = stored_questions.splits(store, plan.dataset)
    if not sizes.get("train"):
        raise UsageProblem(
            f"The data set {plan.dataset} has no train split.", f"It has: {', '.join(sizes) or 'nothing'}."
        )
    texts: dict[str, Mapping[str, Sequence[str]]] = {}
    lineage: dict[str, Mapping[str, Any]] = {}
    known = stored_rationales.variants(store, plan.dataset, "train")
    for voice in plan.voices:
        if voice.alpha > 0:
            variant = fullest(known, voice.teacher, plan.dataset)
            texts[voice.teacher], lineage[voice.teacher] = _accepted(store, plan, variant, sizes["train"])
    train_split = stored_questions.iterate(store, plan.dataset, "train", plan.limit)
    return Material(
        lessons=tuple(lessons(train_split, texts, plan.voices)),
        valid=tuple(stored_questions.iterate(store, plan.dataset, "valid")),
        lineage=lineage,
    )


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
        "model": variant.model,
        "revision": variant.revision,
        "recipe": variant.recipe,
        "sampling": variant.sampling,
        "questions": len(texts),
        "rationales": sum(map(len, texts.values())),
        "empty": empty,
        "digest": digest.hexdigest()[:16],
    }
    return texts, record
