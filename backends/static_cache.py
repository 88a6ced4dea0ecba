"""Keys and values in memory of a fixed size, for local teachers on a GPU: transformers then compiles a decoding step
once and replays it as one graph, where starting its kernels one by one would take most of the time.

The shape of a batch changes as rarely as possible, since each new one is compiled or recorded anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["StaticCaches", "supports_static_cache"]

_STEP = 64  # tokens


def supports_static_cache(model: Any) -> bool:
    """Whether transformers can compile this class's decoding step as a whole, by its own statement, and the cache knows
    all kinds of its layers."""
    from transformers import StaticCache

    if not getattr(model, "_can_compile_fullgraph", False) or not model._supports_default_dynamic_cache():
        return False
    try:
        StaticCache(config=model.config.get_text_config(decoder=True), max_cache_len=_STEP)
    except (KeyError, TypeError, ValueError, AttributeError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Shape:
    """Rows of a batch, tokens of its inputs, and tokens that the cache of the decoder holds."""

    rows: int
    read: int
    kept: int


class StaticCaches:
    """The cache of the batches of one model. They share one, until a batch needs another shape."""

    def __init__(self, model: Any) -> None:
        self._model, self._shape = model, _Shape(0, 0, 0)
        self._cache: Any = None

    def shape(self, rows: int, read: int, written: int) -> tuple[int, int]:
        """Rows and input tokens that a batch should be filled up to: it has `rows` inputs of at most `read` tokens, and
        writes `written` tokens at most."""
        before, encodes = self._shape, self._model.config.is_encoder_decoder
        shape = _Shape(
            rows=before.rows if rows <= before.rows <= 2 * rows else rows,
            read=_again(before.read, read) if encodes else read,
            kept=_again(before.kept, 1 + written if encodes else read + written),
        )
        if (shape.rows, shape.kept) != (before.rows, before.kept) or (encodes and shape.read != before.read):
            self._cache = None
        self._shape = shape
        return shape.rows, shape.read

    def empty(self) -> Any:
        """The cache of a batch of the last `shape`."""
        if self._cache is None:
            self._cache = self._made()
        else:
            self._cache.reset()
        return self._cache

    def forget(self) -> None:
        """Free the memory."""
        self._shape, self._cache = _Shape(0, 0, 0), None

    def _made(self) -> Any:
        from transformers import EncoderDecoderCache, StaticCache

        config = self._model.config.get_text_config(decoder=True)
        own = StaticCache(config=config, max_cache_len=self._shape.kept)
        if not self._model.config.is_encoder_decoder:
            return own
        return EncoderDecoderCache(own, StaticCache(config=config, max_cache_len=self._shape.read))


def _again(before: int, tokens: int) -> int:
    """The length as it was, if that suffices and is not much too long; else one of four between two powers of two."""
    if tokens <= before <= 3 * tokens:
        return before
    step = max(_STEP, (1 << tokens.bit_length()) // 8)
    return -(-tokens // step) * step
