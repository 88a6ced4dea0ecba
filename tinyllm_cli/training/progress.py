"""How far a training is: its steps, its evaluations on valid, and what a resumed run must know of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tinyllm_cli.records.runs import Run
from tinyllm_cli.records.settings import SelectBy

_CURVE_POINTS = 200


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One optimizer step. `losses` maps task to its mean l in the step (nats per token under the run's reading)."""

    step: int
    steps: int
    losses: Mapping[str, float]
    tokens: int
    seconds: float
    token_budget: int


class ValidPoint(NamedTuple):
    """An evaluation on valid: the accuracy of `rank`, and the mean negative log-likelihood of the gold options'
    tokens."""

    step: int
    accuracy: float
    loss: float


@dataclass(kw_only=True)
class History:
    """What a resumed run must know of its earlier part, beside the weights. `evaluated_at` is the last step that was
    evaluated, `best_step` the step of the student on disk."""

    evaluated_at: int = 0
    valid: list[ValidPoint] = field(default_factory=list)
    best_step: int | None = None
    curve: list[dict[str, float]] = field(default_factory=list)
    training_seconds: float = 0.0
    evaluating_seconds: float = 0.0
    tokens: int = 0

    @classmethod
    def from_json(cls, notes: Mapping[str, Any]) -> History:
        return cls(**{**notes, "valid": [ValidPoint(*point) for point in notes["valid"]]})

    def note(self, report: StepReport) -> None:
        self.training_seconds += report.seconds
        self.tokens += report.tokens
        if report.step % max(1, report.steps // _CURVE_POINTS) == 0 or report.step == report.steps:
            self.curve.append({"step": report.step, **{name: round(loss, 5) for name, loss in report.losses.items()}})

    def improves(self, point: ValidPoint, select_by: SelectBy) -> bool:
        """Whether this checkpoint is better than the best so far. Equal in both figures, the earlier one stays."""
        best = next((one for one in self.valid if one.step == self.best_step), None)
        return best is None or _merit(point, select_by) > _merit(best, select_by)

    def without_improvement(self) -> int:
        """Evaluations since the best one."""
        steps = [point.step for point in self.valid]
        return len(steps) - 1 - steps.index(self.best_step) if self.best_step in steps else 0


@dataclass(kw_only=True)
class Progress:
    """The state of a run, as a terminal shows it. `resumed_at` is the step after which a stopped run resumes;
    `unsaved` the reason why its state could not be written just now."""

    run: Run
    report: StepReport | None = None
    valid: Sequence[ValidPoint] = ()
    resumed_at: int = 0
    unsaved: str = ""


def _merit(point: ValidPoint, select_by: SelectBy) -> tuple[float, float]:
    """Greater is better."""
    merits = (point.accuracy, -point.loss)
    return merits if select_by == "accuracy" else (merits[1], merits[0])
