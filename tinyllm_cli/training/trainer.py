"""The training loop: optimizer steps over lessons, with the objective's token weights. Knows nothing of the store.

A step takes `batch_size` questions with all their tasks. Their examples are mixed, sorted by length and cut into
micro-batches by a budget of tokens; `objective.token_weights` makes the gradient independent of that cut.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.signals import signals_deferred
from tinyllm_cli.students.base import Example, Student
from tinyllm_cli.students.inputs import ANSWER
from tinyllm_cli.students.lora import add_lora
from tinyllm_cli.students.loss.loss import Learner
from tinyllm_cli.training.distributed import Processes
from tinyllm_cli.training.objective import token_weights
from tinyllm_cli.training.optimizers import make_optimizer, make_schedule
from tinyllm_cli.training.settings import Precision, TrainSettings

ALONE = Processes()


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One optimizer step. `losses` maps task to its l (nats per token) under the run's reading."""

    step: int
    steps: int
    losses: Mapping[str, float]
    tokens: int
    seconds: float
    token_budget: int = 0


OnStep = Callable[[StepReport], None]
AtCheckpoint = Callable[[int], bool]
"""Called with the step; True ends the training there."""


class Training:
    """One student's training, which can stop after any step and go on from there with the same result.

    `done` steps are in the weights. `evaluated` is False between a step that is to be evaluated and its evaluation."""

    def __init__(
        self,
        student: Student,
        training_questions: Sequence[Sequence[Example]],
        settings: TrainSettings,
        processes: Processes = ALONE,
    ) -> None:
        self.student, self.settings, self._lessons, self.processes = student, settings, training_questions, processes
        if settings.lora_rank:
            alpha = settings.lora_alpha or 2.0 * settings.lora_rank
            add_lora(student, rank=settings.lora_rank, alpha=alpha, seed=settings.seed)
        if settings.gradient_checkpointing:
            student.model.gradient_checkpointing_enable({"use_reentrant": False})
        self.steps = settings.steps(len(training_questions))
        self.optimizer = make_optimizer(student.model, settings.optimizer, settings.lr, settings.weight_decay)
        self.scheduler = make_schedule(settings.schedule, self.optimizer, settings.warmup_steps, self.steps)
        self.done, self.evaluated, self.over = 0, True, False
        self.token_budget = settings.budget_on(student.device)
        self._learner = Learner(student, checkpointing=settings.gradient_checkpointing)

    def run(self, watch: OnStep, at_checkpoint: AtCheckpoint, after_step: Callable[[], None] = lambda: None) -> None:
        """Train from step `done` on. `at_checkpoint` is called `evals_per_epoch` times an epoch and at the end, with
        the student in eval mode; `after_step` when a step and its evaluation are over.

        Raises UsageProblem at the first loss or gradient that is not finite."""
        checkpoints = checkpoint_steps(len(self._lessons), self.settings)
        self._learner.student.model.train()
        self.over = self.over or (not self.evaluated and self._evaluate(at_checkpoint))
        for number, batch in enumerate(step_batches(self._lessons, self.settings), start=1):
            if number <= self.done or self.over:
                continue
            report = self._step(number, batch, to_evaluate=number in checkpoints)
            watch(report)
            self.over = not self.evaluated and self._evaluate(at_checkpoint)
            after_step()
        self.student.model.eval()

    def _step(self, number: int, batch: Sequence[Example], *, to_evaluate: bool) -> StepReport:
        import torch

        started = time.monotonic()
        losses = self._gradient(number, batch)
        self.processes.sum_gradients(self.student.model)
        norm = float(torch.nn.utils.clip_grad_norm_(self.student.model.parameters(), self.settings.max_grad_norm))
        if not math.isfinite(norm + sum(losses.values())):
            raise UsageProblem(f"The training diverged: no finite loss at step {number}.", "Try a smaller --lr.")
        with signals_deferred():  # weights, optimizer and count change together, Ctrl-C or not
            self.optimizer.step()
            self.scheduler.step()
            self.optimizer.zero_grad(set_to_none=False)  # fresh memory costs more than zeros
            self.done, self.evaluated = number, not to_evaluate
        return StepReport(
            step=number,
            steps=self.steps,
            losses=losses,
            tokens=sum(example.size for example in batch),
            seconds=time.monotonic() - started,
            token_budget=self.token_budget,
        )

    def _gradient(self, number: int, batch: Sequence[Example]) -> dict[str, float]:
        """Where a GPU's memory does not suffice, in smaller micro-batches: the gradient stays the same."""
        import torch

        precision = precision_context(self.settings.precision, self.student.device)
        while True:
            try:
                losses = backward(
                    self._learner, batch, self.settings, number=number, budget=self.token_budget, autocast=precision,
                    processes=self.processes,
                )  # fmt: skip
                break
            except torch.OutOfMemoryError:
                if self.token_budget <= max(example.size for example in batch):
                    raise
                self.token_budget //= 2
                self.optimizer.zero_grad(set_to_none=True)
                torch.cuda.empty_cache()
        return dict(zip(losses, self.processes.sum_numbers(list(losses.values())), strict=True))

    def _evaluate(self, at_checkpoint: AtCheckpoint) -> bool:
        self.student.model.eval()
        over = self.processes.broadcast_from_rank0(self.processes.first and at_checkpoint(self.done))
        self.student.model.train()
        self.evaluated = True
        return over


def step_batches(training_questions: Sequence[Sequence[Example]], settings: TrainSettings) -> Iterator[list[Example]]:
    """The examples of each optimizer step, every epoch in an order of its own that the seed decides."""
    for epoch in range(settings.epochs):
        order = list(range(len(training_questions)))
        random.Random(f"{settings.seed}:{epoch}").shuffle(order)
        for start in range(0, len(order), settings.batch_size):
            yield [
                example for index in order[start : start + settings.batch_size] for example in training_questions[index]
            ]


def checkpoint_steps(training_questions: int, settings: TrainSettings) -> set[int]:
    """The steps after which the student is evaluated: evenly spread, the last one always among them."""
    steps = settings.steps(training_questions)
    count = min(steps, settings.epochs * settings.evals_per_epoch)
    return {round(steps * (number + 1) / count) for number in range(count)} | {steps}


def backward(
    learner: Learner,
    step: Sequence[Example],
    settings: TrainSettings,
    *,
    number: int = 0,
    budget: int | None = None,
    autocast: AbstractContextManager[Any] | None = None,
    processes: Processes = ALONE,
) -> dict[str, float]:
    """Add the gradient of one step's objective, or this process's part of it, to the parameters; of the same examples
    the loss l of each task, unweighted."""
    weighted = list(zip(step, token_weights(step, settings.reading), strict=True))
    pairs = processes.share(weighted, [example.size for example in step])
    sizes = [example.size for example, _ in pairs]
    losses = dict.fromkeys((example.name for example in step), 0.0)
    with learner.step(autocast, settings.seed, number, processes.rank) as loss_of:
        for micro in learner.micro_batches(pairs, sizes, budget or settings.budget_on(learner.student.device)):
            loss, nll = loss_of([example for example, _ in micro], [weight for _, weight in micro])
            loss.backward()  # type: ignore[no-untyped-call]
            for (example, weight), value in zip(micro, nll.tolist(), strict=True):
                losses[example.name] += value * weight / example.weight
    return {name: losses[name] for name in sorted(losses, key=lambda name: (name != ANSWER, name))}


def precision_context(precision: Precision, device: str) -> AbstractContextManager[Any] | None:
    """bfloat16 autocast, or None for float32. "auto" takes bfloat16 where the hardware multiplies it natively;
    float16 is never used, since T5 overflows in it."""
    import torch

    kind = device.partition(":")[0]
    if precision == "auto":
        native = {
            "cuda": torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
            "cpu": _cpu_has_bf16(),
        }
        precision = "bfloat16" if native.get(kind, False) else "float32"
    return torch.autocast(kind, dtype=torch.bfloat16) if precision == "bfloat16" else None


def _cpu_has_bf16() -> bool:
    import torch

    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
