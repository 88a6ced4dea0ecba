"""Packed rows on a GPU: all tokens of a batch in one row, and FlexAttention within each sequence alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from tinyllm_cli.students.loss.cpu.packing import WITHOUT_EFFECT, attention_named
from tinyllm_cli.students.loss.gpu.masks import Documents, Sight, padded_length
from tinyllm_cli.students.loss.gpu.scores import Scores

if TYPE_CHECKING:
    import torch

ATTENTION = "tinyllm_flex"
"""The name under which transformers finds `_attention`."""

_RECOMPILATIONS = 64  # torch's default of 8 counts every kind of mask, dtype and length together

Attend = Callable[..., Any]
"""`torch.nn.attention.flex_attention.flex_attention`, or a function that is called as it is."""


@dataclass(frozen=True)
class FlexRow:
    """A row of tokens. An encoder-decoder has two: `inputs` and `targets`; a causal model only `targets`."""

    inputs: Documents | None
    targets: Documents
    attend: Attend
    _sights: dict[tuple[bool, bool, int | None, int], Sight] = field(default_factory=dict)

    def sight(self, module: Any, window: int | None, copies: int) -> Sight:
        """What the queries of an attention module see; made once for all layers."""
        key = (bool(module.is_causal), bool(getattr(module, "is_decoder", False)), window, copies)
        if key not in self._sights:
            keys = self.targets if module.is_causal or self.inputs is None else self.inputs
            reads_inputs = self.inputs is not None and not module.is_causal and not module.is_decoder
            queries = self.inputs if reads_inputs else self.targets
            assert queries is not None
            self._sights[key] = Sight(queries, keys, bool(module.is_causal), window, copies)
        return self._sights[key]


@dataclass(frozen=True)
class FlexRows:
    """Packs rows for `attend`. `longest_check` as `students.base.Packing` has it."""

    device: str
    attend: Attend
    longest_check: int = 4200
    checks_gradients: bool = True  # compiled kernels differ between GPUs and versions

    def padded(self, tokens: int) -> int:
        return padded_length(tokens)

    def row(self, _model: Any, inputs: Sequence[int], targets: Sequence[int]) -> FlexRow:
        read = Documents.of(inputs, self.device) if inputs else None
        return FlexRow(read, Documents.of(targets, self.device), self.attend)

    @contextmanager
    def active(self, model: Any) -> Iterator[None]:
        from transformers import AttentionInterface

        AttentionInterface.register(ATTENTION, _attention)
        replaced = []
        for module in model.modules():
            if not hasattr(module, "compute_bias"):
                continue
            if getattr(module, "has_relative_attention_bias", False):
                module.compute_bias = partial(_by_distance, module, module.compute_bias)
                replaced.append((module, "compute_bias"))
            else:
                module.forward = partial(_without_bias, module.forward)
                replaced.append((module, "forward"))
        try:
            with attention_named(model, ATTENTION):
                yield
        finally:
            for module, name in replaced:
                delattr(module, name)


@cache
def compiled_flex_attention() -> Attend:
    """FlexAttention as one kernel. Without compilation it would compute all scores of a row."""
    import torch
    from torch.nn.attention.flex_attention import flex_attention

    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _RECOMPILATIONS)
    compiled: Attend = torch.compile(flex_attention, fullgraph=True)
    return compiled


def _by_distance(
    module: Any, compute: Any, _queries: int, _keys: int, device: Any = None, past_seen_tokens: int = 0
) -> torch.Tensor:
    """T5's bias as (heads, 2 n + 1), by the distance of two tokens: n is that from which on it stays the same."""
    import torch

    farthest = module.relative_attention_max_distance
    bias = compute(farthest + 1, farthest + 1, device=device)[0]
    return torch.cat([bias[:, 1:, 0].flip(1), bias[:, 0]], dim=1)


def _without_bias(forward: Any, *inputs: Any, position_bias: Any = None, **arguments: Any) -> Any:
    """T5 would make a zero for every pair of tokens of two rows; `_attention` ignores what it gets across rows."""
    return forward(*inputs, position_bias=_NOTHING if position_bias is None else position_bias, **arguments)


_NOTHING = ()  # anything but None

_SUPPORTED = {"pack", "scaling", "dropout", "position_bias", "sliding_window", "softcap"}


def _attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, _mask: object, **arguments: Any
) -> tuple[torch.Tensor, None]:
    """Attention of each sequence of a row to itself, or to its encoded input. Shapes as transformers calls it:
    (1, heads, tokens, width) in, (1, tokens, heads, width) out.

    Raises TypeError for an argument that may change the result and is not supported, such as attention sinks."""
    import torch

    others = {name for name, given in arguments.items() if given is not None} - _SUPPORTED - WITHOUT_EFFECT
    if others:
        raise TypeError(f"packed rows do not support {', '.join(sorted(others))}")
    row: FlexRow = arguments["pack"]
    dropout = arguments.get("dropout", 0.0)
    sight = row.sight(module, arguments.get("sliding_window"), 2 if dropout else 1)
    across = sight.queries is not sight.keys
    scores = Scores(
        cap=arguments.get("softcap"), bias=None if across else arguments.get("position_bias"), dropout=dropout
    )
    if dropout:
        key, value = torch.cat([key, key], dim=2), torch.cat([value, torch.zeros_like(value)], dim=2)
    output = row.attend(
        query.to(value.dtype), key.to(value.dtype), value, score_mod=scores.score_mod(sight),
        block_mask=sight.block_mask, scale=arguments.get("scaling"), enable_gqa=query.shape[1] != key.shape[1],
    )  # fmt: skip
    return (output / (1 - dropout) if dropout else output).transpose(1, 2), None
