"""What a card states, read from the store: sources, rationales and their gates, costs, results with intervals."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tinyllm_cli.records.elicitation import TeacherCosts
from tinyllm_cli.records.evaluations import Evaluation
from tinyllm_cli.records.runs import Run
from tinyllm_cli.stats import wilson
from tinyllm_cli.store import Store

Role = Literal["data set", "teacher", "base model"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Something that the published files are made from. `origin` names it without the paths of this machine."""

    role: Role
    name: str
    origin: str
    license: str | None = None


@dataclass(frozen=True, kw_only=True)
class TeacherFacts:
    """A teacher's part. `rejected` counts the rationales by the gate that rejected them; `cost` is None if unknown, and
    a lower bound if `partly`."""

    name: str
    recipe: str
    rationales: int
    questions: int
    rejected: Mapping[str, int]
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    partly: bool = False


@dataclass(frozen=True, kw_only=True)
class ResultFacts:
    """An accuracy with its 95 % Wilson interval; shares in 0..1."""

    who: str
    questions: str
    scoring: str
    n: int
    accuracy: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All of them. `gates` are the settings of the gates, None where none judged. Costs are in `currency`, None where
    there are none."""

    sources: tuple[Source, ...]
    teachers: tuple[TeacherFacts, ...]
    gates: Mapping[str, Any] | None
    currency: str | None
    results: tuple[ResultFacts, ...]

    @property
    def unlicensed(self) -> tuple[str, ...]:
        """The sources whose licence is not given."""
        return tuple(one.name for one in self.sources if one.license is None)


Lineage = Mapping[str, Mapping[str, Any]]
"""By teacher: which rationales were used, as a run records it."""


def facts_of_run(store: Store, run: Run) -> Facts:
    """Of a student: what its training used, and its own results."""
    hash = run.settings.selection.gates
    gates = store.verdicts.gate_settings(hash) if hash else None
    return Facts(
        sources=(
            Source(role="base model", name=public(run.student), origin=public(run.student)),
            *_sources(store, run.dataset, run.sources),
        ),
        teachers=_teachers(store, run.dataset, run.sources),
        gates=gates,
        currency=store.currency.code(),
        results=_results(store, lambda one: one.subject.run == run.id and one.subject.step == run.checkpoint),
    )


def facts_of_rationales(store: Store, dataset: str, lineage: Lineage, gates: Mapping[str, Any] | None) -> Facts:
    """Of rationales: their teachers, the teachers' own accuracy, and the students that were trained on just these."""
    digests = {teacher: record["digest"] for teacher, record in lineage.items()}
    trained = {
        run.id for run in store.runs.everything()
        if run.dataset == dataset and run.sources
        and all(record.get("digest") == digests.get(teacher) for teacher, record in run.sources.items())
    }  # fmt: skip

    def about_these(one: Evaluation) -> bool:
        own = one.subject.kind == "teacher" and one.subject.name in lineage and one.dataset == dataset
        return own or one.subject.run in trained

    return Facts(
        sources=_sources(store, dataset, lineage),
        teachers=_teachers(store, dataset, lineage),
        gates=gates,
        currency=store.currency.code(),
        results=_results(store, about_these),
    )


def public(name: str) -> str:
    """A model's or file's name as others may read it: of a path on this machine, the last part."""
    local = re.match(r"[~/\\.]|[A-Za-z]:[\\/]|file:", name) or name.count("/") > 1
    return re.split(r"[\\/]", name.rstrip("/\\"))[-1] if local and "://" not in name.replace("file://", "") else name


def _sources(store: Store, dataset: str, lineage: Lineage) -> tuple[Source, ...]:
    found = store.questions.find(dataset)
    origin = public(found.source) if found else "no longer in the database"
    teachers = (
        Source(role="teacher", name=name, origin=public(str(record.get("model", "unknown"))))
        for name, record in lineage.items()
    )
    return (Source(role="data set", name=dataset, origin=origin), *teachers)


def _teachers(store: Store, dataset: str, lineage: Lineage) -> tuple[TeacherFacts, ...]:
    costs = store.costs.of(dataset, "train", store.rationales.variants(dataset, "train"))
    return tuple(_teacher(name, record, costs) for name, record in lineage.items() if "rationales" in record)


def _teacher(name: str, record: Mapping[str, Any], costs: Collection[TeacherCosts]) -> TeacherFacts:
    wanted = (name, record.get("model"), record.get("recipe"))
    paid = next((one for one in costs if (one.teacher, one.model, one.recipe) == wanted), None)
    return TeacherFacts(
        name=name, recipe=str(record.get("recipe", "")), rationales=int(record["rationales"]),
        questions=int(record.get("questions", 0)), rejected=dict(record.get("rejected", {})),
        prompt_tokens=paid.prompt_tokens if paid else None,
        completion_tokens=paid.completion_tokens if paid else None,
        cost=paid.cost if paid else None, partly=bool(paid and paid.partly),
    )  # fmt: skip


def _results(store: Store, about: Callable[[Evaluation], bool]) -> tuple[ResultFacts, ...]:
    outdated = store.evaluations.outdated()
    found: Sequence[Evaluation] = [
        one for one in store.evaluations.everything()
        if one.correct is not None and one.id not in outdated and about(one)
    ]  # fmt: skip
    return tuple(map(_result, found))


def _result(one: Evaluation) -> ResultFacts:
    assert one.correct is not None
    low, high = wilson(one.correct, one.questions)
    return ResultFacts(
        who=one.subject.name, questions=f"{one.dataset}/{one.split}", scoring=one.scored_by, n=one.questions,
        accuracy=one.correct / one.questions, low=low, high=high, chance=one.chance,
    )  # fmt: skip
