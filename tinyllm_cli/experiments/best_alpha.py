"""The alpha that the validation split selects from a grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from tinyllm_cli.records.experiments import Label
from tinyllm_cli.records.runs import Run


@dataclass(frozen=True, kw_only=True)
class ValidScore:
    """The validation result of a run's kept checkpoint. `loss` is in nats per token, None where the run has none."""

    run: int
    accuracy: float
    loss: float | None = None


def valid_score(run: Run) -> ValidScore | None:
    """None where no validation split selected the checkpoint."""
    best = run.metrics.get("best_step")
    point = next((point for point in run.metrics.get("valid", ()) if point["step"] == best), None)
    return None if point is None else ValidScore(run=run.id, accuracy=point["accuracy"], loss=point.get("loss"))


@dataclass(frozen=True, kw_only=True)
class AlphaSetting:
    teacher: str
    alpha: float


@dataclass(frozen=True, kw_only=True)
class BestAlpha:
    """The settings of a grid with the highest mean validation accuracy over `seeds` runs; of equal ones those with the
    lowest mean validation loss, where every run has one. Several settings are a tie, which validation can't decide."""

    dataset: str
    student: str
    settings: tuple[AlphaSetting, ...]
    valid: float
    seeds: int
    tried: int


def best_on_valid(tried: Iterable[tuple[Label, ValidScore]]) -> list[BestAlpha]:
    """For each data set and student, from the labels of a grid's cells and their validation results."""
    places: dict[tuple[str, str], dict[AlphaSetting, list[ValidScore]]] = {}
    for label, score in tried:
        points = places.setdefault((str(label["dataset"]), str(label["student"])), {})
        setting = AlphaSetting(teacher=str(label["teacher"]), alpha=float(label["alpha"]))
        points.setdefault(setting, []).append(score)
    found = []
    for (dataset, student), points in places.items():
        settings = list(points)
        by_runs = {
            frozenset(score.run for score in points[settings[place]]): settings[place]
            for place in reversed(best_of(list(points.values())))
        }  # two teachers' alpha of 1 may be one run
        best = list(reversed(by_runs.values()))
        scores = points[best[0]]
        found.append(
            BestAlpha(
                dataset=dataset, student=student, settings=tuple(best),
                valid=fmean(score.accuracy for score in scores), seeds=len(scores), tried=len(points),
            )
        )  # fmt: skip
    return found


def best_of(candidates: Sequence[Sequence[ValidScore]]) -> list[int]:
    """The indices of the best candidates, each with a score by seed: by mean accuracy, then by mean loss if known."""
    accuracies = [round(fmean(score.accuracy for score in scores), 12) for scores in candidates]
    best = [place for place, accuracy in enumerate(accuracies) if accuracy == max(accuracies)]
    losses = {place: [s.loss for s in candidates[place] if s.loss is not None] for place in best}
    if any(len(losses[place]) < len(candidates[place]) for place in best):
        return best
    means = {place: fmean(losses[place]) for place in best}
    return [place for place in best if means[place] == min(means.values())]
