"""Arms: runs that differ in their seed alone, with what each got right of the same questions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, stdev
from typing import Any

from tinyllm_cli.datasets.question import canonical
from tinyllm_cli.records.evaluations import Evaluation
from tinyllm_cli.records.runs import Run
from tinyllm_cli.stats import wilson
from tinyllm_cli.training.methods import ON_RATIONALES

_TOLD_APART = {
    "seed",
    "limit",
    "prefixes",
    "gates",
    "usefulness",
    "usefulness_model",
    "samples",
    "icl",
    "shuffled",
    "data",
}
_OF_NO_EFFECT = {"token_budget", "gradient_checkpointing", "environment"}


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to make a student (or a teacher, or a model as it is), with an evaluation for each seed.

    Accuracies are shares in 0..1; `low` and `high` bound the 95 % interval of the mean, by the number of questions;
    `spread` is the standard deviation over seeds, None for a single one; `valid` is the mean accuracy on the valid
    split of the kept checkpoints. `treatment` says what was done with raw rationales, `recipe` stands for the settings
    of the training that the other fields don't tell, `size` counts training questions; `gates` changes with the gates'
    settings, `data` with the training and valid questions; `way` is the (sampling, recipe) of a teacher's replies."""

    label: str
    method: str
    student: str
    alpha: Mapping[str, float] = field(default_factory=dict)
    treatment: str = ""
    icl: int | None = None
    shuffled: bool = False
    size: int = 0
    recipe: str = ""
    gates: str = ""
    data: str = ""
    trained_on: str | None = None
    way: tuple[str, str] | None = None
    dataset: str
    split: str
    scoring: str
    n: int
    chance: float
    majority: float
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    evaluations: tuple[int, ...]
    runs: tuple[int, ...] = ()
    mean: float
    spread: float | None
    low: float
    high: float
    valid: float | None = None

    @property
    def alphas(self) -> str:
        return ", ".join(f"{teacher}={weight:g}" for teacher, weight in self.alpha.items())

    @property
    def questions(self) -> tuple[str, str, str, int]:
        """What must be the same to be compared."""
        return self.dataset, self.split, self.scoring, self.n

    def ahead_of(self, other: Arm) -> tuple[float | None, int]:
        """How much more it gets right than `other`, over the seeds that both have (None without any), and how many."""
        found = [self.accuracies[ours] - other.accuracies[theirs] for ours, theirs in self.same_seeds(other)]
        return (fmean(found) if found else None), len(found)

    def same_seeds(self, other: Arm) -> list[tuple[int, int]]:
        """Where the seeds that both have stand in each."""
        theirs = {seed: place for place, seed in enumerate(other.seeds)}
        return [(place, theirs[seed]) for place, seed in enumerate(self.seeds) if seed in theirs]


def label_of(run: Run) -> str:
    """The method, and what of its settings tells it from the paper's: `tinyllm raw`, `tinyllm gated, weight`."""
    told = run.method in ON_RATIONALES
    settings = run.settings.to_json()
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


def treatment_of(settings: Mapping[str, Any]) -> str:
    """What was done with raw rationales before they were learnt; empty is the paper's way."""
    parts = ["gates"] if settings.get("gates") else []
    if usefulness := settings.get("usefulness"):
        parts.append({"weight": "usefulness weights", "filter": "usefulness filter"}.get(usefulness, str(usefulness)))
    if samples := settings.get("samples"):
        parts.append(f"best {samples} of several")
    return " + ".join(parts)


def arms(evaluations: Sequence[Evaluation], runs: Mapping[int, Run], sizes: Mapping[str, int]) -> list[Arm]:
    """The evaluations, grouped; of two of one seed the later one counts. `sizes` are the data sets' training splits."""
    grouped: dict[str, dict[int, Evaluation]] = defaultdict(dict)
    made: dict[str, dict[str, Any]] = {}
    for one in evaluations:
        run = runs.get(one.subject.run) if one.subject.run is not None else None
        if (run is None and one.subject.kind == "run") or (run and why_no_seed(run, one)):
            continue
        facts = _of_run(run, sizes) if run else _untrained(one)
        made_alike = alike(run, sizes) if run else canonical([facts, asdict(one.subject)])
        key = canonical([made_alike, one.dataset, one.split, one.scoring, one.questions])
        grouped[key][run.seed if run else 0] = one
        made[key] = facts
    return [_arm(made[key], by_seed, runs) for key, by_seed in grouped.items()]


def why_no_seed(run: Run, one: Evaluation) -> str:
    """Why what a run's student answered is no seed among others; empty where it is one."""
    if run.state != "done":
        return f"the run is {run.state}, not done"
    earlier = run.checkpoint is not None and one.subject.step != run.checkpoint
    return "an earlier checkpoint answered, before the run was done" if earlier else ""


def alike(run: Run, sizes: Mapping[str, int]) -> str:
    """The same for runs that differ in their seed alone."""
    # Not by the label: it tells a limit of all questions from none.
    told_apart = {name: value for name, value in _of_run(run, sizes).items() if name not in ("label", "size")}
    return canonical([told_apart, _limited(run, sizes), _material(run), run.settings.prefixes])


def _limited(run: Run, sizes: Mapping[str, int]) -> int:
    return min(filter(None, (sizes.get(run.dataset), run.settings.limit)), default=0)


def _untrained(one: Evaluation) -> dict[str, Any]:
    if one.subject.kind == "teacher":
        return {"label": one.subject.name, "method": "teacher", "student": one.subject.name, "way": one.subject.replies}
    return {"label": "inference", "method": "inference", "student": one.subject.name}


def _of_run(run: Run, sizes: Mapping[str, int]) -> dict[str, Any]:
    settings = run.settings.to_json()
    told = run.method in ON_RATIONALES
    rest = {name: value for name, value in settings.items() if name not in _TOLD_APART | _OF_NO_EFFECT}
    rest["precision"] = run.settings.environment.precision if run.settings.environment else settings["precision"]
    return {
        "label": label_of(run),
        "method": run.method,
        "student": run.student,
        "alpha": dict(sorted(run.alpha.items())),
        "treatment": treatment_of(settings) if told else "",
        "icl": settings.get("icl"),
        "shuffled": bool(settings.get("shuffled")),
        "size": run.metrics.get("questions") or _limited(run, sizes),
        "recipe": canonical(rest),
        "gates": settings.get("gates") or "",
        "data": settings.get("data") or "",
        "trained_on": run.dataset,
    }


def _material(run: Run) -> dict[str, Any]:
    """Which texts were learnt, by teacher."""
    return {teacher: record.get("digest") for teacher, record in run.sources.items()}


def _arm(facts: Mapping[str, Any], by_seed: Mapping[int, Evaluation], runs: Mapping[int, Run]) -> Arm:
    seeds = sorted(by_seed)
    found = [by_seed[seed] for seed in seeds]
    first = found[0]
    accuracies = [(one.correct or 0) / one.questions for one in found]
    mean = sum(one.correct or 0 for one in found) / (first.questions * len(found))
    low, high = wilson(mean * first.questions, first.questions)
    numbers = [one.subject.run for one in found if one.subject.run is not None]
    valid = [accuracy for number in numbers if (accuracy := runs[number].valid_accuracy) is not None]
    return Arm(
        **facts,
        dataset=first.dataset,
        split=first.split,
        scoring=first.scoring,
        n=first.questions,
        chance=first.chance,
        majority=first.majority,
        seeds=tuple(seeds),
        accuracies=tuple(accuracies),
        evaluations=tuple(one.id for one in found),
        runs=tuple(numbers),
        mean=mean,
        spread=stdev(accuracies) if len(accuracies) > 1 else None,
        low=low,
        high=high,
        valid=fmean(valid) if valid and len(valid) == len(numbers) else None,
    )
