"""A run: optimizer steps, evaluations on valid, the best student and the resumable state on disk.

Knows nothing of the store.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.records.runs import Run
from tinyllm_cli.records.settings import TrainSettings
from tinyllm_cli.signals import signals_deferred
from tinyllm_cli.students.inputs import ExtraContext
from tinyllm_cli.students.saving import save_student
from tinyllm_cli.students.sharding import readable
from tinyllm_cli.training.checkpoint import restore_state, save_state, state_folder
from tinyllm_cli.training.environment import peak_memory
from tinyllm_cli.training.progress import History, Progress, ValidPoint
from tinyllm_cli.training.steps import Training
from tinyllm_cli.training.unfinite import refuse_unfinite
from tinyllm_cli.training.validation import answered


def checkpoint_steps(training_questions: int, settings: TrainSettings) -> set[int]:
    """The steps after which the student is evaluated: evenly spread, the last one always among them."""
    steps = settings.steps(training_questions)
    if settings.eval_every:
        return {*range(settings.eval_every, steps, settings.eval_every), steps}
    evaluations = settings.evaluations(training_questions)
    return {round(steps * (number + 1) / evaluations) for number in range(evaluations)} | {steps}


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """What a run is evaluated on, and what it keeps on disk. `card` makes the model card from the step and its valid
    accuracy, None without a valid split. `save_every` is in seconds; 0 saves the state after every step."""

    valid: Sequence[Question]
    extra_context: ExtraContext
    card: Callable[[int, float | None], str]
    save_every: float


class Trainer:
    """One run: trains, evaluates on valid, and keeps the best student and the state to resume from."""

    def __init__(self, run: Run, training: Training, keeping: Keeping) -> None:
        self._training, self._keeping, self._folder = training, keeping, Path(run.folder)
        self._history = History()
        self._saved_at = time.monotonic()
        self.progress = Progress(run=run)

    def run(self) -> Iterator[Progress]:
        """Train from the beginning, or from the state that an earlier process left. The progress after each step and
        each evaluation: one object, which changes.

        The processes of a sharded student stop together: a signal that one gets takes effect in all of them after the
        step, or after the evaluation and the next step. Then they save, and KeyboardInterrupt is raised."""
        if not self._training.processes.shards:
            yield from self._run([])
            return
        with signals_deferred() as pending:
            yield from self._run(pending)

    def _run(self, pending: list[int]) -> Iterator[Progress]:
        training, settings = self._training, self._training.settings
        notes = restore_state(state_folder(self._folder), training)
        if training.processes.broadcast_from_rank0(training.done) != training.done:
            raise UsageProblem(
                f"This process can't read the checkpoint of the run, beside {self._folder}.",
                "To resume on several nodes, put the database and its runs on a file system that all of them share.",
            )
        if notes is not None:
            self._history = History.from_json(notes)
            self.progress.resumed_at, self.progress.valid = training.done, self._history.valid
            yield self.progress
        checkpoints = checkpoint_steps(len(training.examples), settings)
        if self._evaluate(checkpoints):
            yield self.progress
        for report in training.steps() if not self._out_of_patience() else ():
            self._history.note(report)
            self.progress.report = report
            yield self.progress
            if self._evaluate(checkpoints):
                yield self.progress
            if self._out_of_patience():
                break
            due = report.step < training.total and time.monotonic() - self._saved_at >= self._keeping.save_every
            due, stopped = self._agreed(due, bool(pending))
            if due or stopped:
                self._save()
                if self.progress.unsaved:
                    yield self.progress
            if stopped:
                pending.clear()
                raise KeyboardInterrupt

    def _agreed(self, due: bool, stopped: bool) -> tuple[bool, bool]:
        """(whether a state is due, whether to stop), the same in all processes of a sharded student: the first one's
        clock counts, and a signal to any of them."""
        processes = self._training.processes
        if not processes.shards:
            return due, stopped
        saves, stops = processes.sum_numbers([due and processes.first, stopped])
        return saves > 0, stops > 0

    def save(self) -> None:
        """Write the state after the last whole step, with signals deferred. When the disk is full, the state before is
        kept and `progress.unsaved` says why. A sharded student is saved in `run` alone, by all processes together."""
        if not self._training.processes.shards:
            self._save()

    def _save(self) -> None:
        from safetensors import SafetensorError

        self._training.settle()
        processes = self._training.processes
        if not self._training.done or not (processes.first or processes.shards):
            return
        self.progress.unsaved = ""
        notes, folder = asdict(self._history), state_folder(self._folder)
        try:
            with signals_deferred():
                save_state(folder, self._training, notes, write=processes.first)
        except (OSError, SafetensorError) as error:
            self.progress.unsaved = str(error)
        self._saved_at = time.monotonic()

    def figures(self) -> dict[str, Any]:
        """What the run's row says of its training."""
        examples, settings, history = self._training.examples, self._training.settings, self._history
        seen = settings.questions_after(self._training.done, len(examples))
        return {
            "questions": len(examples),
            "valid_questions": len(self._keeping.valid),
            **self._example_figures,
            "steps": self._training.done,
            "total_steps": self._training.total,
            "best_step": history.best_step,
            "valid": [point._asdict() for point in history.valid],
            "curve": history.curve,
            "packed": self._training.learner.packs,
            "processes": self._training.processes.size,
            "sharded": self._training.processes.shards,
            "training_seconds": round(history.training_seconds, 3),
            "evaluating_seconds": round(history.evaluating_seconds, 3),
            "tokens": history.tokens,
            "questions_per_second": round(seen / history.training_seconds, 3) if history.training_seconds else None,
            "peak_memory": peak_memory(self._training.student.device),
        }

    @cached_property
    def _example_figures(self) -> dict[str, Any]:
        """The figures that do not change in the course of a training."""
        flat = [example for own in self._training.examples for example in own]
        return {
            "tasks": dict(sorted(Counter(span.name for example in flat for span in example.spans).items())),
            "inputs_cut": sum(example.input_cut for example in flat),
            "targets_cut": sum(example.target_cut for example in flat),
        }

    def _evaluate(self, checkpoints: Collection[int]) -> bool:
        """Where the last step is to be evaluated and is not yet: evaluate the student, and keep it where it is the best
        so far. Without a valid split the last one is kept."""
        step, history, training = self._training.done, self._history, self._training
        if step not in checkpoints or step <= history.evaluated_at:
            return False
        started = time.monotonic()
        training.settle()
        point = self._measured(step) if self._keeping.valid else None
        better = history.improves(point, training.settings.select_by) if point else step == training.total
        if better:
            refuse_unfinite(training.student, training.examples[0][0], step, training.processes)
        with signals_deferred():  # the student on disk and what is recorded of it change together
            if better:
                self._keep(step, point)
            history.best_step = step if better else history.best_step
            history.valid += [point] if point else []
            history.evaluating_seconds += time.monotonic() - started
            history.evaluated_at = step
        self.progress.valid = history.valid
        return True

    def _keep(self, step: int, point: ValidPoint | None) -> None:
        """Save the student as the best so far."""
        training = self._training
        processes, dtype = training.processes, training.settings.save_dtype
        if processes.first or processes.shards:
            card = self._keeping.card(step, point and point.accuracy)
            save_student(training.student, self._folder, card, dtype, write=processes.first)
            self._saved_at = -math.inf  # the state must know of it soon

    def _measured(self, step: int) -> ValidPoint:
        """Every process evaluates a part of the valid questions: none waits for longer than its own part takes. Those
        of a sharded student all evaluate all of them, since they must run the same passes; the first one's figures
        count."""
        questions, processes = self._keeping.valid, self._training.processes
        own = questions if processes.shards else questions[processes.rank :: processes.size]
        settings, student = self._training.settings, self._training.student
        with readable(student.model):
            found = answered(student, own, settings, self._keeping.extra_context)
        right, loss = processes.broadcast_from_rank0(found) if processes.shards else processes.sum_numbers(found)
        return ValidPoint(step, right / len(questions), loss / len(questions))

    def _out_of_patience(self) -> bool:
        patience = self._training.settings.patience
        return bool(patience) and self._history.without_improvement() >= patience
