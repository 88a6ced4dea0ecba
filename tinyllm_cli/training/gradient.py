"""The gradient of one optimizer step: the objective's token weights, and a backward pass for each micro-batch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tinyllm_cli.students.base import Example
from tinyllm_cli.students.inputs import ANSWER
from tinyllm_cli.students.loss.loss import Learner, StepExample
from tinyllm_cli.training.distributed import ALONE, Processes
from tinyllm_cli.training.objective import Objective, mean_weights


@dataclass(frozen=True, kw_only=True)
class MicroBatches:
    """How a step is computed, which its gradient does not depend on: in groups of `budget` tokens, by `processes`.
    `key` is (seed, step), which decides dropout."""

    key: tuple[int, int] = (0, 0)
    budget: int = 3000
    autocast: AbstractContextManager[Any] | None = None
    processes: Processes = ALONE


ONE_PASS = MicroBatches()


def backward(
    learner: Learner, step: Sequence[Example], objective: Objective, micro: MicroBatches = ONE_PASS
) -> dict[str, float]:
    """Add the gradient of one step's objective, or this process's part of it, to the parameters; of the same examples
    the mean l of each task."""
    spans = [span for example in step for span in example.spans]
    means = _by_example(step, mean_weights(spans, objective.reading))
    weights = _by_example(step, objective.token_weights(spans))
    whole = [
        StepExample(example=example, weights=own, place=place)
        for place, (example, own) in enumerate(zip(step, weights, strict=True))
    ]
    own = micro.processes.share(whole, [example.size for example in step])
    losses = dict.fromkeys((span.name for span in spans), 0.0)
    with learner.step(micro.autocast, *micro.key, rank=micro.processes.rank) as loss_of:
        for batch in learner.micro_batches(own, micro.budget):
            loss, nll = loss_of(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            weighted = [pair for one in batch for pair in zip(one.example.spans, means[one.place], strict=True)]
            for (span, mean), value in zip(weighted, nll.tolist(), strict=True):
                losses[span.name] += value * mean
    return {name: losses[name] for name in sorted(losses, key=lambda name: (name != ANSWER, name))}


def _by_example(step: Sequence[Example], values: Sequence[float]) -> list[tuple[float, ...]]:
    """One value for each span of the step, as a tuple for each example."""
    each = iter(values)
    return [tuple(islice(each, len(example.spans))) for example in step]
