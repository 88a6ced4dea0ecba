"""The training loop: optimizer steps, evaluations on valid, the best student and the resumable state on disk.

A step takes `batch_size` questions with all their tasks. Their examples are mixed, sorted by length and cut into
micro-batches by a budget of tokens; `training.objective` makes the gradient independent of that cut. Knows nothing of
the store.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.records.runs import Run
from tinyllm_cli.records.settings import TrainSettings
from tinyllm_cli.signals import signals_deferred
from tinyllm_cli.students.base import Example, Student
from tinyllm_cli.students.inputs import ExtraContext
from tinyllm_cli.students.lora import add_lora
from tinyllm_cli.students.loss.loss import Learner
from tinyllm_cli.students.saving import save_student
from tinyllm_cli.training.checkpoint import restore_state, save_state, state_folder
from tinyllm_cli.training.distributed import ALONE, Processes
from tinyllm_cli.training.environment import peak_memory, precision_context
from tinyllm_cli.training.gradient import MicroBatches, StepLosses, backward
from tinyllm_cli.training.objective import Objective, coverage_of
from tinyllm_cli.training.optimizers import make_optimizer, make_schedule
from tinyllm_cli.training.progress import History, Progress, StepReport, ValidPoint
from tinyllm_cli.training.unfinite import UnfiniteGuard, diverged, refuse_unfinite
from tinyllm_cli.training.validation import answered


class Training:
    """The optimizer steps of one student. It can stop after any step and continue from there with the same result.

    `examples` are those of each training question. `done` steps are in the weights.

    On a GPU (`late`) the program does not wait for a step's results before it launches the next one: losses are read
    where they are asked for, and whether a step was finite is known one step later, or after `settle`."""

    def __init__(
        self,
        student: Student,
        examples: Sequence[Sequence[Example]],
        settings: TrainSettings,
        alpha: Mapping[str, float] | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.student, self.examples, self.settings, self.processes = student, examples, settings, processes
        spans = [[span for example in own for span in example.spans] for own in examples]
        self.objective = Objective(reading=settings.reading, alpha=alpha or {}, coverage=coverage_of(spans))
        if settings.lora_rank:
            lora_alpha = settings.lora_alpha or 2.0 * settings.lora_rank
            add_lora(student, rank=settings.lora_rank, alpha=lora_alpha, seed=settings.seed)
        if settings.gradient_checkpointing:
            student.model.gradient_checkpointing_enable({"use_reentrant": False})
        self.total = settings.steps(len(examples))
        self.optimizer = make_optimizer(student.model, settings.optimizer, settings.lr, settings.weight_decay)
        self.scheduler = make_schedule(settings.schedule, self.optimizer, settings.warmup(self.total), self.total)
        self.done = 0
        self.token_budget = settings.budget_on(student.device)
        self.learner = Learner(student, checkpointing=settings.gradient_checkpointing)
        self.guard = UnfiniteGuard(self.optimizer)
        self.late = student.device.startswith("cuda") and self.guard.possible and processes.size == 1

    def steps(self) -> Iterator[StepReport]:
        """Train from step `done` on; a report after each step. The student is in eval mode between the steps.

        Raises UsageProblem at the first loss or gradient that is not finite."""
        for number, batch in enumerate(step_batches(self.examples, self.settings), start=1):
            if number > self.done:
                yield self._step(number, batch)
        self.settle()

    def settle(self) -> None:
        """Wait until the steps so far are known to be finite. Raises UsageProblem for the first that is not."""
        number = self.guard.first_unfinite()
        if number is not None:
            self.done = number - 1  # its update was left out
            raise diverged(number)

    def _step(self, number: int, batch: Sequence[Example]) -> StepReport:
        import torch

        started = time.monotonic()
        model = self.student.model
        model.train()
        unread = self._gradient(number, batch)
        losses: Mapping[str, float] = unread
        self.processes.sum_gradients(model)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), self.settings.max_grad_norm)
        if self.late:
            self.settle()  # of the step before: the device is busy with this one meanwhile
            self.guard.watch(number, norm.isfinite() & unread.finite)
        else:
            losses = self._of_all_processes(losses)
            if not math.isfinite(float(norm) + sum(losses.values())):
                raise diverged(number)
        with signals_deferred():  # weights, optimizer and count change together, Ctrl-C or not
            self.optimizer.step()
            self.scheduler.step()
            self.optimizer.zero_grad(set_to_none=False)  # fresh memory costs more than zeros
            self.done = number
        model.eval()
        return StepReport(
            step=number, steps=self.total, losses=losses, tokens=sum(example.size for example in batch),
            seconds=time.monotonic() - started, token_budget=self.token_budget,
        )  # fmt: skip

    def _of_all_processes(self, losses: Mapping[str, float]) -> dict[str, float]:
        return dict(zip(losses, self.processes.sum_numbers(list(losses.values())), strict=True))

    def _gradient(self, number: int, batch: Sequence[Example]) -> StepLosses:
        """Add the step's gradient, and return its losses. Where a GPU's memory does not suffice, in smaller
        micro-batches: the gradient stays the same."""
        import torch

        key = (self.settings.seed, number)
        while True:
            precision = precision_context(self.settings.precision, self.student.device)
            try:
                micro = MicroBatches(key=key, budget=self.token_budget, autocast=precision, processes=self.processes)
                return backward(self.learner, batch, self.objective, micro)
            except torch.OutOfMemoryError:
                if self.token_budget <= max(example.size for example in batch):
                    raise
                self.token_budget //= 2
                self.optimizer.zero_grad(set_to_none=True)
                torch.cuda.empty_cache()


def step_batches(examples: Sequence[Sequence[Example]], settings: TrainSettings) -> Iterator[list[Example]]:
    """The examples of each optimizer step, every epoch in an order of its own that the seed decides."""
    left = settings.steps(len(examples))
    for epoch in count():
        order = list(range(len(examples)))
        random.Random(f"{settings.seed}:{epoch}").shuffle(order)
        for start in range(0, len(order), settings.batch_size):
            if left == 0:
                return
            left -= 1
            yield [example for index in order[start : start + settings.batch_size] for example in examples[index]]


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
        each evaluation: one object, which changes."""
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
            if report.step < training.total and time.monotonic() - self._saved_at >= self._keeping.save_every:
                self.save()
                if self.progress.unsaved:
                    yield self.progress

    def save(self) -> None:
        """Write the state after the last whole step, with signals deferred. When the disk is full, the state before is
        kept and `progress.unsaved` says why."""
        from safetensors import SafetensorError

        self._training.settle()
        if not self._training.done or not self._training.processes.first:
            return
        self.progress.unsaved = ""
        try:
            with signals_deferred():
                save_state(state_folder(self._folder), self._training, asdict(self._history))
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
            refuse_unfinite(training.student, training.examples[0][0], step)
        with signals_deferred():  # the student on disk and what is recorded of it change together
            if better and training.processes.first:
                card = self._keeping.card(step, point and point.accuracy)
                save_student(training.student, self._folder, card, training.settings.save_dtype)
                self._saved_at = -math.inf  # the state must know of it soon
            history.best_step = step if better else history.best_step
            history.valid += [point] if point else []
            history.evaluating_seconds += time.monotonic() - started
            history.evaluated_at = step
        self.progress.valid = history.valid
        return True

    def _measured(self, step: int) -> ValidPoint:
        """Every process evaluates a part of the valid questions: none waits for longer than its own part takes."""
        questions, processes = self._keeping.valid, self._training.processes
        own = questions[processes.rank :: processes.size]
        settings, student = self._training.settings, self._training.student
        right, loss = answered(student, own, settings, self._keeping.extra_context)
        accuracy, mean_loss = (total / len(questions) for total in processes.sum_numbers([right, loss]))
        return ValidPoint(step, accuracy, mean_loss)

    def _out_of_patience(self) -> bool:
        patience = self._training.settings.patience
        return bool(patience) and self._history.without_improvement() >= patience
