"""The training loop: optimizer steps over lessons, with the objective's token weights. Knows nothing of the store.

A step takes `batch_size` questions with all their tasks. Their examples are mixed, sorted by length and cut into
micro-batches by a budget of tokens; `objective.token_weights` makes the gradient independent of that cut.
"""

from __future__ import annotations

import math
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.objective import Reading, token_weights
from tinyllm_cli.students.base import Example, Limits, Student
from tinyllm_cli.students.learning.learner import Learner
from tinyllm_cli.tasks import ANSWER

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How to train. The defaults are the paper's where it gives one."""

    epochs: int = 1
    batch_size: int = 8
    """Questions in an optimizer step; each brings its answer and its rationales."""

    lr: float = 5e-5
    schedule: str = "linear"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    max_input: int = 1024
    max_target: int = 256
    reading: Reading = "example"
    precision: Precision = "auto"
    token_budget: int = 3000
    """Tokens in a micro-batch: memory against speed, with no effect on the gradient."""

    evals_per_epoch: int = 2
    seed: int = 0

    @property
    def limits(self) -> Limits:
        return Limits(input=self.max_input, target=self.max_target)

    def steps(self, lessons: int) -> int:
        return self.epochs * math.ceil(lessons / self.batch_size)


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One optimizer step. `losses` maps task to its l (nats per token) under the run's reading."""

    step: int
    steps: int
    losses: Mapping[str, float]
    tokens: int
    seconds: float


Watch = Callable[[StepReport], None]
AtCheckpoint = Callable[[int], None]


def train(
    student: Student,
    lessons: Sequence[Sequence[Example]],
    settings: TrainSettings,
    watch: Watch,
    at_checkpoint: AtCheckpoint,
) -> None:
    """Train `student` in place. `at_checkpoint(step)` is called `evals_per_epoch` times an epoch and at the end,
    with the student in eval mode.

    Raises UsageProblem at the first loss or gradient that is not finite."""
    import torch
    from transformers import get_scheduler

    learner = Learner(student)
    steps = settings.steps(len(lessons))
    optimizer = torch.optim.AdamW(
        student.model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True
    )
    scheduler = get_scheduler(settings.schedule, optimizer, settings.warmup_steps, steps)
    checkpoints = checkpoint_steps(len(lessons), settings)
    autocast = precision_context(settings.precision, student.device)
    student.model.train()
    for step, batch in enumerate(step_batches(lessons, settings), start=1):
        started = time.monotonic()
        losses = backward(learner, batch, settings, number=step, autocast=autocast)
        norm = float(torch.nn.utils.clip_grad_norm_(student.model.parameters(), settings.max_grad_norm))
        if not math.isfinite(norm + sum(losses.values())):
            raise UsageProblem(f"The training diverged: no finite loss at step {step}.", "Try a smaller --lr.")
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad(set_to_none=False)  # fresh memory costs more than zeros
        tokens = sum(example.size for example in batch)
        seconds = time.monotonic() - started
        watch(StepReport(step=step, steps=steps, losses=losses, tokens=tokens, seconds=seconds))
        if step in checkpoints:
            student.model.eval()
            at_checkpoint(step)
            student.model.train()
    student.model.eval()


def step_batches(lessons: Sequence[Sequence[Example]], settings: TrainSettings) -> Iterator[list[Example]]:
    """The examples of each optimizer step, every epoch in an order of its own that the seed decides."""
    for epoch in range(settings.epochs):
        order = list(range(len(lessons)))
        random.Random(f"{settings.seed}:{epoch}").shuffle(order)
        for start in range(0, len(order), settings.batch_size):
            yield [example for index in order[start : start + settings.batch_size] for example in lessons[index]]


def checkpoint_steps(lessons: int, settings: TrainSettings) -> set[int]:
    """The steps after which the student is evaluated: evenly spread, the last one always among them."""
    steps = settings.steps(lessons)
    count = min(steps, settings.epochs * settings.evals_per_epoch)
    return {round(steps * (number + 1) / count) for number in range(count)} | {steps}


def backward(
    learner: Learner,
    step: Sequence[Example],
    settings: TrainSettings,
    *,
    number: int = 0,
    autocast: AbstractContextManager[Any] | None = None,
) -> dict[str, float]:
    """Add the gradient of one step's objective to the parameters; the loss l of each task, unweighted."""
    pairs = list(zip(step, token_weights(step, settings.reading), strict=True))
    losses: dict[str, float] = defaultdict(float)
    with learner.step(autocast, settings.seed, number) as loss_of:
        for micro in learner.micro_batches(pairs, [example.size for example in step], settings.token_budget):
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
