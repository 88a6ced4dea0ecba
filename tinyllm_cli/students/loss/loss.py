"""The weighted loss of a student's examples and its gradient, by the fastest way that is exact for its model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinyllm_cli.students.base import IGNORED, Example, Student, by_budget, by_tokens, sent
from tinyllm_cli.students.loss.cpu.dropout import DropoutRng, cheap_dropout, seed_from
from tinyllm_cli.students.loss.cpu.packing import packed
from tinyllm_cli.students.loss.cross_entropy import linear_nll, plain_head
from tinyllm_cli.students.loss.tuning import tuned

if TYPE_CHECKING:
    import torch

_LONGEST_CHECK = 512
"""Tokens of the longest sequence that packing is checked with. A model with a longer attention window is padded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepExample:
    """An example in an optimizer step: `place` is its index there, `weights` what each token of each of its spans
    weighs."""

    example: Example
    weights: tuple[float, ...]
    place: int


Loss = Callable[[Sequence[StepExample]], "tuple[torch.Tensor, torch.Tensor]"]
"""Examples -> (the weighted loss, the negative log-likelihood in nats of each target token, example after example)."""


class Learner:
    """Computes losses of `student`.

    `packs`: the model computes the same from packed rows. `head`: its head is a plain matrix, whose loss can be
    computed in chunks. Otherwise the model's own padded batches or logits are used.

    Where rows are packed, dropout masks belong to the example (seed, step, place in the step), so the loss and its
    gradient do not depend on the micro-batches. Elsewhere (a GPU, gradient checkpointing, a model that does not pack)
    they are drawn for each micro-batch, and with dropout this holds in expectation."""

    def __init__(self, student: Student, *, checkpointing: bool = False) -> None:
        self.student = student
        self.head = plain_head(student.model)
        # Recomputing must draw the same dropout, and only torch's own generator is reset for that.
        self._dropout = DropoutRng() if student.device == "cpu" and not checkpointing else None
        self.packs = self._dropout is not None and _packs_exactly(student)

    def micro_batches(self, examples: Sequence[StepExample], budget: int) -> Iterator[list[StepExample]]:
        """Groups whose tokens, with padding where there is any, stay within `budget`."""
        sizes = [one.example.size for one in examples]
        return (by_tokens if self.packs else by_budget)(examples, sizes, budget)

    @contextmanager
    def step(self, autocast: AbstractContextManager[Any] | None, *key: int, rank: int = 0) -> Iterator[Loss]:
        """The loss within one optimizer step, the model being in the state to compute it. All that is random in the
        step follows from `key`, and from the process's `rank` where dropout is drawn for each micro-batch."""
        import torch

        model, kind = self.student.model, self.student.device.partition(":")[0]
        torch.manual_seed(seed_from(*key, rank))
        with ExitStack() as stack:
            if self._dropout is not None:
                self._dropout.begin(*key, *(() if self.packs else (rank,)))
                stack.enter_context(cheap_dropout(self._dropout))
            stack.enter_context(tuned(model, kind))
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

        def loss_of(batch: Sequence[StepExample]) -> tuple[torch.Tensor, torch.Tensor]:
            with head.bypassed():
                states = self._outputs(batch)
            loss, nll = linear_nll(states, head, weight, self._labels(batch), self._token_weights(batch))
            return loss, nll

        return loss_of

    def _by_logits(self, batch: Sequence[StepExample]) -> tuple[torch.Tensor, torch.Tensor]:
        from torch.nn.functional import cross_entropy

        nll = cross_entropy(self._outputs(batch).float(), self._labels(batch), reduction="none")
        return (nll * self._token_weights(batch)).sum(), nll.detach()

    def _outputs(self, batch: Sequence[StepExample]) -> torch.Tensor:
        """The model's outputs for every target token, example after example: (tokens, vocabulary), or (tokens, width)
        where the head is bypassed."""
        examples = [one.example for one in batch]
        if self.packs:
            assert self._dropout is not None
            self._dropout.read([one.place for one in batch])
            return self.student.packed_outputs(examples, self._dropout)
        logits, _ = self.student.target_logits(examples)
        return logits.flatten(0, 1).index_select(0, self._target_places(examples, logits.shape[1]))

    def _target_places(self, examples: Sequence[Example], width: int) -> torch.Tensor:
        """Where the target tokens are in rows of `width`. The labels say it too, but only to one who waits for them."""
        ends_flush = self.student.kind == "causal"
        firsts = [row * width + (width - one.length) * ends_flush for row, one in enumerate(examples)]
        places = [first + at for first, one in zip(firsts, examples, strict=True) for at in range(one.length)]
        return sent(places, self.student.device)

    def _labels(self, batch: Sequence[StepExample]) -> torch.Tensor:
        return sent([token for one in batch for token in one.example.target], self.student.device)

    def _token_weights(self, batch: Sequence[StepExample]) -> torch.Tensor:
        weights = [
            weight
            for one in batch
            for span, weight in zip(one.example.spans, one.weights, strict=True)
            for _ in range(span.length)
        ]
        return sent(weights, self.student.device)


def _packs_exactly(student: Student) -> bool:
    """Whether packed rows give the logits of padded ones, found by comparing them: a model may place its tokens by
    other means than relative positions or given ones, or attend in a way of its own. One sequence is longer than the
    longest attention window that the model's configuration names."""
    import torch

    longest = 8 + max(_windows(student.model.config), default=0)
    if longest > _LONGEST_CHECK:
        return False
    words = student.model.get_input_embeddings().weight.shape[0]
    batch = [
        Example.single(
            "",
            tuple((7 * at + into) % words for at in range(into)),
            tuple((5 * at + out) % words for at in range(out)),
        )
        for into, out in ((5, 3), (2, 6), (longest, 4), (4, 1))
    ]  # fmt: skip
    training = student.model.training
    try:
        with torch.inference_mode():
            student.model.eval()
            logits, labels = student.target_logits(batch)
            expected = logits[labels != IGNORED].float()
            dropout = DropoutRng()
            dropout.begin(0)
            with packed(student.model), cheap_dropout(dropout):
                rows = student.packed_outputs(batch, dropout)
                student.model.train()  # dropout must see the rows that it has masks for
                dropout.read(range(len(batch)))
                student.packed_outputs(batch, dropout)
        return rows.shape == expected.shape and torch.allclose(rows.float(), expected, rtol=1e-3, atol=1e-3)
    except Exception:  # a model that was not made for packed rows can fail in any way; it is trained with padding
        logging.getLogger(__name__).debug("%s does not take packed rows", type(student.model), exc_info=True)
        return False
    finally:
        student.model.train(training)


def _windows(config: Any) -> list[int]:
    """The attention windows that a model's configuration names, in tokens."""
    values = vars(config.get_text_config())
    named = [value for name, value in values.items() if any(word in name for word in ("window", "chunk_size"))]
    flat = [part for value in named for part in (value if isinstance(value, (list, tuple)) else [value])]
    return [part for part in flat if isinstance(part, int) and not isinstance(part, bool)]
