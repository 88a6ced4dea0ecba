"""Case studies: questions on which the methods disagree, with each answer and each teacher's rationale; without
evaluations, questions with rationales."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from tinyllm_cli.audit.question_view import ReplyView, question_view
from tinyllm_cli.datasets.question import LETTERS, option_line
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.rationales.known_sets import KnownSets
from tinyllm_cli.report.arms import Arm
from tinyllm_cli.report.main_table import MainTable, MethodLine
from tinyllm_cli.report.table_model import short
from tinyllm_cli.store import Store
from tinyllm_cli.store.question_lookup import PredictionRow
from tinyllm_cli.training.methods import TITLES

EXPLAIN = "explain"
_OPTION_UNKNOWN = "no option"
TO_READ = "example"
EXPLAINED = "a student explains its answer"
_MOST_EXPLAINED = 3


@dataclass(frozen=True, kw_only=True)
class Answered:
    """The answer of one line of the main table. `right` is the share of its seeds that were right, in 0..1."""

    who: str
    answers: str
    right: float


@dataclass(frozen=True, kw_only=True)
class Explained:
    """What a student wrote before its answer, which is `right` or not."""

    who: str
    text: str
    right: bool


@dataclass(frozen=True, kw_only=True)
class Case:
    """A question with the answers to it, the students' own rationales, and each teacher's rationale after the gates.
    `why`: the reason for its choice."""

    dataset: str
    split: str
    key: str
    why: str
    context: str | None
    question: str
    options: tuple[str, ...]
    answer: int
    answered: tuple[Answered, ...]
    explained: tuple[Explained, ...]
    reply_views: tuple[ReplyView, ...]


SPREAD = 5000
"""Training questions over which cases are spread, drawn at random."""


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """A kind of case: the questions that `better` get right and `worse` get wrong."""

    why: str
    better: Sequence[Arm]
    worse: Sequence[Arm]


def cases(
    tables: Sequence[MainTable], names: Sequence[str], count: int, gates: GateSettings, sets: KnownSets
) -> Iterator[Case]:
    """Up to `count` for each of these data sets, each kind in turn. Where teachers wrote about fewer of them, training
    questions with rationales follow, spread evenly (over a random sample of a large split)."""
    store = sets.store
    for name in names:
        instructive = _instructive(store, tables, name, count)
        keys = store.predictions.explained(name, "test") if count else []
        test = _Split.of(sets, name, "test", gates) if instructive or keys else None
        chosen = [test.case(*one) for one in instructive] if test else []
        if test and not any(case.explained for case in chosen):
            chosen += [test.case(key, EXPLAINED, {}) for key in keys if key not in {case.key for case in chosen}]
        yield from chosen
        left = count - sum(bool(case.reply_views) for case in chosen)
        if left:
            train = _Split.of(sets, name, "train", gates)
            bound = store.samples.bound(name, "train", SPREAD)
            yield from (train.case(key, TO_READ, {}) for key in store.rationales.explained(name, left, bound))


def _instructive(
    store: Store, tables: Sequence[MainTable], dataset: str, count: int
) -> list[tuple[str, str, Mapping[str, Arm]]]:  # fmt: skip
    """(key, why, arms by their line's label) of test questions, the kinds in turn, none twice."""
    lines = next((found for table in tables if len(found := _lines(table, dataset)) > 1), {})
    by_kind = [
        [(key, kind.why) for key in store.predictions.disagreements(*_evaluations(kind), count)]
        for kind in _kinds(lines)
    ]
    chosen: dict[str, str] = {}
    for turn in zip_longest(*by_kind):
        for key, why in filter(None, turn):
            chosen.setdefault(key, why)
    return [(key, why, {label: arm for label, (_, arm) in lines.items()}) for key, why in list(chosen.items())[:count]]


def _lines(table: MainTable, dataset: str) -> dict[str, tuple[MethodLine, Arm]]:
    """Every method of the student with most of them, and the teachers, by a label of its own."""
    blocks = [block for block in table.blocks if any(dataset in line.entries for line in block.lines)]
    if not blocks:
        return {}
    block = max(blocks, key=lambda one: sum(dataset in line.entries for line in one.lines))
    found = {
        f"{line.label}, {short(block.student)}": (line, line.entries[dataset].arm)
        for line in block.lines if dataset in line.entries
    }  # fmt: skip
    teachers = {line.label: (line, line.entries[dataset].arm) for line in table.teachers if dataset in line.entries}
    return found | teachers


def _kinds(lines: Mapping[str, tuple[MethodLine, Arm]]) -> Iterator[_Kind]:
    ours = [(line, arm) for line, arm in lines.values() if line.method == "tinyllm"]
    plain = [(line, arm) for line, arm in lines.values() if line.method in ("finetune", "distill-step-by-step")]
    teachers = [arm for line, arm in lines.values() if line.method == "teacher"]
    students = [arm for line, arm in lines.values() if line.method not in ("teacher", "inference")]
    for line, arm in ours:
        for other, against in plain:
            yield _Kind(why=f"{line.label} is right, {other.label} is wrong", better=[arm], worse=[against])
            yield _Kind(why=f"{other.label} is right, {line.label} is wrong", better=[against], worse=[arm])
    if teachers and students:
        yield _Kind(why="the teachers are right, every student is wrong", better=teachers, worse=students)
    for line, arm in lines.values():
        others = [other for _, other in lines.values() if other is not arm]
        if len(others) > 1 and line.method not in ("teacher", "inference"):
            yield _Kind(why=f"only {line.label} is right", better=[arm], worse=others)


def _evaluations(kind: _Kind) -> tuple[list[int], list[int]]:
    return (
        [number for arm in kind.better for number in arm.evaluations],
        [number for arm in kind.worse for number in arm.evaluations],
    )


_Source = tuple[str, str, str]
"""A teacher, its sampling and its recipe."""


@dataclass(frozen=True, kw_only=True)
class _Split:
    """Makes the cases of one split. `sources` are those that `distill` trains on."""

    store: Store
    dataset: str
    split: str
    gates: GateSettings
    sources: Collection[_Source]

    @classmethod
    def of(cls, sets: KnownSets, dataset: str, split: str, gates: GateSettings) -> _Split:
        sources = {one.address for one in sets.chosen(dataset, split)}
        return cls(store=sets.store, dataset=dataset, split=split, gates=gates, sources=sources)

    def case(self, key: str, why: str, lines: Mapping[str, Arm]) -> Case:
        places = self.store.lookup.places(key, self.dataset, self.split)
        found = question_view(self.store, next(one for one in places if one.key == key), self.gates)
        question = found.question
        return Case(
            dataset=self.dataset,
            split=self.split,
            key=key,
            why=why,
            context=question.context,
            question=question.text,
            options=tuple(option_line(index, text) for index, text in enumerate(question.options)),
            answer=question.answer,
            answered=tuple(_answered(self.store, label, arm, key) for label, arm in lines.items()),
            explained=tuple(_explained(found.predictions)),
            reply_views=tuple(_shown(found.reply_views, self.sources)),
        )


def _explained(predictions: Sequence[PredictionRow]) -> Iterator[Explained]:
    """The latest text of each kind of student that explains before it answers."""
    latest = {
        (one.method, one.student): one
        for one in predictions
        if one.scoring == EXPLAIN and one.kind == "run" and one.text
    }
    for one in list(latest.values())[-_MOST_EXPLAINED:]:
        name = TITLES.get(one.method or "", one.who)
        who = f"{name}, {short(one.student or '')} ({one.who})"
        yield Explained(who=who, text=one.text or "", right=one.correct)


def _answered(store: Store, who: str, arm: Arm, key: str) -> Answered:
    """The options by seed, each once, in the order of the seeds."""
    answers = store.predictions.answers_to(arm.evaluations, key)
    names = [_OPTION_UNKNOWN if option is None else f"({LETTERS[option]})" for option, _ in answers]
    return Answered(
        who=who,
        answers=", ".join(dict.fromkeys(names)),
        right=sum(correct for _, correct in answers) / len(answers) if answers else 0.0,
    )


def _shown(reply_views: Sequence[ReplyView], sources: Collection[_Source]) -> Iterator[ReplyView]:
    """Each teacher's first sample, asked as for `distill`, else as it was asked last."""
    firsts = [one for one in reply_views if one.reply.sample == 0]
    firsts.sort(key=lambda one: (one.reply.teacher, one.reply.sampling, one.reply.recipe) in sources)
    by_teacher = {one.reply.teacher: one for one in firsts}
    return iter(sorted(by_teacher.values(), key=reply_views.index))
