"""What each choice of rationales leaves for training: by kind, and after a choice of texts per question."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from tinyllm_cli.audit.sampling import opened, sample_sizes
from tinyllm_cli.rationales.correct import by_question, find_sources, of_kind, passed_rationales
from tinyllm_cli.rationales.known_sets import KnownSets
from tinyllm_cli.rationales.select import select
from tinyllm_cli.rationales.selection import Selection
from tinyllm_cli.rationales.training_rationales import LearningTask, TrainingQuestions, load_rationales
from tinyllm_cli.records.settings import RationaleKind
from tinyllm_cli.store import Store


@dataclass(frozen=True, kw_only=True)
class Left:
    """Rationales of one teacher that are left, and the training questions that they cover."""

    rationales: int
    questions: int
    sampled: int | None = None
    """Of so many questions, drawn at random; None: of all."""


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


@dataclass(frozen=True, kw_only=True)
class Counting:
    """How the choices are counted: on a `sample` of the training questions (None: on all), with the rationales per
    teacher and question that pass, where the store counts them (`passed`). `task` is what a student learns from a
    teacher."""

    sets: KnownSets
    task: Callable[[str], LearningTask]
    sample: int | None = None
    passed: Mapping[str, Left] = field(default_factory=dict)


def rationale_choices(store: Store, dataset: str, selection: Selection, counting: Counting) -> RationaleChoices:
    """Counts with the gates of the selection.

    Raises UsageProblem if the selection needs scores that are missing."""
    known = counting.sets.of(dataset, "train")
    size = store.questions.splits(dataset).get("train", 0)
    sampled = sample_sizes(store, dataset, counting.sample).get("train")
    start = opened(store, dataset, None if sampled is None else counting.sample).get("train", lambda: iter(()))
    questions = list(start())
    split = TrainingQuestions(dataset=dataset, questions=questions, limited=False, known=known)
    found = []
    for name in sorted({one.teacher for one in known}):
        forced = counting.passed.get(name) or replace(_forced(store, split, name, selection), sampled=sampled)
        correct: dict[str, Left] = {
            kind: replace(left, sampled=sampled) for kind, left in _correct(store, split, name, selection)
        }
        found.append(TeacherChoices(teacher=name, by_kind={"forced": forced, **correct}))
    if selection.per_question is not None:
        some = [one.teacher for one in found if one.by_kind[selection.rationales].rationales]
        rows = [load_rationales(store, split, counting.task(name), selection) for name in some]
        records = {name: one.record for name, one in select(rows, selection, seed=0).items()}
        left = {
            name: Left(rationales=one["rationales"], questions=one["questions"], sampled=sampled)
            for name, one in records.items()
        }
        found = [replace(one, chosen=left.get(one.teacher)) for one in found]
    return RationaleChoices(
        dataset=dataset, questions=size, teachers=tuple(found), rationales=selection.rationales,
        per_question=selection.per_question, choose=selection.choose,
    )  # fmt: skip


def _forced(store: Store, split: TrainingQuestions, teacher: str, selection: Selection) -> Left:
    sources = find_sources(split.known, teacher, (split.dataset, "train"), "forced")
    assert sources is not None
    passed = passed_rationales(store, split.questions, sources, selection.gates)
    return _left(one.rationale.position for one in passed)


def _correct(
    store: Store, split: TrainingQuestions, teacher: str, selection: Selection
) -> Iterator[tuple[RationaleKind, Left]]:
    """The other two kinds, which read the same rationales: at once."""
    kinds: tuple[RationaleKind, ...] = ("correct", "correct-or-forced")
    sources = find_sources(split.known, teacher, (split.dataset, "train"), kinds[1])
    passed: dict[RationaleKind, list[int]] = {kind: [] for kind in kinds}
    if sources is not None:
        for answered, forced in by_question(store, split.questions, sources, selection.gates):
            for kind in kinds:
                passed[kind] += [one.rationale.position for one in of_kind(kind, answered, forced) if one.passed]
    return ((kind, _left(passed[kind])) for kind in kinds)


def _left(positions: Iterable[int]) -> Left:
    every = list(positions)
    return Left(rationales=len(every), questions=len(set(every)))
