"""Arms: runs that differ in their seed alone, on the same questions; and paired tests of one against another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

from tinyllm_cli.records import Evaluation, Run
from tinyllm_cli.stats import holm, paired, smallest_difference
from tinyllm_cli.store import Store
from tinyllm_cli.store import runs as stored_runs

_ADDRESS = tuple[str, str, str, str, int]
"""Student, data set, split, scoring, number of questions: what must be the same to be compared."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to make a student, with an evaluation for each seed. Accuracies are shares in 0..1."""

    label: str
    method: str
    student: str
    dataset: str
    split: str
    scoring: str
    n: int
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    evaluations: tuple[int, ...] = field(repr=False)

    @property
    def mean(self) -> float:
        return fmean(self.accuracies)

    @property
    def spread(self) -> float | None:
        """The standard deviation over seeds; None for a single one."""
        return stdev(self.accuracies) if len(self.accuracies) > 1 else None

    @property
    def address(self) -> _ADDRESS:
        return self.student, self.dataset, self.split, self.scoring, self.n


@dataclass(frozen=True, kw_only=True)
class Contest:
    """One arm against another on the same questions: the difference in accuracy with its 95 % interval, p, and p after
    Holm's correction for all contests of the report. `smallest` is the least difference that so many questions, as
    often answered right by just one of the two, would show in four cases of five."""

    arm: str
    against: str
    student: str
    dataset: str
    scoring: str
    n: int
    seeds: int
    difference: float
    low: float
    high: float
    p: float
    adjusted: float
    smallest: float


def label_of(run: Run) -> str:
    """The method, and what of its settings tells it from the paper's: `tinyllm raw`, `tinyllm gated, weight`."""
    told = run.method in ("tinyllm", "distill-step-by-step")
    settings = run.settings
    parts = []
    if told:
        weights = set(run.alpha.values())
        names = ", ".join(f"{name}={alpha:g}" for name, alpha in run.alpha.items())
        parts += [names] if len(run.alpha) == 1 or weights != {1.0} else []
        parts.append("gated" if settings.get("gates") else "raw")
        parts += [str(settings["usefulness"])] if settings.get("usefulness") else []
        parts += ["shuffled"] if settings.get("shuffled") else []
        parts += [f"icl={settings['icl']}"] if settings.get("icl") is not None else []
        parts += [f"best {settings['samples']}"] if settings.get("samples") else []
    parts += [f"first {settings['limit']}"] if settings.get("limit") else []
    return run.method + (f" ({', '.join(parts)})" if parts else "")


def arms(evaluations: Sequence[Evaluation], runs: Mapping[int, Run]) -> list[Arm]:
    """The evaluations of runs and of untrained models, grouped; of two of one seed the later one counts."""
    grouped: dict[tuple[object, ...], dict[int, Evaluation]] = defaultdict(dict)
    made: dict[tuple[object, ...], tuple[str, str, str]] = {}
    for one in evaluations:
        run = runs.get(one.subject.run) if one.subject.run is not None else None
        if one.subject.kind == "teacher" or (run is None and one.subject.kind == "run"):
            continue
        method, label, student = (
            (run.method, label_of(run), run.student) if run else ("inference", "inference", one.subject.name)
        )
        rest = {name: value for name, value in run.settings.items() if name != "seed"} if run else {}
        alpha = tuple(run.alpha.items()) if run else ()
        key = (student, label, alpha, str(sorted(rest.items())), one.dataset, one.split, one.scoring, one.questions)
        grouped[key][run.seed if run else 0] = one
        made[key] = method, label, student
    found = []
    for address, by_seed in grouped.items():
        method, label, student = made[address]
        first = next(iter(by_seed.values()))
        seeds = tuple(sorted(by_seed))
        found.append(
            Arm(
                label=label, method=method, student=student, dataset=first.dataset, split=first.split,
                scoring=first.scoring, n=first.questions, seeds=seeds,
                accuracies=tuple((by_seed[seed].correct or 0) / by_seed[seed].questions for seed in seeds),
                evaluations=tuple(by_seed[seed].id for seed in seeds),
            )
        )  # fmt: skip
    return found


def contests(store: Store, found: Sequence[Arm]) -> list[Contest]:
    """Every arm with several teachers against every other arm on the same questions, by student and data set; and over
    several data sets together, where both stand in more than one."""
    pairs: dict[tuple[str, str, str, str], list[tuple[Arm, Arm]]] = defaultdict(list)
    for one, other in _pairs(found):
        pairs[one.label, other.label, one.student, one.scoring].append((one, other))
    drafts = []
    for together in pairs.values():
        drafts += [_draft(store, [pair]) for pair in together]
        if len({one.dataset for one, _ in together}) > 1:
            drafts.append(_draft(store, together))
    adjusted = holm([p for _, p in drafts])
    return [Contest(adjusted=correction, **values) for (values, _), correction in zip(drafts, adjusted, strict=True)]  # type: ignore[arg-type]


def _pairs(found: Sequence[Arm]) -> Iterator[tuple[Arm, Arm]]:
    for index, one in enumerate(found):
        if one.method == "tinyllm":
            for position, other in enumerate(found):
                settled = other.method == "tinyllm" and position >= index
                if one.address == other.address and not settled and _common(one, other):
                    yield one, other


def _common(one: Arm, other: Arm) -> list[tuple[int, int]]:
    """Evaluations of the same seed; an untrained model has one for all seeds."""
    if other.method == "inference":
        return [(own, other.evaluations[0]) for own in one.evaluations]
    theirs = dict(zip(other.seeds, other.evaluations, strict=True))
    return [(own, theirs[seed]) for seed, own in zip(one.seeds, one.evaluations, strict=True) if seed in theirs]


def _draft(store: Store, pairs: Sequence[tuple[Arm, Arm]]) -> tuple[dict[str, object], float]:
    differences: list[float] = []
    discordant: list[float] = []
    seeds = 0
    for one, other in pairs:
        common = _common(one, other)
        seeds = max(seeds, len(common))
        by_question: dict[str, list[float]] = defaultdict(list)
        for own, theirs in common:
            for key, difference in stored_runs.differences(store, own, theirs):
                by_question[key].append(difference)
        differences += [fmean(values) for values in by_question.values()]
        discordant += [fmean(map(abs, values)) for values in by_question.values()]
    first, against = pairs[0]
    result = paired(differences)
    values: dict[str, object] = {
        "arm": first.label, "against": against.label, "student": first.student,
        "dataset": " + ".join(one.dataset for one, _ in pairs), "scoring": first.scoring, "n": len(differences),
        "seeds": seeds, "difference": result.mean, "low": result.low, "high": result.high, "p": result.p,
        "smallest": smallest_difference(len(differences), fmean(discordant)),
    }  # fmt: skip
    return values, result.p
