"""A student while it learns: the weighted loss of its examples, by the fastest way that is exact for its model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from tinyllm_cli.students.base import IGNORED, Example, Sized, Student, by_budget, by_tokens
from tinyllm_cli.students.loss.cpu.dropout import DropoutRng
from tinyllm_cli.students.loss.cpu.packing import packed
from tinyllm_cli.students.loss.cpu.tuning import tuned
from tinyllm_cli.students.loss.cross_entropy import linear_nll, plain_head

if TYPE_CHECKING:
    import torch

Loss = Callable[[Sequence[Example], Sequence[float]], "tuple[torch.Tensor, torch.Tensor]"]
"""(examples, weight of each one's target tokens) -> (the weighted loss, each example's negative log-likelihood)."""


class Learner:
    """`packs`: the model computes the same from packed rows. `head`: its head is a plain matrix, whose loss can be
    computed in chunks. Where one doesn't hold, the model's own padded batches or logits are used."""

    def __init__(self, student: Student, *, checkpointing: bool = False) -> None:
        self.student = student
        self.head = plain_head(student.model)
        # Recomputing must draw the same dropout, which only torch's own generator is put back for.
        self._draws = None if checkpointing else DropoutRng()
        self.packs = student.device == "cpu" and not checkpointing and _packs_exactly(student)

    def micro_batches(self, items: Sequence[Sized], sizes: Sequence[int], budget: int) -> Iterator[list[Sized]]:
        """Groups whose tokens, with padding where there is any, stay within `budget`."""
        return (by_tokens if self.packs else by_budget)(items, sizes, budget)

    @contextmanager
    def step(self, autocast: AbstractContextManager[Any] | None, *seed: int) -> Iterator[Loss]:
        """The loss within one optimizer step, the model being in the state to compute it. All that is random in
        the step follows from `seed`."""
        import torch

        model, kind = self.student.model, self.student.device.partition(":")[0]
        torch.manual_seed(int.from_bytes(DropoutRng.digest(*seed), "little", signed=True))
        with ExitStack() as stack:
            if self._draws is not None:
                self._draws.begin(*seed)
            stack.enter_context(tuned(model, self._draws, kind))
            if self.packs:
                stack.enter_context(packed(model))
            if autocast is not None:  # one context for the step: weights are cast once, not once a micro-batch
                stack.enter_context(autocast)
            yield self._in_chunks() if self.head is not None else self._by_logits

    def _in_chunks(self) -> Loss:
        import torch

        head = self.head
        assert head is not None
        kind = self.student.device.partition(":")[0]
        weight = head.compute_weight(torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None)

        def loss_of(batch: Sequence[Example], weights: Sequence[float]) -> tuple[torch.Tensor, torch.Tensor]:
            with head.aside():
                states = self._outputs(batch)
            loss, nll = linear_nll(states, head, weight, self._labels(batch), self._spread(batch, weights))
            return loss, _by_example(batch, nll)

        return loss_of

    def _by_logits(self, batch: Sequence[Example], weights: Sequence[float]) -> tuple[torch.Tensor, torch.Tensor]:
        from torch.nn.functional import cross_entropy

        nll = cross_entropy(self._outputs(batch).float(), self._labels(batch), reduction="none")
        return (nll * self._spread(batch, weights)).sum(), _by_example(batch, nll.detach())

    def _outputs(self, batch: Sequence[Example]) -> torch.Tensor:
        """What the model gives for every target token, example after example: (tokens, vocabulary), or (tokens, width)
        with the head aside."""
        if self.packs:
            assert self._draws is not None
            return self.student.packed_outputs(batch, self._draws)
        logits, labels = self.student.target_logits(batch)
        return logits[labels != IGNORED]

    def _labels(self, batch: Sequence[Example]) -> torch.Tensor:
        import torch

        return torch.tensor([token for example in batch for token in example.target], device=self.student.device)

    def _spread(self, batch: Sequence[Example], weights: Sequence[float]) -> torch.Tensor:
        import torch

        spread = [weight for example, weight in zip(batch, weights, strict=True) for _ in example.target]
        return torch.tensor(spread, device=self.student.device)


def _by_example(batch: Sequence[Example], nll: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.stack([part.sum() for part in torch.split(nll, [example.length for example in batch])])


def _packs_exactly(student: Student) -> bool:
    """Found out by trying, on three small examples: a model may place its tokens by other means than relative
    positions or given ones, or attend in a way of its own."""
    import torch

    lengths = ((5, 3), (2, 6), (4, 1))
    ids = iter(range(2, 40))
    batch = [
        Example(
            name="", weight=1, share=1,
            input=tuple(next(ids) for _ in range(into)), target=tuple(next(ids) for _ in range(out)),
        )
        for into, out in lengths
    ]  # fmt: skip
    training = student.model.training
    student.model.eval()
    try:
        with torch.inference_mode():
            logits, labels = student.target_logits(batch)
            with packed(student.model):
                rows = student.packed_outputs(batch, DropoutRng())
        expected = logits[labels != IGNORED].float()
        return rows.shape == expected.shape and torch.allclose(rows.float(), expected, rtol=1e-3, atol=1e-3)
    except Exception:  # whatever goes wrong in a model that was not made for it: it is trained with padding then
        logging.getLogger(__name__).debug("%s does not take packed rows", type(student.model), exc_info=True)
        return False
    finally:
        student.model.train(training)
