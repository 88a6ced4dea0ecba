"""Collect everything a report shows from the store, as plain data. Knows nothing of how it is shown."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any

from tinyllm_cli import __version__
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.rationales.known_sets import KnownSets
from tinyllm_cli.records.elicitation import Elicitation, TeacherCosts
from tinyllm_cli.records.evaluations import Evaluation
from tinyllm_cli.records.runs import Run
from tinyllm_cli.report.arms import Arm, arms, why_no_seed
from tinyllm_cli.report.cases import Case, cases
from tinyllm_cli.report.finding import Finding, finding
from tinyllm_cli.report.labels import label_of, run_labels
from tinyllm_cli.report.not_shown import not_shown
from tinyllm_cli.report.paper_figures import published
from tinyllm_cli.report.paper_tables import Paper, paper
from tinyllm_cli.report.pareto import Tradeoff, tradeoffs
from tinyllm_cli.report.scope import WHOLE, Scope
from tinyllm_cli.stats import wilson
from tinyllm_cli.store import Store, now
from tinyllm_cli.store.questions import SplitProfile


@dataclass(frozen=True, kw_only=True)
class Result:
    """One accuracy with its context. Shares are in 0..1; `low` and `high` bound the 95 % interval. `label` says what
    distinguishes a run from the others."""

    subject: str
    kind: str
    method: str
    label: str
    student: str
    alpha: Mapping[str, float]
    seed: int | None
    dataset: str
    split: str
    scoring: str
    n: int
    correct: int
    accuracy: float
    low: float
    high: float
    chance: float
    majority: float
    unparseable: float
    inputs_cut: int | None
    written_tokens: int | None = None
    """Of the texts that explain the answers; None where none were written."""

    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class ComparableResults:
    """Results on the same questions by the same scoring. Never empty."""

    results: tuple[Result, ...]

    @property
    def title(self) -> str:
        first = self.results[0]
        return f"{first.dataset}/{first.split}, {first.scoring}, n = {first.n}"

    @property
    def best(self) -> float | None:
        """The highest accuracy, or None where there is nothing to compare it with."""
        return max(result.accuracy for result in self.results) if len(self.results) > 1 else None


def comparable_results(results: Iterable[Result]) -> list[ComparableResults]:
    """The results by data set, split, scoring and number of questions."""

    def address(result: Result) -> tuple[str, str, str, int]:
        return result.dataset, result.split, result.scoring, result.n

    return [ComparableResults(results=tuple(group)) for _, group in groupby(sorted(results, key=address), key=address)]


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """`fingerprint` changes with the file or the revision that the questions came from."""

    name: str
    source: str
    fingerprint: str
    imported: str
    splits: Mapping[str, int]
    profiles: tuple[SplitProfile, ...]


@dataclass(frozen=True, kw_only=True)
class ExcludedResult:
    """An evaluation that tables, figures and comparisons leave out, and why."""

    result: Result
    why: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that a report shows. `scope` names the data sets and runs that it is limited to. Costs are in
    `currency`, an ISO 4217 code; None while there are none."""

    finding: Finding
    version: str
    made: str
    database: str
    scope: Scope
    currency: str | None
    datasets: tuple[DatasetSummary, ...]
    teachers: tuple[TeacherCosts, ...]
    asked: tuple[Elicitation, ...]
    runs: tuple[Run, ...]
    results: tuple[Result, ...]
    left_out: tuple[ExcludedResult, ...]

    arms: tuple[Arm, ...]
    paper: Paper
    tradeoffs: tuple[Tradeoff, ...]
    cases: tuple[Case, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


SAMPLE = 2000
"""Questions of each split that a report reads, drawn at random: shares are exact to 2.2 points at 95 %."""


def collect(
    store: Store, *, samples: int, with_paper: bool = False, gates: GateSettings | None = None, scope: Scope = WHOLE,
    sets: KnownSets | None = None,
) -> Report:  # fmt: skip
    """What is in the store and in the scope, with `samples` case studies for each data set, their rationales after
    these gates; `with_paper` adds the paper's own figures. `sets` are the rationale sets that are counted already."""
    sets = sets or KnownSets(store)
    runs = [run for run in store.runs.everything() if scope.has_run(run)]
    by_id = {run.id: run for run in runs}
    names = [name for name in store.questions.names() if scope.has_dataset(name)]
    changed = store.evaluations.outdated()
    everything = [one for one in store.evaluations.everything() if scope.has_evaluation(one)]
    evaluations = [one for one in everything if one.id not in changed]
    places = {(name, split): n for name in names for split, n in store.questions.splits(name).items()}
    sizes = {name: places.get((name, "train"), 0) for name in names}
    found = arms(evaluations, by_id, sizes)
    made = paper(store, found, sizes, published() if with_paper else None)
    made = replace(made, searches=tuple(one for one in made.searches if scope.has_dataset(one.dataset)))
    labels = run_labels(runs)
    results = tuple(result(evaluation, by_id, labels) for evaluation in evaluations)
    costs = [one for place in places for one in store.costs.of(*place, sets.of(*place), SAMPLE)]
    asked = [one for one in store.elicitations.everything() if scope.has_dataset(one.dataset)]
    currency = store.currency.code()
    return Report(
        finding=finding(made, len(results)),
        version=__version__,
        made=now(),
        database=store.path.name,
        scope=scope,
        currency=currency,
        datasets=tuple(_dataset(store, name) for name in names),
        teachers=tuple(sorted(costs, key=lambda one: (one.dataset, one.teacher))),
        asked=tuple(asked),
        runs=tuple(runs),
        results=results,
        left_out=(*_left_out(everything, changed, by_id, places), *_without_place(evaluations, found, made, by_id)),
        arms=tuple(found),
        paper=made,
        tradeoffs=tuple(tradeoffs(found, runs, asked, currency)),
        cases=tuple(cases(made.tables, names, samples, gates or GateSettings(), sets)),
    )


def _left_out(
    everything: Sequence[Evaluation],
    changed: Collection[int],
    runs: Mapping[int, Run],
    sizes: Mapping[tuple[str, str], int],
) -> Iterator[ExcludedResult]:
    """Without those that were repeated since, on as many questions as there still are. `sizes` by data set and
    split."""
    valid = [one for one in everything if one.id not in changed]
    for one in everything:
        run = runs.get(one.subject.run) if one.subject.run is not None else None
        if one.id in changed:
            least = min(one.questions, sizes.get((one.dataset, one.split), 0))
            if not any(_replaces(later, one, least) for later in valid):
                yield ExcludedResult(
                    result=result(one, runs), why="the data set no longer holds these questions as they were"
                )
        elif run is not None and (why := why_no_seed(run, one)):
            yield ExcludedResult(result=result(one, runs), why=why)


def _without_place(
    evaluations: Sequence[Evaluation], found: Sequence[Arm], made: Paper, runs: Mapping[int, Run]
) -> Iterator[ExcludedResult]:
    """Those that no table and no figure shows, in their order."""
    whys = {number: why for arm, why in not_shown(found, made) for number in arm.evaluations}
    return (ExcludedResult(result=result(one, runs), why=whys[one.id]) for one in evaluations if one.id in whys)


def _replaces(later: Evaluation, one: Evaluation, least: int) -> bool:
    same = (later.subject, later.dataset, later.split, later.scoring) == (
        one.subject, one.dataset, one.split, one.scoring
    )  # fmt: skip
    return same and later.id > one.id and later.questions >= least


def result(evaluation: Evaluation, runs: Mapping[int, Run], labels: Mapping[int, str] | None = None) -> Result:
    """A complete evaluation as a row of the table. `labels` are of all runs that the table shows."""
    subject = evaluation.subject
    run = runs.get(subject.run) if subject.run is not None else None
    correct, n = evaluation.correct or 0, evaluation.questions
    low, high = wilson(correct, n)
    method = run.method if run else {"model": "inference", "teacher": "teacher", "run": "?"}[subject.kind]
    return Result(
        subject=subject.name,
        kind=subject.kind,
        method=method,
        label=method if run is None else (labels or {}).get(run.id) or label_of(run),
        student=run.student if run else subject.name,
        alpha=run.alpha if run else {},
        seed=run.seed if run else None,
        dataset=evaluation.dataset,
        split=evaluation.split,
        scoring=evaluation.scored_by,
        n=n,
        correct=correct,
        accuracy=correct / n,
        low=low,
        high=high,
        chance=evaluation.chance,
        majority=evaluation.majority,
        unparseable=(evaluation.unparseable or 0) / n,
        inputs_cut=evaluation.truncated_inputs,
        written_tokens=evaluation.written_tokens,
        seconds=evaluation.seconds,
    )


def _dataset(store: Store, name: str) -> DatasetSummary:
    found = store.questions.find(name)
    assert found is not None
    profiles = tuple(store.questions.profiles(name, SAMPLE))
    return DatasetSummary(
        name=name, source=found.source, fingerprint=found.fingerprint, imported=found.imported,
        splits={one.split: one.questions for one in profiles}, profiles=profiles,
    )  # fmt: skip
