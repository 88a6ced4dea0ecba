"""The gradient of one optimizer step: the objective's token weights, and a backward pass for each micro-batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from tinyllm_cli.students.base import Example
from tinyllm_cli.students.inputs import ANSWER
from tinyllm_cli.students.loss.loss import Learner, StepExample
from tinyllm_cli.training.distributed import ALONE, Processes
from tinyllm_cli.training.objective import Objective, mean_weights

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class MicroBatches:
    """How a step is computed, which its gradient does not depend on: in groups of `budget` tokens, by `processes`.
    `key` is (seed, step), which decides dropout."""

    key: tuple[int, int] = (0, 0)
    budget: int = 3000
    autocast: AbstractContextManager[Any] | None = None
    processes: Processes = ALONE


ONE_PASS = MicroBatches()


class StepLosses(Mapping[str, float]):
    """The mean l of each task in a step, the answer first. The numbers stay on the device until the first is asked for:
    reading them waits for all that was launched there before."""

    def __init__(self, tasks: Sequence[str]) -> None:
        self._losses = dict.fromkeys(sorted(set(tasks), key=lambda name: (name != ANSWER, name)), 0.0)
        self._unread: list[tuple[list[tuple[str, int, float]], torch.Tensor]] = []

    def add(self, spans: Sequence[tuple[str, int, float]], nll: torch.Tensor) -> None:
        """The negative log-likelihoods of the tokens of these spans: (task, tokens, weight of a token in the mean)."""
        self._unread.append((list(spans), nll))

    @property
    def read(self) -> bool:
        """Whether the losses are known here."""
        return not self._unread

    @property
    def finite(self) -> torch.Tensor:
        """Whether all tokens' losses are, as a tensor on their device. Not to be asked once they are read."""
        import torch

        return torch.stack([nll.sum() for _, nll in self._unread]).isfinite().all()

    def __getitem__(self, name: str) -> float:
        import torch

        for spans, nll in self._unread:
            parts = torch.split(nll.cpu(), [length for _, length, _ in spans])
            for (task, _, mean), part in zip(spans, parts, strict=True):
                self._losses[task] += float(part.sum()) * mean
        self._unread = []
        return self._losses[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._losses)

    def __len__(self) -> int:
        return len(self._losses)


def backward(
    learner: Learner, step: Sequence[Example], objective: Objective, micro: MicroBatches = ONE_PASS
) -> StepLosses:
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
    losses = StepLosses([span.name for span in spans])
    batches = list(learner.micro_batches(own, micro.budget))
    idle = micro.processes.most(len(batches)) - len(batches)
    with learner.step(micro.autocast, *micro.key, rank=micro.processes.rank) as loss_of:
        for batch in batches:
            loss, nll = loss_of(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            pairs = [pair for one in batch for pair in zip(one.example.spans, means[one.place], strict=True)]
            losses.add([(span.name, span.length, mean) for span, mean in pairs], nll)
        for _ in range(idle):
            loss, _ = loss_of([_weightless(step)])
            loss.backward()  # type: ignore[no-untyped-call]
    return losses


def _weightless(step: Sequence[Example]) -> StepExample:
    """An example without a gradient. A process of a sharded student that has fewer micro-batches than another computes
    it, since all must run the same number of passes. Its place is no example's, so it takes no dropout from one."""
    shortest = min(step, key=lambda example: example.size)
    return StepExample(example=shortest, weights=(0.0,) * len(shortest.spans), place=len(step))


def _by_example(step: Sequence[Example], values: Sequence[float]) -> list[tuple[float, ...]]:
    """One value for each span of the step, as a tuple for each example."""
    each = iter(values)
    return [tuple(islice(each, len(example.spans))) for example in step]
