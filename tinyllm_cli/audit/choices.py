"""What each choice of rationales leaves for training: by kind, and after a choice of texts per question."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import get_args

from tinyllm_cli.rationales.correct import candidates, find_sources
from tinyllm_cli.rationales.select import select
from tinyllm_cli.rationales.selection import Selection
from tinyllm_cli.rationales.training_rationales import LearningTask, TrainingQuestions, load_rationales
from tinyllm_cli.records.settings import RationaleKind
from tinyllm_cli.store import Store

KINDS: tuple[RationaleKind, ...] = get_args(RationaleKind)


@dataclass(frozen=True, kw_only=True)
class Left:
    """Rationales of one teacher that are left, and the training questions that they cover."""

    rationales: int
    questions: int


@dataclass(frozen=True, kw_only=True)
class TeacherChoices:
    """`by_kind`: what each kind of --rationales leaves. `chosen`: what is left after --per-question, None without it,
    or where no rationale of the kind is left."""

    teacher: str
    by_kind: dict[str, Left]
    chosen: Left | None = None


@dataclass(frozen=True, kw_only=True)
class RationaleChoices:
    """Of the train split of one data set. `rationales`, `per_question` and `choose` are those of `chosen`."""

    dataset: str
    questions: int
    teachers: tuple[TeacherChoices, ...]
    rationales: str
    per_question: int | None
    choose: str | None


def rationale_choices(
    store: Store, dataset: str, selection: Selection, task: Callable[[str], LearningTask]
) -> RationaleChoices:
    """Counts with the gates of the selection. `task` is what a student learns from a teacher.

    Raises UsageProblem if the selection needs scores that are missing."""
    known = store.rationales.variants(dataset, "train")
    questions = list(store.questions.iterate(dataset, "train"))
    split = TrainingQuestions(dataset=dataset, questions=questions, limited=False, known=known)
    found = [
        TeacherChoices(
            teacher=name, by_kind={kind: _of_kind(store, split, name, kind, selection) for kind in KINDS}
        )
        for name in sorted({one.teacher for one in known})
    ]  # fmt: skip
    if selection.per_question is not None:
        some = [one.teacher for one in found if one.by_kind[selection.rationales].rationales]
        rows = [load_rationales(store, split, task(name), selection) for name in some]
        records = {name: one.record for name, one in select(rows, selection, seed=0).items()}
        left = {name: Left(rationales=one["rationales"], questions=one["questions"]) for name, one in records.items()}
        found = [replace(one, chosen=left.get(one.teacher)) for one in found]
    return RationaleChoices(
        dataset=dataset, questions=len(questions), teachers=tuple(found), rationales=selection.rationales,
        per_question=selection.per_question, choose=selection.choose,
    )  # fmt: skip


def _of_kind(store: Store, split: TrainingQuestions, teacher: str, kind: RationaleKind, selection: Selection) -> Left:
    sources = find_sources(split.known, teacher, (split.dataset, "train"), kind)
    if sources is None:
        return Left(rationales=0, questions=0)
    return _left(
        one.rationale.position for one in candidates(store, split.questions, sources, selection.gates) if one.passed
    )


def _left(positions: Iterable[int]) -> Left:
    every = list(positions)
    return Left(rationales=len(every), questions=len(set(every)))
