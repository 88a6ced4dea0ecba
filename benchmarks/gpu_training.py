"""Training on a GPU, a part of gpu.py: one side's steps in this process, for a time.

All sides train on the same steps. Steps of 64 questions are measured for tinyllm alone, whose share of the GPU's peak
they show. `share`: the operations of products with weights that real tokens need, over the peak.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import shapes
from training import PEAK_BF16

from tinyllm_cli.records.settings import TrainSettings
from tinyllm_cli.store import open_store
from tinyllm_cli.students.base import Example, Limits, Student
from tinyllm_cli.training.alpha import WeightedTeacher
from tinyllm_cli.training.data import TrainingPlan, load_training_data
from tinyllm_cli.training.steps import Training, step_batches

TEACHERS = (
    WeightedTeacher(teacher="stepwise", prefix="explain: ", alpha=1.0),
    WeightedTeacher(teacher="second-half", prefix="rationale: ", alpha=0.5),
)
WEIGHTS = {"answer": 1.0, "stepwise": 1.0, "second-half": 0.5}

MOST_STEPS = 1500  # of a reference
MAX_INPUT = 256
LEAST_STEPS = 3  # of a warm-up, however long they take


@dataclass
class Clock:
    """Counts steps: those of the warm-up, until the one point in time, then those that are measured, until the other.
    `stop` after each step: whether it is time."""

    warm_until: float
    until: float
    least: int = LEAST_STEPS
    steps: int = 0
    first: int = 0
    started: float = 0.0
    last: float = 0.0
    graphs: int = 0
    """Compiled before the measurement."""

    def stop(self) -> bool:
        self.steps += 1
        now = self.last = time.time()
        if not self.first:
            if self.steps > self.least and now >= self.warm_until:
                self.first, self.started, self.graphs = self.steps, now, compiled_graphs()
            return False
        return now >= self.until

    def seconds_per_step(self) -> float:
        return (self.last - self.started) / (self.steps - self.first)


def compiled_graphs() -> int:
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What is trained: a shape, in steps of so many questions, by one of the sides of shapes.py."""

    shape: str
    batch_size: int
    side: str


def measure(row: Trained, clock: Clock, database: Path, device: str, tiny: bool) -> dict[str, Any]:
    import torch

    learner = shapes.student(row.shape, device, tiny)
    settings = TrainSettings(
        max_input=MAX_INPUT, reading="token", batch_size=row.batch_size, epochs=1000,
        compile_layers=row.side == shapes.COMPILED,
    )  # fmt: skip
    taught = examples(database, learner, settings)
    several = [*islice(step_batches(taught, settings), len(taught) // row.batch_size)]
    used = run(row.side, learner, (taught, several), settings, clock)
    late = compiled_graphs() - clock.graphs
    used += f"; compiled {late} graphs while it was measured" if late else ""
    seconds = clock.seconds_per_step()
    tokens = sum(one.size for step in several for one in step) / len(several)
    needed = sum(operations(learner, step) for step in several) / len(several)
    on_gpu = device == "cuda"
    return {
        "questions/s": row.batch_size / seconds,
        "tokens/s": tokens / seconds,
        "ms/step": 1000 * seconds,
        "share": needed / seconds / PEAK_BF16 if on_gpu else None,
        "MB": torch.cuda.max_memory_allocated() / 2**20 if on_gpu else None,
        "steps": clock.steps - clock.first,
        "used": used,
    }


def run(side: str, learner: Student, data: Any, settings: TrainSettings, clock: Clock) -> str:
    """Train until the clock says stop; what was used."""
    import best_setup
    import reference_trainer

    taught, several = data
    if side in (shapes.OURS, shapes.COMPILED):
        training = Training(learner, taught, settings, WEIGHTS)
        for _ in training.steps():
            if clock.stop():
                break
        training.settle()
        clock.last = time.time()  # the last step has ended on the device, too
        kind = "packed rows" if training.learner.packs else "padded rows"
        return f"{kind}, compiled layers" if training.learner.compiled else kind
    repeated: list[Any] = list(islice(forever(several), MOST_STEPS))
    if side == shapes.BEST:
        return best_setup.train(learner, repeated, settings.lr, clock.stop)
    tasks = len(WEIGHTS)
    flat = [one for step in repeated for one in step]
    rows = [{one.spans[0].name: one for one in flat[at : at + tasks]} for at in range(0, len(flat), tasks)]
    reference_trainer.train(
        learner.model, rows, WEIGHTS, max_input=MAX_INPUT, batch_size=settings.batch_size, lr=settings.lr, bf16=True,
        watch=lambda _: clock.stop(),
    )  # fmt: skip
    return "fixed padding"


def examples(database: Path, learner: Student, settings: TrainSettings) -> list[list[Example]]:
    plan = TrainingPlan(method="tinyllm", dataset=shapes.DATASET, student="", teachers=TEACHERS, settings=settings)
    with open_store(database) as store:
        questions = load_training_data(store, plan).training_questions
    whole = [one for one in questions if {task.segments[0].name for task in one.tasks} == WEIGHTS.keys()]
    flat = iter(learner.encode([task for one in whole for task in one.tasks], Limits.of(settings)))
    return [[next(flat) for _ in one.tasks] for one in whole]


def operations(learner: Student, batch: Sequence[Example]) -> float:
    """Floating-point operations of the products with weights that these examples need, without any padding."""
    model = learner.model
    head = model.get_output_embeddings().weight.numel()
    tables = {id(module.weight): module.weight.numel() for module in (model.get_input_embeddings(),)}
    body = sum(value.numel() for value in model.parameters() if id(value) not in tables)
    body -= 0 if model.config.tie_word_embeddings else head
    read, written = sum(len(one.input) for one in batch), sum(one.length for one in batch)
    if learner.kind == "causal":
        return 6.0 * (body * (read + written) + head * written)
    encoder = sum(value.numel() for value in model.encoder.block.parameters())
    return 6.0 * (encoder * read + (body - encoder) * written + head * written)


def forever(items: Sequence[Any]) -> Iterator[Any]:
    while True:
        yield from items
