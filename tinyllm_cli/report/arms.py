"""Arms: runs that differ in their seed alone, with their accuracies on the same questions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean, stdev
from typing import Any

from tinyllm_cli.datasets.question import canonical
from tinyllm_cli.records.evaluations import Evaluation
from tinyllm_cli.records.runs import Run
from tinyllm_cli.report.labels import NO_EFFECT, label_of, precision_of, training_texts, treatment_of
from tinyllm_cli.stats import wilson
from tinyllm_cli.training.methods import ON_RATIONALES

_IN_FIELDS = {
    "seed",
    "limit",
    "prefixes",
    "gates",
    "usefulness",
    "usefulness_model",
    "samples",
    "icl",
    "shuffled",
    "rationales",
    "per_question",
    "choose",
    "data",
}


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to make a student (or a teacher, or an untrained model), with an evaluation for each seed.

    Accuracies are shares in 0..1; `low` and `high` bound the 95 % interval of the mean, by the number of questions;
    `spread` is the standard deviation over seeds, None for a single one; `valid` and `valid_loss` are the means over
    the kept checkpoints on the valid split. `treatment` says how raw rationales were processed, `recipe` means
    the training settings without a field of their own, `size` counts training questions; `gates` changes with the
    gates' settings, `data` with the training and valid questions; `way` is the (sampling, recipe) of a teacher's
    replies. An arm of several `settings` pools arms that nothing but test could choose between."""

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
    valid_loss: float | None = None
    settings: int = 1

    @property
    def seed_count(self) -> int:
        return len(set(self.seeds))

    @property
    def alphas(self) -> str:
        return ", ".join(f"{teacher}={weight:g}" for teacher, weight in self.alpha.items())

    @property
    def questions(self) -> tuple[str, str, str, int]:
        """What must be the same to be compared."""
        return self.dataset, self.split, self.scoring, self.n

    def ahead_of(self, other: Arm) -> tuple[float | None, int]:
        """Difference in accuracy to `other`, over the seeds that both have (None without any), and how many."""
        found = [self.accuracies[ours] - other.accuracies[theirs] for ours, theirs in self.same_seeds(other)]
        return (fmean(found) if found else None), len(set(self.seeds) & set(other.seeds))

    def same_seeds(self, other: Arm) -> list[tuple[int, int]]:
        """Positions of the seeds that both have, in each."""
        return [
            (place, position)
            for place, seed in enumerate(self.seeds)
            for position, theirs in enumerate(other.seeds)
            if seed == theirs
        ]


def pooled(tied: Sequence[Arm]) -> Arm:
    """Several settings as one arm: the accuracy to be expected of any of them, with all of their evaluations."""
    first = tied[0]
    mean = fmean(arm.mean for arm in tied)
    low, high = wilson(mean * first.n, first.n)
    alphas = {canonical(arm.alpha) for arm in tied}
    return replace(
        first,
        alpha=first.alpha if len(alphas) == 1 else {},
        seeds=tuple(seed for arm in tied for seed in arm.seeds),
        accuracies=tuple(accuracy for arm in tied for accuracy in arm.accuracies),
        evaluations=tuple(number for arm in tied for number in arm.evaluations),
        runs=tuple(number for arm in tied for number in arm.runs),
        mean=mean,
        spread=None,
        low=low,
        high=high,
        settings=len(tied),
    )


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
    """Why a run's evaluation is not a seed of an arm; empty where it is one."""
    if run.state != "done":
        return f"the run is {run.state}, not done"
    earlier = run.checkpoint is not None and one.subject.step != run.checkpoint
    return "an earlier checkpoint answered, before the run was done" if earlier else ""


def alike(run: Run, sizes: Mapping[str, int]) -> str:
    """The same for runs that differ in their seed alone."""
    # Not by the label: it distinguishes a limit of all questions from none.
    facts = {name: value for name, value in _of_run(run, sizes).items() if name not in ("label", "size")}
    return canonical([facts, _limited(run, sizes), training_texts(run), run.settings.prefixes])


def _limited(run: Run, sizes: Mapping[str, int]) -> int:
    return min(filter(None, (sizes.get(run.dataset), run.settings.limit)), default=0)


def _untrained(one: Evaluation) -> dict[str, Any]:
    if one.subject.kind == "teacher":
        return {"label": one.subject.name, "method": "teacher", "student": one.subject.name, "way": one.subject.replies}
    return {"label": "inference", "method": "inference", "student": one.subject.name}


def _of_run(run: Run, sizes: Mapping[str, int]) -> dict[str, Any]:
    settings = run.settings.to_json()
    on_rationales = run.method in ON_RATIONALES
    rest = {name: value for name, value in settings.items() if name not in _IN_FIELDS | NO_EFFECT}
    rest["precision"] = precision_of(run)
    return {
        "label": label_of(run),
        "method": run.method,
        "student": run.student,
        "alpha": dict(sorted(run.alpha.items())),
        "treatment": treatment_of(settings) if on_rationales else "",
        "icl": settings.get("icl"),
        "shuffled": bool(settings.get("shuffled")),
        "size": run.metrics.get("questions") or _limited(run, sizes),
        "recipe": canonical(rest),
        "gates": settings.get("gates") or "",
        "data": settings.get("data") or "",
        "trained_on": run.dataset,
    }


def _arm(facts: Mapping[str, Any], by_seed: Mapping[int, Evaluation], runs: Mapping[int, Run]) -> Arm:
    seeds = sorted(by_seed)
    found = [by_seed[seed] for seed in seeds]
    first = found[0]
    accuracies = [(one.correct or 0) / one.questions for one in found]
    mean = sum(one.correct or 0 for one in found) / (first.questions * len(found))
    low, high = wilson(mean * first.questions, first.questions)
    numbers = [one.subject.run for one in found if one.subject.run is not None]
    valid = [accuracy for number in numbers if (accuracy := runs[number].valid_accuracy) is not None]
    losses = [loss for number in numbers if (loss := valid_loss(runs[number])) is not None]
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
        valid_loss=fmean(losses) if losses and len(losses) == len(numbers) else None,
    )


def valid_loss(run: Run) -> float | None:
    """Of the kept checkpoint on the valid split; None where the run records none."""
    best = run.metrics.get("best_step")
    return next((point.get("loss") for point in run.metrics.get("valid", ()) if point["step"] == best), None)
