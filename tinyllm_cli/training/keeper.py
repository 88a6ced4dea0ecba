"""Follows one training: measures it, evaluates on valid, keeps the best student and the state to go on from."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinyllm_cli.records.runs import Run
from tinyllm_cli.signals import signals_deferred
from tinyllm_cli.students.base import Example, Limits, Student
from tinyllm_cli.students.predict import rank
from tinyllm_cli.students.saving import save_student
from tinyllm_cli.training.checkpoint import restore_state, save_state, state_folder
from tinyllm_cli.training.data import TrainingData, TrainingPlan
from tinyllm_cli.training.distributed import Processes
from tinyllm_cli.training.model_card import model_card
from tinyllm_cli.training.trainer import ALONE, StepReport, Training

_CURVE_POINTS = 200


@dataclass(kw_only=True)
class Progress:
    """What a terminal shows while a run goes on. `valid` holds (step, accuracy); `resumed_at` the step that a run
    which was broken off goes on after; `unsaved` why its state could not be written just now."""

    run: Run
    report: StepReport | None = None
    valid: list[tuple[int, float]] = field(default_factory=list)
    resumed_at: int = 0
    unsaved: str = ""


OnProgress = Callable[[Progress], None]


class Trainer:
    def __init__(
        self,
        run: Run,
        plan: TrainingPlan,
        student: Student,
        material: TrainingData,
        watch: OnProgress,
        *,
        save_every: float,
        processes: Processes = ALONE,
    ) -> None:
        """`save_every` is in seconds; 0 saves after every step."""
        self._processes = processes
        self._run, self._plan, self._student = run, plan, student
        self._material, self._folder, self._watch = material, Path(run.folder), watch
        self._save_every = save_every
        self._saved_at = time.monotonic()
        self._progress = Progress(run=run)
        self._best: tuple[float, int] | None = None
        self._curve: list[dict[str, float]] = []
        self._training_seconds, self._evaluating_seconds = 0.0, 0.0
        self._tokens = 0
        self._examples: list[list[Example]] = []
        self._training: Training | None = None

    def train(self) -> None:
        """Train from the beginning, or from the state that an earlier process left."""
        settings = self._plan.settings
        self._examples = encoded(self._student, self._material, settings.limits)
        training = Training(self._student, self._examples, settings, self._processes)
        notes = restore_state(state_folder(self._folder), training)
        if notes is not None:
            self._take_up(notes)
            self._progress.resumed_at = training.done
            self._watch(self._progress)
        self._training = training
        training.run(self._step, self._checkpoint, self._after_step)

    def save(self) -> None:
        """Keep the state as it is after the last whole step, whatever signals come meanwhile. A disk that is full costs
        the newer state, not the run: the one before stays."""
        from safetensors import SafetensorError

        if self._training is None or not self._training.done or not self._processes.first:
            return
        self._progress.unsaved = ""
        try:
            with signals_deferred():
                save_state(state_folder(self._folder), self._training, self._notes())
        except (OSError, SafetensorError) as error:
            self._progress.unsaved = str(error)
            self._watch(self._progress)
        self._saved_at = time.monotonic()

    def _after_step(self) -> None:
        assert self._training is not None
        last = self._training.done == self._training.steps
        if not last and time.monotonic() - self._saved_at >= self._save_every:
            self.save()

    def _notes(self) -> Mapping[str, Any]:
        return {
            "valid": self._progress.valid,
            "best": self._best,
            "curve": self._curve,
            "training_seconds": self._training_seconds,
            "evaluating_seconds": self._evaluating_seconds,
            "tokens": self._tokens,
        }

    def _take_up(self, notes: Mapping[str, Any]) -> None:
        self._progress.valid = [(step, accuracy) for step, accuracy in notes["valid"]]
        self._best = None if notes["best"] is None else (notes["best"][0], notes["best"][1])
        self._curve = list(notes["curve"])
        self._training_seconds, self._tokens = notes["training_seconds"], notes["tokens"]
        self._evaluating_seconds = notes.get("evaluating_seconds", 0.0)

    def _step(self, report: StepReport) -> None:
        self._training_seconds += report.seconds
        self._tokens += report.tokens
        if report.step % max(1, report.steps // _CURVE_POINTS) == 0 or report.step == report.steps:
            self._curve.append({"step": report.step, **{name: round(loss, 5) for name, loss in report.losses.items()}})
        self._progress.report = report
        self._watch(self._progress)

    def _checkpoint(self, step: int) -> bool:
        """Whether the training is over. Equal accuracy goes to the later checkpoint; without a valid split only the
        last one counts."""
        started = time.monotonic()
        accuracy = 0.0
        if not self._material.valid:
            if step < self._plan.settings.steps(len(self._examples)):
                return False
        else:
            predictions = rank(
                self._student, self._material.valid, self._plan.settings.limits, self._material.extra_context
            )
            accuracy = sum(prediction.correct for prediction in predictions) / len(self._material.valid)
        if self._best is None or accuracy >= self._best[0]:
            card = model_card(self._run, step, accuracy if self._material.valid else None)
            with signals_deferred():  # what lies there and what is said of it change together
                save_student(self._student, self._folder, card)
                self._best = (accuracy, step)
            self._saved_at = -math.inf  # a state that knows of it must not be long in coming
        known = bool(self._progress.valid) and self._progress.valid[-1][0] == step  # interrupted just after
        if self._material.valid and not known:
            self._progress.valid.append((step, accuracy))
        self._evaluating_seconds += time.monotonic() - started
        self._watch(self._progress)
        return self._out_of_patience()

    def _out_of_patience(self) -> bool:
        """Counted from the first evaluation that was as good as any: one that is only as good again is no better."""
        patience = self._plan.settings.patience
        if not patience or not self._progress.valid:
            return False
        accuracies = [accuracy for _, accuracy in self._progress.valid]
        return len(accuracies) - 1 - accuracies.index(max(accuracies)) >= patience

    def figures(self) -> dict[str, Any]:
        flat = [example for examples in self._examples for example in examples]
        done = self._training.done if self._training else 0
        seen = min(done * self._plan.settings.batch_size, len(self._examples) * self._plan.settings.epochs)
        return {
            "questions": len(self._examples),
            "valid_questions": len(self._material.valid),
            "tasks": {name: sum(e.name == name for e in flat) for name in sorted({e.name for e in flat})},
            "inputs_cut": sum(example.input_cut for example in flat),
            "targets_cut": sum(example.target_cut for example in flat),
            "steps": done,
            "best_step": self._best[1] if self._best else None,
            "valid": [{"step": step, "accuracy": accuracy} for step, accuracy in self._progress.valid],
            "curve": self._curve,
            "training_seconds": round(self._training_seconds, 3),
            "evaluating_seconds": round(self._evaluating_seconds, 3),
            "tokens": self._tokens,
            "questions_per_second": round(seen / self._training_seconds, 3) if self._training_seconds else None,
            "peak_memory": peak_memory(self._student.device),
        }


def peak_memory(device: str) -> dict[str, int]:
    """The most bytes that this process has held so far: `host`, and `gpu` where it computes on one."""
    import torch

    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    if device.startswith("cuda"):
        peak["gpu"] = torch.cuda.max_memory_reserved(device)
    return peak


def encoded(student: Student, material: TrainingData, limits: Limits) -> list[list[Example]]:
    """The examples of each lesson, all tasks encoded in one call."""
    flat = iter(student.encode([task for lesson in material.training_questions for task in lesson.tasks], limits))
    return [[next(flat) for _ in lesson.tasks] for lesson in material.training_questions]
