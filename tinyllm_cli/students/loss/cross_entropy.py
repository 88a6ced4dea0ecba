"""The language-model head over real target tokens alone, in chunks: never the logits of padding, never all at once.

The loss and its gradient come from one pass over each chunk, since the objective fixes every token's weight before
anything is computed (`training.objective`). The whole fp32 logits of a batch would be its largest tensor by far.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class _Chunks:
    """`tokens` whose logits exist at a time; `rows` of them whose fp32 logits do; `words` of the vocabulary whose
    gradient is added up at a time."""

    tokens: int
    rows: int
    words: int


_ON_CPU = _Chunks(tokens=1024, rows=32, words=4096)  # 4 MB at a vocabulary of 32,000, which the cache holds
_ON_GPU = _Chunks(tokens=4096, rows=4096, words=2**20)  # 0.8 GB at a vocabulary of 32,000, in few kernels


@dataclass(frozen=True)
class Head:
    """A model's plain linear head. `linear` is the module itself."""

    linear: Any

    @contextmanager
    def bypassed(self) -> Iterator[None]:
        """Within, the model's "logits" are the states that the head would have read."""
        self.linear.forward = _same
        try:
            yield
        finally:
            del self.linear.forward

    def compute_weight(self, dtype: torch.dtype | None) -> torch.Tensor:
        """The head's matrix in the type that products are computed in: cast once for a step, not once a batch."""
        weight: torch.Tensor = self.linear.weight.detach()
        return weight if dtype is None else weight.to(dtype)


def plain_head(model: Any) -> Head | None:
    """The head of `model`, or None when it isn't a matrix alone, with nothing between it and the logits (a bias, a
    scale, a soft cap): then only the model itself computes its logits. Found by comparing both on three tokens."""
    import torch

    linear: Any = model.get_output_embeddings()
    plain = type(linear) is torch.nn.Linear and getattr(linear, "bias", None) is None
    if not plain:
        return None
    head = Head(linear)
    device = linear.weight.device
    ids = torch.tensor([[3, 5, 7]], device=device) % linear.weight.shape[0]
    inputs: dict[str, Any] = {"input_ids": ids, "use_cache": False}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = ids
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            logits = model(**inputs).logits
            with head.bypassed():
                states = model(**inputs).logits
            same = states.shape[-1] == linear.weight.shape[1] and torch.allclose(
                linear(states).float(), logits.float(), rtol=1e-3, atol=1e-4
            )
    except RuntimeError:  # something after the head expects the width of logits
        return None
    finally:
        model.train(training)
    return head if same else None


def _same(states: torch.Tensor) -> torch.Tensor:
    return states


def linear_nll(
    states: torch.Tensor, head: Head, compute_weight: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """(sum of weight times negative log-likelihood, each token's negative log-likelihood).

    `states` (n, d), `labels` (n,) and `weights` (n,), fp32, of n target tokens. The sum has a gradient for the states.
    The head's own gradient is added to its `.grad` at once: it is as large as the vocabulary, and a copy of it for
    each batch would cost more than the batch. The softmax is in fp32 whatever the type of `compute_weight`."""
    loss, nll = _autograd()(states, head.linear.weight, compute_weight, labels, weights)
    return loss, nll


@cache
def _autograd() -> Any:
    """The autograd function, made when torch is first needed."""
    import torch

    class LinearNLL(torch.autograd.Function):
        @staticmethod
        def forward(
            ctx: Any,
            states: torch.Tensor,
            weight: torch.Tensor,
            compute_weight: torch.Tensor,
            labels: torch.Tensor,
            weights: torch.Tensor,
        ) -> tuple[torch.Tensor, torch.Tensor]:
            with torch.autocast(states.device.type, enabled=False):
                nll, of_states = _nll_and_gradients(
                    states.to(compute_weight.dtype),
                    compute_weight,
                    labels,
                    weights,
                    gradient_of(weight) if weight.requires_grad else None,
                )
            ctx.save_for_backward(of_states.to(states.dtype))
            ctx.mark_non_differentiable(nll)
            return (nll * weights).sum(), nll

        @staticmethod
        def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            (of_states,) = ctx.saved_tensors
            return of_states * gradients[0], None, None, None, None

    return LinearNLL.apply


def gradient_of(weight: torch.Tensor) -> torch.Tensor:
    """The gradient of `weight`, to add to."""
    import torch

    if weight.grad is None:
        weight.grad = torch.zeros_like(weight)
    return weight.grad


def _nll_and_gradients(
    states: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, total: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """(each token's negative log-likelihood, the states' gradient); the weight's is added to `total`."""
    import torch

    chunks = _ON_CPU if states.device.type == "cpu" else _ON_GPU
    nll = torch.empty(len(states), dtype=torch.float32, device=states.device)
    of_states = torch.empty_like(states)
    for start in range(0, len(states), chunks.tokens):
        part = slice(start, start + chunks.tokens)
        logits = states[part] @ weight.t()
        nll[part] = _to_gradients(logits, labels[part], weights[part], chunks.rows)
        of_states[part] = logits @ weight
        if total is not None:
            for first in range(0, len(total), chunks.words):
                words = slice(first, first + chunks.words)
                total[words] += (logits[:, words].t() @ states[part]).float()
    return nll, of_states


def _to_gradients(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, rows: int) -> torch.Tensor:
    """Each token's negative log-likelihood; `logits` become weight * (softmax - one-hot), in place."""
    import torch

    nll = torch.empty(len(logits), dtype=torch.float32, device=logits.device)
    for start in range(0, len(logits), rows):
        part = slice(start, start + rows)
        gold, scale = labels[part, None], weights[part, None]
        exact = logits[part].log_softmax(-1, dtype=torch.float32)
        nll[part] = -exact.gather(1, gold)[:, 0]
        exact.exp_().mul_(scale).scatter_add_(1, gold, -scale)
        logits[part] = exact
    return nll
