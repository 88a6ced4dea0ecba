"""Attention of blocks of sequences, with its gradient, in pieces that a processor's cache holds.

What autograd would keep of an attention are half a dozen tensors as large as its scores; kept here are the
probabilities, in the type of the states, and which of them dropout took.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from tinyllm_cli.students.loss.cpu.dropout import DropoutRng

if TYPE_CHECKING:
    import torch

_PIECE = 2**20  # scores that are computed at a time


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    bias: torch.Tensor | None,
    mask: torch.Tensor | None,
    scale: float,
    dropout: float,
    draws: DropoutRng,
) -> torch.Tensor:
    """softmax(scale * query key^T + bias + mask), dropped out, times value.

    `query` (b, heads, m, width), `key` and `value` (b, heads, n, width), `bias` (1, heads, m, n) with a gradient,
    `mask` (b, 1, 1, n) or (m, n) without one. Returns (b, heads, m, width) in `value`'s type."""
    dtype = value.dtype
    output: torch.Tensor = _autograd()(query.to(dtype), key.to(dtype), value, bias, mask, scale, dropout, draws)
    return output


@cache
def _autograd() -> Any:
    """The autograd function, made when torch is first needed."""
    import torch

    class Attend(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, query: Any, key: Any, value: Any, *rest: Any) -> Any:
            bias, mask, ctx.scale, dropout, draws = rest
            query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
            ctx.bias_shape = bias.shape if ctx.needs_input_grad[3] else None
            with torch.autocast(value.device.type, enabled=False):
                output, probabilities, gone, ctx.up = _forward(
                    query, key, value, _addition(bias, mask, value.dtype), ctx.scale, dropout, draws
                )
            ctx.save_for_backward(query, key, value, *probabilities, *gone)
            return output

        @staticmethod
        def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            query, key, value, *saved = ctx.saved_tensors
            pieces = len(list(_pieces(query, key)))
            bias = None if ctx.bias_shape is None else torch.zeros(ctx.bias_shape, device=query.device)
            with torch.autocast(value.device.type, enabled=False):
                outer = (gradients[0] * ctx.up).contiguous()
                own = _backward(query, key, value, saved[:pieces], saved[pieces:], outer, ctx.scale, bias)
            return (*own, bias, None, None, None, None)

    return Attend.apply


def _forward(
    query: Any, key: Any, value: Any, addition: list[Any], scale: float, dropout: float, draws: DropoutRng
) -> tuple[Any, list[Any], list[Any], float]:
    """(output, probabilities and what dropout took of them piece by piece, what dropout multiplies the rest by)."""
    import torch

    output = torch.empty_like(query)
    saved, taken = [], []
    up = 1.0
    for piece in _pieces(query, key):
        scores = query[piece] @ key[piece].transpose(2, 3)
        if scale != 1.0:
            scores *= scale
        for each in addition:
            scores += each[piece] if each.dim() == 4 and len(each) > 1 else each
        probabilities = scores.softmax(-1)
        saved.append(probabilities)
        if dropout:
            gone, up = draws.dropped(probabilities.shape, dropout)
            taken.append(gone)
            probabilities = probabilities.masked_fill(gone, 0)
        torch.matmul(probabilities, value[piece], out=output[piece])
    return (output.mul_(up) if dropout else output), saved, taken, up


def _backward(
    query: Any, key: Any, value: Any, saved: list[Any], taken: list[Any], outer: Any, scale: float, bias: Any
) -> tuple[Any, Any, Any]:
    """The gradients of query, key and value; the bias's is added to `bias`."""
    import torch

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
