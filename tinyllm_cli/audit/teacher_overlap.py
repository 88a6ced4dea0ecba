"""Similarity of the teachers' rationales for a split, and agreement of their own answers.

Reads all teachers side by side, question by question, as streams.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from tinyllm_cli.audit.agreement import Agreement, agreement
from tinyllm_cli.audit.sampling import Opened
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.replies import own_answer, rationale_text
from tinyllm_cli.rationales.pairing import rationales_by_question
from tinyllm_cli.rationales.similarity import overlap
from tinyllm_cli.records.elicitation import Rationale, RationaleSet
from tinyllm_cli.store import Store

_FEWEST = 2


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Mean similarity of two teachers' rationales for the same question, 0 to 1; `elsewhere` is the value for different
    questions, which share no more than their language. `first` and `second` are equal for several samples of one
    teacher."""

    split: str
    first: str
    second: str
    questions: int
    same: float
    elsewhere: float | None


@dataclass(frozen=True, kw_only=True)
class OwnAnswers:
    """Agreement of the answers that several teachers, or several samples of one, gave without the gold answer."""

    split: str
    teachers: tuple[str, ...]
    agreement: Agreement


def overlaps(store: Store, split: str, questions: Opened, variants: Sequence[RationaleSet]) -> list[Overlap]:
    """For every pair of these teachers, by their first samples, and for every teacher with several samples; on these
    questions of the split."""
    found: dict[tuple[str, str], _Sums] = {}
    before: Mapping[str, Sequence[str]] = {}
    for _, replies in side_by_side(store, questions, variants):
        texts = {teacher: [rationale_text(one.text) for one in own] for teacher, own in replies.items()}
        texts = {teacher: list(filter(None, own)) for teacher, own in texts.items() if any(own)}
        for first, second in combinations(sorted(texts), 2):
            sums = found.setdefault((first, second), _Sums())
            sums.same.add(overlap(texts[first][0], texts[second][0]))
            sums.compare(texts[first][0], before.get(second))
        for teacher, own in texts.items():
            if len(own) > 1:
                sums = found.setdefault((teacher, teacher), _Sums())
                pairs = [overlap(one, other) for one, other in combinations(own, 2)]
                sums.same.add(sum(pairs) / len(pairs))
                sums.compare(own[0], before.get(teacher))
        before = texts
    return [
        Overlap(split=split, first=first, second=second, questions=sums.same.count, same=sums.same.value,
                elsewhere=sums.elsewhere.value if sums.elsewhere.count else None)
        for (first, second), sums in sorted(found.items())
    ]  # fmt: skip


@dataclass(kw_only=True)
class _Mean:
    count: int = 0
    total: float = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value

    @property
    def value(self) -> float:
        return self.total / self.count


@dataclass(kw_only=True)
class _Sums:
    same: _Mean = field(default_factory=_Mean)
    elsewhere: _Mean = field(default_factory=_Mean)

    def compare(self, text: str, others: Sequence[str] | None) -> None:
        if others:
            self.elsewhere.add(overlap(text, others[0]))


def own_answers(store: Store, split: str, questions: Opened, variants: Mapping[str, RationaleSet]) -> list[OwnAnswers]:
    """Agreement among all of these teachers, by name, with own answers to these questions of the split, for every pair
    of more than two, and among several samples of one."""
    names = sorted(variants)
    answers: dict[str, list[list[int | None]]] = {name: [] for name in names}
    for question, replies in side_by_side(store, questions, list(variants.values())):
        for name in names:
            answers[name].append([_option(question, reply) for reply in replies.get(name, ())])
    first = {name: [row[0] if row else None for row in rows] for name, rows in answers.items()}
    groups = [tuple(names)] if len(names) >= _FEWEST else []
    groups += list(combinations(names, 2)) if len(names) > _FEWEST else []
    found = [(group, agreement(zip(*(first[name] for name in group), strict=True))) for group in groups]
    found += [((name,), agreement(rows)) for name, rows in answers.items() if any(len(row) > 1 for row in rows)]
    return [OwnAnswers(split=split, teachers=group, agreement=value) for group, value in found if value is not None]


def _option(question: Question, reply: Rationale) -> int | None:
    return own_answer(reply.answer, reply.text, question.options)


def side_by_side(
    store: Store, questions: Opened, sources: Sequence[RationaleSet]
) -> Iterator[tuple[Question, dict[str, list[Rationale]]]]:
    """Each of these questions with its rationales by teacher, for the teachers that have one."""
    if not sources:
        return
    streams = [rationales_by_question(store, questions(), source) for source in sources]
    for question, *found in zip(questions(), *streams, strict=True):
        replies = {source.teacher: own for source, (_, own) in zip(sources, found, strict=True)}
        yield question, {teacher: own for teacher, own in replies.items() if own}
