"""What the gates decide about each teacher's rationales, counted, with examples of one gate's findings."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tinyllm_cli.events import OnEvent, Progress
from tinyllm_cli.iteration import Workers, workers
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.rationales.verdicts import judged
from tinyllm_cli.records.elicitation import RationaleSet
from tinyllm_cli.store import Store

_MANY = 10_000
"""Rationales from which on processes save more time than their start takes."""


@dataclass(frozen=True, kw_only=True)
class GateExample:
    """A rationale in which the shown gate found something. `id` is the rationale's, `before` the teacher's text,
    `after` what is left."""

    id: int
    key: str
    gate: str
    reason: str
    verdict: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class TeacherVerdicts:
    """Counts of verdicts and of findings by gate; a rationale may have several findings."""

    teacher: str
    rationales: int
    kept: int
    repaired: int
    rejected: int
    gates: dict[str, int] = field(default_factory=dict)
    examples: tuple[GateExample, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """`gates` is the hash of the gate settings: verdicts in the store carry it."""

    dataset: str
    split: str
    gates: str
    teachers: tuple[TeacherVerdicts, ...]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Which gate's findings to show, and how many of each teacher."""

    gate: str | None = None
    count: int = 3


@dataclass(frozen=True, kw_only=True)
class GateQuery:
    """Which rationales the gates check: the first `limit` questions of a split, in up to `jobs` processes."""

    dataset: str
    split: str
    limit: int | None
    settings: GateSettings
    jobs: int = 1


def summarize(store: Store, query: GateQuery, sets: list[RationaleSet], shown: Shown, on_event: OnEvent) -> GateResult:
    """Apply the gates to each rationale set; verdicts that the store lacks are added to it."""
    many = sum(rationales.rationales for rationales in sets) >= _MANY
    with workers(query.jobs if many else 1) as judging:
        teachers = tuple(_summary(store, query, one, shown, on_event, judging) for one in sets)
    return GateResult(dataset=query.dataset, split=query.split, gates=query.settings.hash, teachers=teachers)


def _summary(
    store: Store, query: GateQuery, rationales: RationaleSet, shown: Shown, on_event: OnEvent, judging: Workers
) -> TeacherVerdicts:
    verdicts: Counter[str] = Counter()
    gates: Counter[str] = Counter()
    examples: list[GateExample] = []
    questions = store.questions.iterate(query.dataset, query.split, query.limit)
    for one in judged(store, questions, rationales, query.settings, workers=judging):
        verdict = one.verdict
        verdicts[verdict.verdict] += 1
        gates.update(finding.gate for finding in verdict.findings)
        finding = next((own for own in verdict.findings if own.gate == shown.gate), None)
        if finding is not None and len(examples) < shown.count:
            examples.append(
                GateExample(
                    id=one.rationale.id, key=one.question.key, gate=finding.gate, reason=finding.reason,
                    verdict=verdict.verdict, before=one.rationale.text, after=verdict.text,
                )
            )  # fmt: skip
        on_event(Progress(label=f"judging {rationales.teacher}", done=verdicts.total(), total=rationales.rationales))
    return TeacherVerdicts(
        teacher=rationales.teacher, rationales=verdicts.total(), kept=verdicts["kept"],
        repaired=verdicts["repaired"], rejected=verdicts["rejected"], gates=dict(gates), examples=tuple(examples),
    )  # fmt: skip
