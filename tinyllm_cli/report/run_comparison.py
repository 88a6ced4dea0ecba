"""Two or more runs side by side: settings that differ, paired tests, and questions with different outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from tinyllm_cli.datasets.question import canonical
from tinyllm_cli.records.evaluations import Evaluation
from tinyllm_cli.records.runs import Run
from tinyllm_cli.report.labels import label_of, precision_of
from tinyllm_cli.stats import holm, paired, smallest_difference, wilson
from tinyllm_cli.store import Store
from tinyllm_cli.store.prediction_queries import DifferingQuestion

NONE = "–"
"""A value that a run does not have."""

_Address = tuple[str, str, str, int]
"""Data set, split, scoring with votes, and the number of questions: what must be equal to be compared."""


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """A run. `valid` is the accuracy on valid of the student that was kept, null without."""

    id: int
    label: str
    method: str
    student: str
    dataset: str
    alpha: Mapping[str, float]
    seed: int
    state: str
    valid: float | None
    training_seconds: float | None
    command: str


@dataclass(frozen=True, kw_only=True)
class SettingDifference:
    """A setting that is not the same in all runs. `values` are in the order of the runs."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RunAccuracy:
    """The accuracy of one run on some questions, with its 95 % interval."""

    run: int
    dataset: str
    split: str
    scoring: str
    n: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class PairedRuns:
    """The difference in accuracy of two runs on the same questions, the first minus the second, with its 95 % interval,
    its exact two-sided p, and p after Holm's correction for all pairs here. `only_first` and `only_second` count the
    questions that just one of them got right; `smallest` is the minimum detectable difference at 80 % power."""

    first: int
    second: int
    dataset: str
    split: str
    scoring: str
    n: int
    only_first: int
    only_second: int
    difference: float
    low: float
    high: float
    p: float
    adjusted: float
    smallest: float | None


@dataclass(frozen=True, kw_only=True)
class RunComparison:
    """`questions` are those that not all runs answer equally well, where all of them were evaluated on the same ones;
    `differing` counts all of these."""

    runs: tuple[ComparedRun, ...]
    settings: tuple[SettingDifference, ...]
    accuracies: tuple[RunAccuracy, ...]
    pairs: tuple[PairedRuns, ...]
    differing: int
    questions: tuple[DifferingQuestion, ...]


def compare(store: Store, runs: Sequence[Run], *, questions: int) -> RunComparison:
    """These runs, in their order, with up to so many differing questions."""
    evaluated = _evaluated(store, runs)
    common = [address for address, own in evaluated.items() if len(own) == len(runs)]
    differing, examples = 0, list[DifferingQuestion]()
    for address in common if len(runs) > 1 else ():
        evaluations = [evaluated[address][run.id].id for run in runs]
        differing += store.predictions.count_differing(evaluations)
        examples += store.predictions.differing(evaluations, questions - len(examples))
    return RunComparison(
        runs=tuple(map(_compared, runs)),
        settings=tuple(_differences(runs)),
        accuracies=tuple(
            _accuracy(run, address, one) for address, own in evaluated.items() for run, one in own.items()
        ),
        pairs=tuple(_pairs(store, evaluated, [run.id for run in runs])),
        differing=differing,
        questions=tuple(examples),
    )


def _evaluated(store: Store, runs: Sequence[Run]) -> dict[_Address, dict[int, Evaluation]]:
    """The newest evaluation of each run on the same questions, by these."""
    outdated = store.evaluations.outdated()
    wanted = {run.id for run in runs}
    found: dict[_Address, dict[int, Evaluation]] = {}
    for one in store.evaluations.everything():
        if one.id not in outdated and one.subject.run is not None and one.subject.run in wanted:
            address = one.dataset, one.split, one.scored_by, one.questions
            found.setdefault(address, {})[one.subject.run] = one
    return {address: {run.id: own[run.id] for run in runs if run.id in own} for address, own in sorted(found.items())}


def _compared(run: Run) -> ComparedRun:
    return ComparedRun(
        id=run.id, label=label_of(run), method=run.method, student=run.student, dataset=run.dataset, alpha=run.alpha,
        seed=run.seed, state="killed" if run.error == "killed" else run.state, valid=run.valid_accuracy,
        training_seconds=run.metrics.get("training_seconds"), command=run.command,
    )  # fmt: skip


def _differences(runs: Sequence[Run]) -> Iterator[SettingDifference]:
    settings = [_settings(run) for run in runs]
    for name in dict.fromkeys(name for one in settings for name in one):
        values = tuple(one.get(name, NONE) for one in settings)
        if len(set(values)) > 1:
            yield SettingDifference(name=name, values=values)


def _settings(run: Run) -> dict[str, str]:
    """Everything that makes a run what it is, by name."""
    sources = {
        f"rationales of {teacher}": {name: record[name] for name in ("model", "recipe", "digest") if name in record}
        for teacher, record in run.sources.items()
    }
    first = {
        "method": run.method, "student": run.student, "dataset": run.dataset, "alpha": dict(run.alpha),
        "seed": run.seed, "precision": precision_of(run),
    }  # fmt: skip
    rest = {name: value for name, value in run.settings.to_json().items() if name not in (*first, "environment")}
    return dict(_flat({**first, **rest, **sources, "versions": dict(run.versions)}))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}: ")
        elif value is not None:
            yield prefix + name, value if isinstance(value, str) else canonical(value)


def _accuracy(run: int, address: _Address, one: Evaluation) -> RunAccuracy:
    dataset, split, scoring, n = address
    correct = one.correct or 0
    low, high = wilson(correct, n)
    return RunAccuracy(
        run=run, dataset=dataset, split=split, scoring=scoring, n=n, accuracy=correct / n, low=low, high=high
    )


def _pairs(
    store: Store, evaluated: Mapping[_Address, Mapping[int, Evaluation]], runs: Sequence[int]
) -> list[PairedRuns]:
    found = [
        _paired(store, address, (first, own[first].id), (second, own[second].id))
        for address, own in evaluated.items()
        for first, second in combinations([run for run in runs if run in own], 2)
    ]
    known = [one for one in found if one is not None]
    return [replace(one, adjusted=p) for one, p in zip(known, holm([one.p for one in known]), strict=True)]


def _paired(store: Store, address: _Address, one: tuple[int, int], other: tuple[int, int]) -> PairedRuns | None:
    """Of two (run, evaluation); None where they have no question in common."""
    counts: Counter[int] = Counter()
    for (difference, _), count in store.paired.outcomes([(one[1], other[1])]).items():
        counts[int(difference)] += count
    n = counts.total()
    if not n:
        return None
    found = paired(float(difference) for difference in counts.elements())
    discordant = (counts[1] + counts[-1]) / n
    dataset, split, scoring, _ = address
    return PairedRuns(
        first=one[0], second=other[0], dataset=dataset, split=split, scoring=scoring, n=n, only_first=counts[1],
        only_second=counts[-1], difference=found.mean, low=found.low, high=found.high, p=found.p, adjusted=found.p,
        smallest=smallest_difference(n, discordant, discordant),
    )  # fmt: skip
