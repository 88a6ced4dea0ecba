"""Usefulness and leakage of each teacher's rationales, summed up, with the most and least useful texts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from heapq import heappop, heappush
from itertools import islice

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.events import Notice, OnEvent, Progress
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.rationales.leakage import Probed, probe
from tinyllm_cli.rationales.teacher_answers import load_teacher_answers, unforced_sets
from tinyllm_cli.rationales.usefulness import Scored, passed_rationales, score
from tinyllm_cli.records.elicitation import RationaleSet
from tinyllm_cli.records.usefulness import Scorer
from tinyllm_cli.store import Store
from tinyllm_cli.students.base import Limits, Ranker


@dataclass(frozen=True, kw_only=True)
class UsefulnessExample:
    """One text and its gain in nats."""

    key: str
    gain: float
    text: str


@dataclass(frozen=True, kw_only=True)
class TeacherUsefulness:
    """`mean_gain` in nats, None without rationales; `useful` counts gains above 0. `examples`: the most useful
    first."""

    teacher: str
    rationales: int
    mean_gain: float | None
    useful: int
    inputs_cut: int
    examples: tuple[UsefulnessExample, ...]


@dataclass(frozen=True, kw_only=True)
class UsefulnessResult:
    """`scorer` is the model's name with the fingerprint of its files, as the store names it. `several_scorers`: other
    models scored this data set too, so `distill` needs --usefulness-model."""

    dataset: str
    split: str
    model: str
    scorer: str
    masked: bool
    teachers: tuple[TeacherUsefulness, ...]
    several_scorers: bool


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Accuracy of the probe on `n` questions under one condition, with the 95 % Wilson interval."""

    condition: str
    n: int
    correct: int
    accuracy: float
    low: float
    high: float
    inputs_cut: int


@dataclass(frozen=True, kw_only=True)
class OwnAccuracy:
    """A teacher's own answers, given without the gold answer: `correct` of `n`."""

    n: int
    correct: int


@dataclass(frozen=True, kw_only=True)
class LeakageResult:
    """What a small model answers with and without each teacher's rationales."""

    dataset: str
    split: str
    teachers: dict[str, tuple[Probe, ...]]
    own: dict[str, OwnAccuracy]


@dataclass(frozen=True, kw_only=True)
class TextQuery:
    """Which texts are scored: those that the gates keep (all without gates), of the first `limit` questions."""

    dataset: str
    split: str
    gates: GateSettings | None
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """The model that reads, and whether the answer's name is masked in what it reads. `load` is called only when a
    score is missing."""

    scorer: Scorer
    load: Callable[[], Ranker]
    mask: bool = True


def usefulness(
    store: Store, query: TextQuery, sets: list[RationaleSet], scoring: Scoring, *, shown: int, on_event: OnEvent
) -> UsefulnessResult:
    """Score each text, and sum up by teacher with the `shown` most and least useful.

    Raises UsageProblem when the gates leave no text."""
    found = []
    for one in sets:
        questions = store.questions.iterate(query.dataset, query.split, query.limit)
        texts = passed_rationales(store, questions, one, query.gates)
        watch = partial(_progress, on_event, f"scoring {one.teacher}")
        scored = score(store, texts, model=scoring.scorer, load=scoring.load, mask=scoring.mask, watch=watch)
        found.append(_summed(one.teacher, scored, shown))
    if not any(one.rationales for one in found):
        raise UsageProblem(
            f"The gates reject every rationale of {', '.join(one.teacher for one in found)} here.",
            f"See why: tinyllm gate --dataset {query.dataset} --split {query.split}",
        )
    return UsefulnessResult(
        dataset=query.dataset, split=query.split, model=scoring.scorer.model, scorer=scoring.scorer.name,
        masked=scoring.mask,
        teachers=tuple(found), several_scorers=len(store.usefulness.models(query.dataset)) > 1,
    )  # fmt: skip


def leakage(
    store: Store, query: TextQuery, sets: list[RationaleSet], scoring: Scoring, *, count: int, on_event: OnEvent
) -> LeakageResult:
    """Probe the first `count` rationales of each teacher.

    Raises UsageProblem when a teacher has none, before the model runs."""
    pairs = {one.teacher: _pairs(store, query, one, count) for one in sets}
    found: dict[str, tuple[Probe, ...]] = {}
    for teacher, own_pairs in pairs.items():
        on_event(Notice(message=f"Probing {len(own_pairs)} rationales of {teacher}."))
        found[teacher] = tuple(map(_probe, probe(scoring.load(), own_pairs, Limits())))
    unforced = unforced_sets(store, query.dataset, query.split)
    own = {teacher: _own_accuracy(store, query, teacher) for teacher in pairs if teacher in unforced}
    return LeakageResult(dataset=query.dataset, split=query.split, teachers=found, own=own)


def _progress(on_event: OnEvent, label: str, done: int) -> None:
    on_event(Progress(label=label, done=done))


def _summed(teacher: str, scored: Iterable[Scored], shown: int) -> TeacherUsefulness:
    """Keeps no more than the `shown` best and worst; of equal ones the earlier."""
    count = useful = cut = 0
    total = 0.0
    best: list[tuple[float, int, Scored]] = []
    worst: list[tuple[float, int, Scored]] = []
    for number, one in enumerate(scored):
        count, useful, cut, total = count + 1, useful + (one.gain > 0), cut + one.cut, total + one.gain
        for heap, value in ((best, one.gain), (worst, -one.gain)):
            heappush(heap, (value, -number, one))
            if len(heap) > shown:
                heappop(heap)
    kept = {-number: one for _, number, one in (*best, *worst)}
    examples = (
        UsefulnessExample(key=one.rationale.key, gain=one.gain, text=one.text)
        for one in sorted(kept.values(), key=lambda one: -one.gain)
    )
    mean = total / count if count else None
    return TeacherUsefulness(
        teacher=teacher, rationales=count, mean_gain=mean, useful=useful, inputs_cut=cut, examples=tuple(examples)
    )


def _pairs(store: Store, query: TextQuery, rationales: RationaleSet, count: int) -> list[tuple[Question, str]]:
    questions = store.questions.iterate(query.dataset, query.split, query.limit)
    passed = passed_rationales(store, questions, rationales, query.gates)
    texts = ((one.question, one.text) for one in passed if one.rationale.sample == 0)
    found = list(islice(texts, min(count, sys.maxsize)))
    if not found:
        where = f"{query.dataset}/{query.split}"
        raise UsageProblem(
            f"No rationale of {rationales.teacher} for {where} can be probed: there is none, or the gates reject all.",
            f"See why: tinyllm gate --dataset {query.dataset} --split {query.split} --teacher {rationales.teacher}."
            " Probe them all: --no-gates. Probe other teachers only: --teacher.",
        )
    return found


def _probe(one: Probed) -> Probe:
    return Probe(**asdict(one), accuracy=one.accuracy)


def _own_accuracy(store: Store, query: TextQuery, teacher: str) -> OwnAccuracy:
    own = load_teacher_answers(store, teacher, query.dataset, query.split)
    asked = [one for one in store.questions.iterate(query.dataset, query.split) if own.asked(one)]
    return OwnAccuracy(n=len(asked), correct=sum(own.option(one) == one.answer for one in asked))
