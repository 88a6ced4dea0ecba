"""Leakage of each teacher's rationales: what a probe answers with and without them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import UsageProblem, command_text
from tinyllm_cli.events import Notice, OnEvent
from tinyllm_cli.rationales.leakage import Probed, probe
from tinyllm_cli.rationales.score_summary import TextQuery, texts_of
from tinyllm_cli.rationales.teacher_answers import load_teacher_answers, unforced_sets
from tinyllm_cli.store import Store
from tinyllm_cli.students.base import Limits, Ranker


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


def leakage(
    store: Store, query: TextQuery, load: Callable[[], Ranker], *, count: int, on_event: OnEvent
) -> LeakageResult:
    """Probe the first `count` rationales of each teacher.

    Raises UsageProblem when a teacher has none, before the model runs."""
    pairs = {teacher: _pairs(store, query, teacher, count) for teacher in query.sources}
    found: dict[str, tuple[Probe, ...]] = {}
    for teacher, own_pairs in pairs.items():
        on_event(Notice(message=f"Probing {len(own_pairs)} rationales of {teacher}."))
        found[teacher] = tuple(map(_probe, probe(load(), own_pairs, Limits())))
    unforced = unforced_sets(store.rationales.variants(query.dataset, query.split))
    own = {teacher: _own_accuracy(store, query, teacher) for teacher in pairs if teacher in unforced}
    return LeakageResult(dataset=query.dataset, split=query.split, teachers=found, own=own)


def _pairs(store: Store, query: TextQuery, teacher: str, count: int) -> list[tuple[Question, str]]:
    passed = texts_of(store, query, teacher)
    texts = ((one.question, one.text) for one in passed if one.rationale.sample == 0)
    found = list(islice(texts, min(count, sys.maxsize)))
    if not found:
        where = f"{query.dataset}/{query.split}"
        why = command_text("gate", "--dataset", query.dataset, "--split", query.split, "--teacher", teacher)
        raise UsageProblem(
            f"No rationale of {teacher} for {where} can be probed: there is none, or the gates reject all.",
            f"See why: {why}. Probe them all: --no-gates. Probe other teachers only: --teacher.",
        )
    return found


def _probe(one: Probed) -> Probe:
    return Probe(**asdict(one), accuracy=one.accuracy)


def _own_accuracy(store: Store, query: TextQuery, teacher: str) -> OwnAccuracy:
    own = load_teacher_answers(store, teacher, query.dataset, query.split)
    asked = [one for one in store.questions.iterate(query.dataset, query.split) if own.asked(one)]
    return OwnAccuracy(n=len(asked), correct=sum(own.option(one) == one.answer for one in asked))
