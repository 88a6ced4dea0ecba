"""Usefulness and learnability of each teacher's rationales, summed up, with the best and the worst texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush

from tinyllm_cli.errors import UsageProblem, command_text
from tinyllm_cli.events import OnEvent, Progress
from tinyllm_cli.rationales.correct import RationaleSources, passed_rationales
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.rationales.learnability import Learnability
from tinyllm_cli.rationales.score import Measure, Scored, Scoring, score
from tinyllm_cli.rationales.usefulness import Usefulness
from tinyllm_cli.rationales.verdicts import JudgedRationale
from tinyllm_cli.store import Store
from tinyllm_cli.store.usefulness import ScoreQueries


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
class LearnabilityExample:
    """One text and its mean log-likelihood in nats per token."""

    key: str
    log_likelihood: float
    text: str


@dataclass(frozen=True, kw_only=True)
class TeacherLearnability:
    """`mean` of the log-likelihoods in nats per token, None without rationales. `examples`: the most likely first."""

    teacher: str
    rationales: int
    mean: float | None
    inputs_cut: int
    examples: tuple[LearnabilityExample, ...]


@dataclass(frozen=True, kw_only=True)
class LearnabilityResult:
    """`scorer` is the student's name with the fingerprint of its files, as the store names it."""

    dataset: str
    split: str
    model: str
    scorer: str
    teachers: tuple[TeacherLearnability, ...]


@dataclass(frozen=True, kw_only=True)
class TextQuery:
    """Which texts are scored: those that the gates keep (all without gates), of the first `limit` questions. `sources`
    by teacher."""

    dataset: str
    split: str
    gates: GateSettings | None
    sources: Mapping[str, RationaleSources]
    limit: int | None = None


def usefulness(
    store: Store, query: TextQuery, scoring: Scoring, *, mask: bool, shown: int, on_event: OnEvent
) -> UsefulnessResult:
    """Score each text, and sum up by teacher with the `shown` most and least useful. `mask`: without the answer's name
    in what the model reads.

    Raises UsageProblem when the gates leave no text."""

    def scored(teacher: str) -> _Summed:
        texts = texts_of(store, query, teacher)
        return _sum(store.usefulness, texts, scoring, Usefulness(mask=mask), _Shown(teacher, shown, on_event))

    teachers = tuple(
        TeacherUsefulness(
            teacher=name, rationales=one.count, mean_gain=one.mean, useful=one.positive, inputs_cut=one.cut,
            examples=tuple(UsefulnessExample(key=e.rationale.key, gain=e.value, text=e.text) for e in one.examples),
        )
        for name, one in _some(query, scored).items()
    )  # fmt: skip
    return UsefulnessResult(
        dataset=query.dataset, split=query.split, model=scoring.scorer.model, scorer=scoring.scorer.name, masked=mask,
        teachers=teachers, several_scorers=len(store.usefulness.models(query.dataset)) > 1,
    )  # fmt: skip


def learnability(
    store: Store, query: TextQuery, scoring: Scoring, prefixes: Mapping[str, str], *, shown: int, on_event: OnEvent
) -> LearnabilityResult:
    """Score each text after its teacher's prefix, and sum up by teacher with the `shown` most and least likely.

    Raises UsageProblem when the gates leave no text."""

    def scored(teacher: str) -> _Summed:
        texts, measure = texts_of(store, query, teacher), Learnability(teacher=teacher, prefix=prefixes[teacher])
        return _sum(store.learnability, texts, scoring, measure, _Shown(teacher, shown, on_event))

    teachers = tuple(
        TeacherLearnability(
            teacher=name, rationales=one.count, mean=one.mean, inputs_cut=one.cut,
            examples=tuple(
                LearnabilityExample(key=e.rationale.key, log_likelihood=e.value, text=e.text) for e in one.examples
            ),
        )
        for name, one in _some(query, scored).items()
    )  # fmt: skip
    return LearnabilityResult(
        dataset=query.dataset, split=query.split, model=scoring.scorer.model, scorer=scoring.scorer.name,
        teachers=teachers,
    )  # fmt: skip


def texts_of(store: Store, query: TextQuery, teacher: str) -> Iterator[JudgedRationale]:
    """One teacher's texts, in the order of their questions."""
    questions = store.questions.iterate(query.dataset, query.split, query.limit)
    return passed_rationales(store, questions, query.sources[teacher], query.gates)


@dataclass(frozen=True)
class _Shown:
    """What is shown of a teacher: its progress, and so many of its best and worst texts."""

    teacher: str
    count: int
    on_event: OnEvent

    def progress(self, done: int) -> None:
        self.on_event(Progress(label=f"scoring {self.teacher}", done=done))


@dataclass(frozen=True, kw_only=True)
class _Summed:
    """Counts of scored texts; `positive` have a score above 0. `examples`: the best and the worst, the best first."""

    count: int
    mean: float | None
    positive: int
    cut: int
    examples: tuple[Scored, ...]


def _some(query: TextQuery, scored: Callable[[str], _Summed]) -> dict[str, _Summed]:
    """By teacher. Raises UsageProblem when no teacher has a text."""
    found = {teacher: scored(teacher) for teacher in query.sources}
    if not any(one.count for one in found.values()):
        raise UsageProblem(
            f"The gates reject every rationale of {', '.join(found)} here.",
            f"See why: {command_text('gate', '--dataset', query.dataset, '--split', query.split)}",
        )
    return found


def _sum(
    stored: ScoreQueries, texts: Iterable[JudgedRationale], scoring: Scoring, measure: Measure, shown: _Shown
) -> _Summed:
    """Keeps no more than the best and worst that are shown; of equal ones the earlier."""
    count = positive = cut = 0
    total = 0.0
    best: list[tuple[float, int, Scored]] = []
    worst: list[tuple[float, int, Scored]] = []
    for number, one in enumerate(score(stored, texts, scoring, measure, shown.progress)):
        count, positive, cut, total = count + 1, positive + (one.value > 0), cut + one.cut, total + one.value
        for heap, value in ((best, one.value), (worst, -one.value)):
            heappush(heap, (value, -number, one))
            if len(heap) > shown.count:
                heappop(heap)
    kept = {-number: one for _, number, one in (*best, *worst)}
    return _Summed(
        count=count, mean=total / count if count else None, positive=positive, cut=cut,
        examples=tuple(sorted(kept.values(), key=lambda one: -one.value)),
    )  # fmt: skip
