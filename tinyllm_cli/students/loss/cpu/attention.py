"""Attention of blocks of sequences, with its gradient, in pieces that fit a processor's cache.

Autograd would keep half a dozen tensors as large as the scores; this keeps the probabilities, in the type of the
states, and which of them dropout took.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from tinyllm_cli.students.loss.cpu.dropout import BlockDropout

if TYPE_CHECKING:
    import torch

_PIECE = 2**20  # scores that are computed at a time


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What becomes of query key^T before the softmax: times `scale`, plus `bias` (1, heads, m, n), which has a
    gradient, plus `mask` (b, 1, 1, n) or (m, n), which has none."""

    scale: float
    bias: torch.Tensor | None = None
    mask: torch.Tensor | None = None


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scores: Scores, dropout: BlockDropout | None = None
) -> torch.Tensor:
    """softmax(scale * query key^T + bias + mask), dropped out, times value.

    `query` (b, heads, m, width), `key` and `value` (b, heads, n, width). Returns (b, heads, m, width) in `value`'s
    type."""
    dtype = value.dtype
    output: torch.Tensor = _autograd()(query.to(dtype), key.to(dtype), value, scores.bias, scores, dropout)
    return output


@cache
def _autograd() -> Any:
    """The autograd function, made when torch is first needed."""
    import torch

    class Attend(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, query: Any, key: Any, value: Any, *rest: Any) -> Any:
            bias, scores, dropout = rest
            query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
            ctx.scale, ctx.up = scores.scale, dropout.scale if dropout else 1.0
            ctx.bias_shape = bias.shape if ctx.needs_input_grad[3] else None
            addition = _addition(bias, scores.mask, value.dtype)
            with torch.autocast(value.device.type, enabled=False):
                output, probabilities, gone = _forward((query, key, value), addition, ctx.scale, dropout)
            ctx.save_for_backward(query, key, value, *probabilities, *gone)
            return output

        @staticmethod
        def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            query, key, value, *saved = ctx.saved_tensors
            pieces = len(list(_pieces(query, key)))
            bias = None if ctx.bias_shape is None else torch.zeros(ctx.bias_shape, device=query.device)
            with torch.autocast(value.device.type, enabled=False):
                outer = (gradients[0] * ctx.up).contiguous()
                own = _backward((query, key, value), saved[:pieces], saved[pieces:], outer, ctx.scale, bias)
            return (*own, bias, None, None)

    return Attend.apply


def _forward(
    inputs: tuple[Any, Any, Any], addition: list[Any], scale: float, dropout: BlockDropout | None
) -> tuple[Any, list[Any], list[Any]]:
    """(output, probabilities and what dropout took of them piece by piece)."""
    import torch

    query, key, value = inputs
    output = torch.empty_like(query)
    saved, taken = [], []
    for piece in _pieces(query, key):
        scores = query[piece] @ key[piece].transpose(2, 3)
        if scale != 1.0:
            scores *= scale
        for each in addition:
            scores += each[piece] if each.dim() == 4 and len(each) > 1 else each
        probabilities = scores.softmax(-1)
        saved.append(probabilities)
        if dropout:
            gone = dropout.dropped(probabilities.shape, piece.start)
            taken.append(gone)
            probabilities = probabilities.masked_fill(gone, 0)
        torch.matmul(probabilities, value[piece], out=output[piece])
    return (output.mul_(dropout.scale) if dropout else output), saved, taken


def _backward(
    inputs: tuple[Any, Any, Any], saved: list[Any], taken: list[Any], outer: Any, scale: float, bias: Any
) -> tuple[Any, Any, Any]:
    """The gradients of query, key and value; the bias's is added to `bias`."""
    import torch

    query, key, value = inputs
    of_query, of_key, of_value = torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
    for number, piece in enumerate(_pieces(query, key)):
        probabilities = dropped = saved[number]
        of_scores = outer[piece] @ value[piece].transpose(2, 3)
        if taken:
            of_scores.masked_fill_(taken[number], 0)
            dropped = probabilities.masked_fill(taken[number], 0)
        torch.matmul(dropped.transpose(2, 3), outer[piece], out=of_value[piece])
        of_scores = torch.ops.aten._softmax_backward_data(of_scores, probabilities, -1, value.dtype)
        if bias is not None:
            bias += of_scores.sum(0, keepdim=True, dtype=torch.float32)
        torch.matmul(of_scores, key[piece], out=of_query[piece])
        torch.matmul(of_scores.transpose(2, 3), query[piece], out=of_key[piece])
    return of_query.mul_(scale), of_key.mul_(scale), of_value


def _pieces(query: Any, key: Any) -> Iterator[slice]:
    """As many sequences at a time as have `_PIECE` scores together; at least one."""
    _, heads, reading, _ = query.shape
    count = max(1, _PIECE // (heads * reading * key.shape[2]))
    return (slice(first, first + count) for first in range(0, len(query), count))


def _addition(bias: torch.Tensor | None, mask: torch.Tensor | None, dtype: torch.dtype) -> list[torch.Tensor]:
    """What is added to the scores, in as few pieces as possible."""
    given = [each.to(dtype) for each in (bias, mask) if each is not None]
    return [given[0] + given[1]] if len(given) == 2 and given[1].dim() == 2 else given
