"""Packed rows on a GPU: all tokens of a batch in one row, and FlexAttention within each sequence alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from tinyllm_cli.students.loss.cpu.packing import WITHOUT_EFFECT, attention_named
from tinyllm_cli.students.loss.gpu.masks import Documents, Seen, Sight, padded_length
from tinyllm_cli.students.loss.gpu.scores import Scores

if TYPE_CHECKING:
    import torch

ATTENTION = "tinyllm_flex"
"""The name under which transformers finds `_attention`."""

_RECOMPILATIONS = 64  # torch's default of 8 counts every kind of mask, dtype and length together

Attend = Callable[..., Any]
"""`torch.nn.attention.flex_attention.flex_attention`, or a function that is called as it is."""


SightKey = tuple[bool, bool, int | None, int]
"""Whether an attention module is causal, whether it is a decoder's, its window, and copies of the keys."""


@dataclass(frozen=True)
class FlexRow:
    """A row of tokens. An encoder-decoder has two: `inputs` and `targets`; a causal model only `targets`. `noted` gets
    the keys of what was asked for."""

    inputs: Documents | None
    targets: Documents
    attend: Attend
    noted: set[SightKey] = field(default_factory=set)
    _seen: dict[SightKey, Seen] = field(default_factory=dict)

    def seen(self, module: Any, window: int | None, copies: int) -> Seen:
        """What the queries of an attention module see; made once for all layers."""
        key = (bool(module.is_causal), bool(getattr(module, "is_decoder", False)), window, copies)
        if key not in self._seen:
            self.make(key)
        return self._seen[key]

    def make(self, key: SightKey) -> None:
        is_causal, is_decoder, window, copies = key
        keys = self.targets if is_causal or self.inputs is None else self.inputs
        reads_inputs = self.inputs is not None and not is_causal and not is_decoder
        queries = self.inputs if reads_inputs else self.targets
        assert queries is not None
        self.noted.add(key)
        self._seen[key] = Sight(queries, keys, is_causal, window, copies).made


@dataclass(frozen=True)
class FlexRows:
    """Packs rows for `attend`. `longest_check` as `students.base.Packing` has it. `noted`: what was asked of rows so
    far, which `ready` rows have from the beginning."""

    device: str
    attend: Attend
    longest_check: int = 4200
    checks_gradients: bool = True  # compiled kernels differ between GPUs and versions
    ready: bool = False
    noted: set[SightKey] = field(default_factory=set)
    _forwards: dict[int, tuple[Any, str, Any]] = field(default_factory=dict)

    def padded(self, tokens: int) -> int:
        return padded_length(tokens)

    def row(self, _model: Any, inputs: Sequence[int], targets: Sequence[int]) -> FlexRow:
        read = Documents.of(inputs, self.device) if inputs else None
        row = FlexRow(read, Documents.of(targets, self.device), self.attend, self.noted)
        for key in tuple(self.noted) if self.ready else ():
            row.make(key)
        return row

    @contextmanager
    def active(self, model: Any) -> Iterator[None]:
        from transformers import AttentionInterface

        AttentionInterface.register(ATTENTION, _attention)
        replaced = [self._forward(module) for module in model.modules() if hasattr(module, "compute_bias")]
        for module, name, forward in replaced:
            setattr(module, name, forward)
        try:
            with attention_named(model, ATTENTION):
                yield
        finally:
            for module, name, _ in replaced:
                delattr(module, name)

    def _forward(self, module: Any) -> tuple[Any, str, Any]:
        """(an attention of T5, what of it is replaced, by what): always the same objects, as compiled code expects."""
        if id(module) not in self._forwards:
            first = getattr(module, "has_relative_attention_bias", False)
            name, forward = (
                ("compute_bias", partial(_by_distance, module, module.compute_bias))
                if first
                else ("forward", partial(_without_bias, module.forward))
            )
            self._forwards[id(module)] = module, name, forward
        return self._forwards[id(module)]


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
    seen = row.seen(module, arguments.get("sliding_window"), 2 if dropout else 1)
    bias = None if seen.across else arguments.get("position_bias")
    scores = Scores(cap=arguments.get("softcap"), bias=bias, dropout=dropout)
    if dropout:
        key, value = torch.cat([key, key], dim=2), torch.cat([value, torch.zeros_like(value)], dim=2)
    output = row.attend(
        query.to(value.dtype), key.to(value.dtype), value, score_mod=scores.score_mod(seen),
        block_mask=seen.block_mask, scale=arguments.get("scaling"), enable_gqa=query.shape[1] != key.shape[1],
    )  # fmt: skip
    return (output / (1 - dropout) if dropout else output).transpose(1, 2), None
