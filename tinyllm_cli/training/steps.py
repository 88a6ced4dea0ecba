"""Optimizer steps: each takes `batch_size` questions with all their tasks, one gradient and one update.

The examples of a step are mixed, sorted by length and cut into micro-batches by a budget of tokens;
`training.objective` makes the gradient independent of that cut, and of the processes that share it.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import count

from tinyllm_cli.errors import WorldProblem
from tinyllm_cli.records.settings import TrainSettings
from tinyllm_cli.signals import signals_deferred
from tinyllm_cli.students.base import Example, Student
from tinyllm_cli.students.lora import add_lora
from tinyllm_cli.students.loss.loss import Learner
from tinyllm_cli.students.sharding import clip_gradients, readable, shard
from tinyllm_cli.training.distributed import ALONE, Processes
from tinyllm_cli.training.environment import precision_context
from tinyllm_cli.training.gradient import MicroBatches, StepLosses, backward
from tinyllm_cli.training.objective import Objective, coverage_of
from tinyllm_cli.training.optimizers import make_optimizer, make_schedule
from tinyllm_cli.training.progress import StepReport
from tinyllm_cli.training.unfinite import UnfiniteGuard, diverged


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
        if processes.shards:  # before the optimizer, whose state is divided as the parameters are
            shard(student)
        self.total = settings.steps(len(examples))
        self.optimizer = make_optimizer(student.model, settings.optimizer, settings.lr, settings.weight_decay)
        self.scheduler = make_schedule(settings.schedule, self.optimizer, settings.warmup(self.total), self.total)
        self.done = 0
        self.token_budget = settings.budget_on(student.device)
        with readable(student.model):
            compiler = "inductor" if settings.compile_layers else None
            self.learner = Learner(student, checkpointing=settings.gradient_checkpointing, compiler=compiler)
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
        started = time.monotonic()
        model = self.student.model
        model.train()
        unread = self._gradient(number, batch)
        losses: Mapping[str, float] = unread
        self.processes.sum_gradients(model)
        norm = clip_gradients(model.parameters(), self.settings.max_grad_norm)
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

        key, shards = (self.settings.seed, number), self.processes.shards
        while True:
            precision = precision_context(self.settings.precision, self.student.device, keep=not shards)
            try:
                micro = MicroBatches(key=key, budget=self.token_budget, autocast=precision, processes=self.processes)
                return backward(self.learner, batch, self.objective, micro)
            except torch.OutOfMemoryError as error:
                if shards:
                    raise _out_of_memory(number, self.token_budget) from error
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


def _out_of_memory(step: int, token_budget: int) -> WorldProblem:
    """Of a sharded student. The other processes are in the middle of a pass that this one can't finish, so the step
    can't be computed again."""
    return WorldProblem(
        f"A GPU's memory does not suffice for step {step} with micro-batches of {token_budget} tokens.",
        f"Try --token-budget {token_budget // 2}, --gradient-checkpointing, or more processes.",
    )
