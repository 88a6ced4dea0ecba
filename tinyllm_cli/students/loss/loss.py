"""The weighted loss of a student's examples and its gradient, by the fastest way that is exact for its model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tinyllm_cli.students.base import Example, Packing, Student, by_budget, by_tokens, sent
from tinyllm_cli.students.loss.cpu.dropout import DropoutRng, cheap_dropout, seed_from
from tinyllm_cli.students.loss.cpu.packing import Blocks
from tinyllm_cli.students.loss.cross_entropy import linear_nll, plain_head
from tinyllm_cli.students.loss.exactness import compiles_exactly, not_compiled, packs_exactly
from tinyllm_cli.students.loss.gpu.compiled import CompiledRows, compiled_rows
from tinyllm_cli.students.loss.gpu.packing import FlexRows, compiled_flex_attention
from tinyllm_cli.students.loss.tuning import tuned
from tinyllm_cli.students.sharding import is_sharded

if TYPE_CHECKING:
    import torch


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

    Where rows are packed on a CPU, dropout masks belong to the example (seed, step, place in the step), so the loss and
    its gradient do not depend on the micro-batches. Elsewhere (a GPU, gradient checkpointing, a model that does not
    pack) they are drawn for each micro-batch, and with dropout this holds in expectation.

    `packing`: how rows are packed, in place of what suits the device. `compiler`: a backend of torch.compile for the
    layers that read packed rows on a GPU; `compiled`: whether it is used."""

    def __init__(
        self, student: Student, *, checkpointing: bool = False, packing: Packing | None = None,
        compiler: str | None = None,
    ) -> None:  # fmt: skip
        self.student = student
        self.head = plain_head(student.model)
        # Recomputing must draw the same dropout, and only torch's own generator is reset for that.
        self._dropout = DropoutRng() if student.device == "cpu" and not checkpointing and packing is None else None
        padded = checkpointing or is_sharded(student.model)  # on a GPU
        if self._dropout is not None:
            packing = Blocks(student.device, self._dropout)
        elif packing is None and student.device.startswith("cuda") and not padded:
            packing = FlexRows(student.device, compiled_flex_attention())
        self._packing = packing
        self.packs = packing is not None and packs_exactly(student, packing, self._dropout)
        self._compiled = None if compiler is None else self._compiled_rows(compiler)
        self._packing = self._compiled or packing

    @property
    def compiled(self) -> bool:
        return self._compiled is not None

    def _compiled_rows(self, compiler: str) -> CompiledRows | None:
        rows = self._packing
        if not self.packs or not isinstance(rows, FlexRows):
            not_compiled("only packed rows on a GPU are read by compiled ones")
            return None
        found = compiled_rows(self.student.model, rows, compiler)
        if found is None:
            not_compiled("transformers does not name the layers of this model")
            return None
        return found if compiles_exactly(self.student, rows, found) else None

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
            stack.enter_context(tuned(model, kind, self._compiled.inside if self._compiled is not None else ()))
            if self.packs:
                assert self._packing is not None
                stack.enter_context(self._packing.active(model))
            if autocast is not None:  # one context for the step: weights are cast once, not once a micro-batch
                stack.enter_context(autocast)
            yield self._in_chunks() if self.head is not None else self._by_logits

    def _in_chunks(self) -> Loss:
        import torch

        head = self.head
        assert head is not None
        kind = self.student.device.partition(":")[0]
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        # A sharded head is whole between the forward and the backward pass alone.
        cast = None if is_sharded(self.student.model) else head.compute_weight(dtype)

        def loss_of(batch: Sequence[StepExample]) -> tuple[torch.Tensor, torch.Tensor]:
            with head.bypassed():
                states = self._outputs(batch)
            weight = head.compute_weight(dtype) if cast is None else cast
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
            assert self._packing is not None
            if self._dropout is not None:
                self._dropout.read([one.place for one in batch])
            return self.student.packed_outputs(examples, self._packing)
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
