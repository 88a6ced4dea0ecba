"""The progress of a training as events: steps, notices, and how long it and other recipes take."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tinyllm_cli.errors import InterruptedByUser
from tinyllm_cli.events import Notice, OnEvent, Progress
from tinyllm_cli.training.gradient import StepLosses
from tinyllm_cli.training.recipes import RECIPES, Situation, TrainingRecipe, with_recipe

if TYPE_CHECKING:
    from tinyllm_cli.training.data import TrainingData, TrainingPlan
    from tinyllm_cli.training.progress import Progress as TrainingProgress
    from tinyllm_cli.training.progress import StepReport
    from tinyllm_cli.training.tracking import Tracker

_FIRST_STEPS = 5
"""Steps that the estimate of the time waits for, after one that warms up."""

_SHOW_EVERY = 0.5
"""Seconds between two steps that are shown, where showing one waits for a GPU."""


@dataclass(kw_only=True)
class Outlook:
    """An estimate of the time of a training from its first steps. `seen`: the questions in all steps, each as often as
    it is seen, by recipe."""

    recipe: TrainingRecipe
    batch_size: int
    seen: Mapping[str, int]
    _seconds: list[float] = field(default_factory=list)
    _step: int = 0

    @classmethod
    def of(cls, plan: TrainingPlan, data: TrainingData, recipe: TrainingRecipe) -> Outlook:
        from tinyllm_cli.students.shape import student_shape

        count = len(data.training_questions)
        situation = Situation(shape=student_shape(plan.student), questions=count, valid=len(data.valid))
        settings = {one: with_recipe(one, situation, {}) for one in RECIPES} | {recipe: plan.settings}
        seen: dict[str, int] = {name: one.questions_after(one.steps(count), count) for name, one in settings.items()}
        return cls(recipe=recipe, batch_size=plan.settings.batch_size, seen=seen)

    def after(self, report: StepReport) -> str:
        """The estimate, once: after the first steps of this process, if others follow. Else nothing. A step may be
        reported again, after an evaluation."""
        if report.step == self._step:
            return ""
        self._step = report.step
        self._seconds.append(report.seconds)
        if len(self._seconds) != 1 + _FIRST_STEPS or report.step == report.steps:
            return ""
        each = sum(self._seconds[1:]) / (_FIRST_STEPS * self.batch_size)
        left = self.seen[self.recipe] * (1 - report.step / report.steps)
        others = ", ".join(
            f"{name} {_duration(each * count)}" for name, count in self.seen.items() if name != self.recipe
        )
        return (
            f"About {_duration(each * left)} of training left at this pace, less with early stopping, and evaluations."
            f" A whole training with another --recipe: {others}."
        )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class TrainingEvents:
    """Turns the progress of a training into events, and sends it to a tracker."""

    def __init__(self, on_event: OnEvent, tracker: Tracker | None, token_budget: int) -> None:
        self._on_event, self._tracker, self._token_budget = on_event, tracker, token_budget
        self._resumed_at, self._unsaved, self._shown = 0, "", -math.inf
        self.outlook: Outlook | None = None

    def __call__(self, progress: TrainingProgress) -> None:
        if self._tracker is not None:
            self._tracker(progress)
        if progress.resumed_at != self._resumed_at:
            self._resumed_at = progress.resumed_at
            self._note(f"Run {progress.run.id} resumes after step {progress.resumed_at}.")
        if progress.unsaved and progress.unsaved != self._unsaved:
            self._note(f"The checkpoint could not be written; the previous one is kept ({progress.unsaved}).")
        self._unsaved = progress.unsaved
        report = progress.report
        if report is None:
            return
        if report.token_budget < self._token_budget:
            self._note(
                f"Out of memory: micro-batches of {report.token_budget} tokens from now on. The gradient is the same."
            )
        self._token_budget = report.token_budget
        estimate = self.outlook and self.outlook.after(report)
        if estimate:
            self._note(estimate)
        if not self._due(report):
            return
        losses = " ".join(f"{name} {loss:.3f}" for name, loss in report.losses.items())
        valid = f" valid {progress.valid[-1].accuracy:.1%}" if progress.valid else ""
        rate = f" {report.tokens / report.seconds:.0f} tokens/s" if report.seconds else ""
        self._on_event(
            Progress(label="training", done=report.step, total=report.steps, detail=f"loss: {losses}{valid}{rate}")
        )

    def _due(self, report: StepReport) -> bool:
        """Whether to show this step. Where a GPU still computes its losses, which showing them would wait for, two
        steps a second are enough."""
        waits = isinstance(report.losses, StepLosses) and not report.losses.read
        if waits and report.step < report.steps and time.monotonic() - self._shown < _SHOW_EVERY:
            return False
        self._shown = time.monotonic()
        return True

    def _note(self, message: str) -> None:
        self._on_event(Notice(message=message))

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end a training as InterruptedByUser; the tracker is closed in any case."""
        from tinyllm_cli.signals import ended_like_interrupted

        try:
            with ended_like_interrupted():
                yield
        except KeyboardInterrupt as error:
            raise InterruptedByUser(
                "Stopped. The run is marked as stopped; its checkpoint and its best student so far are kept.",
                "Run the same command to resume.",
            ) from error
        finally:
            if self._tracker is not None:
                self._tracker.finish()
