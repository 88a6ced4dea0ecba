"""Keys and values while a causal student writes: a cache that grows in place, and attention that reads it once for all
heads that share it.

The texts are those of transformers' own, which copies the cache for every token, and again for every head.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from tinyllm_cli.students.loss.cpu.packing import attention_named

if TYPE_CHECKING:
    import torch

ATTENTION = "tinyllm_shared_heads"
"""The name under which transformers finds `_attention`."""

_ROOM = 64
"""Tokens for which a cache grows at a time."""


def concat_caches(caches: Sequence[Any], length: int) -> Any:
    """One cache of the rows of all `caches`, padded on the left to `length` tokens; None where a layer of the model
    keeps something else than all its keys and values, for which padding has no meaning."""
    import torch
    from torch.nn.functional import pad
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    if any(type(layer) is not DynamicLayer for cache in caches for layer in cache.layers):
        return None
    whole = DynamicCache()
    for index in range(len(caches[0].layers)):
        layers = [cache.layers[index] for cache in caches]
        gaps = [(0, 0, length - layer.keys.shape[2], 0) for layer in layers]
        keys = torch.cat([pad(layer.keys, gap) for layer, gap in zip(layers, gaps, strict=True)])
        values = torch.cat([pad(layer.values, gap) for layer, gap in zip(layers, gaps, strict=True)])
        grown = _growing_layer()()
        grown.update(keys, values)
        whole.layers.append(grown)
    return whole


@cache
def _growing_layer() -> Any:
    from transformers.cache_utils import DynamicLayer

    class GrowingLayer(DynamicLayer):  # type: ignore[misc]  # transformers has no types
        """`keys` and `values` are the beginnings of larger tensors, whose ends are free."""

        keys: torch.Tensor
        values: torch.Tensor
        _room: tuple[torch.Tensor, torch.Tensor] | None = None

        def update(
            self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any
        ) -> tuple[torch.Tensor, torch.Tensor]:
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            before = self.get_seq_length()
            after = before + key_states.shape[2]
            if self._room is None or self._room[0].shape[2] < after:
                self._room = self._larger(key_states, after), self._larger(value_states, after)
                if before:
                    self._room[0][:, :, :before] = self.keys
                    self._room[1][:, :, :before] = self.values
            keys, values = self._room
            keys[:, :, before:after] = key_states
            values[:, :, before:after] = value_states
            self.keys, self.values = keys[:, :, :after], values[:, :, :after]
            return self.keys, self.values

        @staticmethod
        def _larger(states: torch.Tensor, tokens: int) -> torch.Tensor:
            return states.new_empty(*states.shape[:2], tokens + _ROOM, states.shape[3])

        def reorder_cache(self, beam_idx: torch.Tensor) -> None:
            """Keep these rows, in this order. Rows that take the place of one that is dropped are copied, no others."""
            left = len(beam_idx)
            moved = (beam_idx != beam_idx.new_tensor(range(left))).nonzero()[:, 0]
            if self._room is None or bool((beam_idx[moved] < left).any()):
                super().reorder_cache(beam_idx)
                self._room = None
                return
            tokens = self.get_seq_length()
            for whole in self._room:
                whole[moved, :, :tokens] = whole[beam_idx[moved], :, :tokens]
            keys, values = self._room = self._room[0][:left], self._room[1][:left]
            self.keys, self.values = keys[:, :, :tokens], values[:, :, :tokens]

    return GrowingLayer


@contextmanager
def shared_heads(model: Any) -> Iterator[None]:
    """Within, the heads of `model` that share keys and values read them together. Models with an attention of their own
    keep it."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ATTENTION, _attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    eager = {"eager"} if _attends_as_llama(model) else set()
    with attention_named(model, ATTENTION, instead_of={"sdpa", *eager}):
        yield


def _attends_as_llama(model: Any) -> bool:
    """Whether the eager attention of `model`, which may cap scores or add sinks, is Llama's: transformers repeats that
    function in the file of each model."""
    from transformers.models.llama.modeling_llama import eager_attention_forward as llama

    files = {type(module).__module__ for module in model.modules() if hasattr(module, "num_key_value_groups")}
    found = [getattr(sys.modules[file], llama.__name__, None) for file in files]
    return bool(found) and all(_code(one) == _code(llama) for one in found)


def _code(function: Any) -> tuple[Any, ...] | None:
    """None for what is not a function of Python."""
    code = getattr(function, "__code__", None)
    return code and (code.co_code, code.co_names, code.co_consts, code.co_varnames)


def _attention(  # noqa: PLR0913 - transformers passes these
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor | None,
    dropout: float = 0.0, scaling: float | None = None, **others: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """transformers' `sdpa` where rows have one new token each: the `shared` heads of a key are its queries.

    `query` is (rows, heads, 1, width), `key` and `value` (rows, heads / shared, tokens, width), the mask (rows, 1, 1,
    tokens)."""
    from torch.nn.functional import scaled_dot_product_attention
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    rows, heads, tokens, width = query.shape
    shared = heads // key.shape[1]
    plain = attention_mask is None or attention_mask.shape[1] == 1
    if shared == 1 or tokens > 1 or dropout or not plain or others.get("position_bias") is not None:
        found: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
        return found
    queries = query.reshape(rows, key.shape[1], shared, width)
    read = scaled_dot_product_attention(queries, key, value, attn_mask=attention_mask, scale=scaling)
    return read.reshape(rows, 1, heads, width), None
