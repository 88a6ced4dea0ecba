"""Which tokens of a packed row see which: the documents of a row, and FlexAttention's block masks of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tinyllm_cli.students.base import sent

if TYPE_CHECKING:
    import torch

BLOCK = 128
"""Tokens in a block of FlexAttention's masks; rows have whole blocks."""

MaskMod = Callable[[Any, Any, Any, Any], Any]


def padded_length(tokens: int) -> int:
    """One of four lengths between a power of two and the next: each new length costs a compilation or new memory."""
    step = max(BLOCK, (1 << tokens.bit_length()) // 8)
    return -(-tokens // step) * step


@dataclass(frozen=True)
class Documents:
    """Sequences of these lengths, end to end in a row of `padded` tokens. Padding follows, and each token of it is a
    document of its own."""

    lengths: tuple[int, ...]
    padded: int
    device: str

    @classmethod
    def of(cls, lengths: Sequence[int], device: str) -> Documents:
        return cls(tuple(lengths), padded_length(sum(lengths)), device)

    @cached_property
    def numbers(self) -> list[int]:
        """The document of each token."""
        own = [number for number, length in enumerate(self.lengths) for _ in range(length)]
        return own + [len(self.lengths) + at for at in range(self.padded - len(own))]

    @cached_property
    def clipped(self) -> list[int]:
        """The same, padding being part of the last document: as queries, it has to see something."""
        return [min(number, len(self.lengths) - 1) for number in self.numbers]


@dataclass(frozen=True)
class Seen:
    """A Sight as tensors, which a compiler can read. `across`: from one row to another."""

    across: bool
    key_places: torch.Tensor
    is_copy: torch.Tensor
    block_mask: Any


@dataclass(frozen=True)
class Sight:
    """What the tokens of `queries` see of `keys`: their own document, of which a causal model sees the past alone, and
    that within a `window` if there is one. `copies`: the keys are there twice, end to end."""

    queries: Documents
    keys: Documents
    causal: bool
    window: int | None
    copies: int = 1

    @cached_property
    def key_places(self) -> torch.Tensor:
        """The place of each key in its row, for keys that are there twice."""
        return sent(list(range(self.keys.padded)) * self.copies, self.keys.device)

    @cached_property
    def is_copy(self) -> torch.Tensor:
        return sent([copy > 0 for copy in range(self.copies) for _ in range(self.keys.padded)], self.keys.device)

    @cached_property
    def made(self) -> Seen:
        """All that attention needs of it, made."""
        return Seen(self.queries is not self.keys, self.key_places, self.is_copy, self.block_mask)

    @cached_property
    def block_mask(self) -> Any:
        """FlexAttention's BlockMask. The blocks are found here: the device would need a matrix of all pairs."""
        import numpy
        from torch.nn.attention.flex_attention import BlockMask

        seen = numpy.tile(self._blocks(), self.copies)
        indices = numpy.argsort(~seen, axis=1, kind="stable").astype(numpy.int32)
        counts = seen.sum(axis=1, dtype=numpy.int32)
        device = self.queries.device
        return BlockMask.from_kv_blocks(
            sent(counts, device)[None, None], sent(indices, device)[None, None], BLOCK_SIZE=BLOCK,
            mask_mod=self._mask_mod(), seq_lengths=(self.queries.padded, self.keys.padded * self.copies),
        )  # fmt: skip

    @property
    def _documents(self) -> tuple[list[int], list[int]]:
        """The documents of queries and keys. Padding sees itself in its own row, and something in another."""
        own = self.queries is self.keys
        return (self.queries.numbers if own else self.queries.clipped), self.keys.numbers

    def _blocks(self) -> Any:
        """(blocks of queries, blocks of keys): whether any token of the one may see any of the other."""
        import numpy

        (q_first, q_last), (k_first, k_last) = (
            (numpy.array(numbers[::BLOCK]), numpy.array(numbers[BLOCK - 1 :: BLOCK])) for numbers in self._documents
        )
        seen = (q_first[:, None] <= k_last[None]) & (k_first[None] <= q_last[:, None])
        gap = numpy.arange(len(q_first))[:, None] - numpy.arange(len(k_first))[None]  # in blocks
        if self.causal:
            seen &= gap >= 0
        if self.window is not None:
            seen &= (gap - 1) * BLOCK + 1 < self.window
        return seen

    def _mask_mod(self) -> MaskMod:
        of_queries, of_keys = (sent(numbers, self.queries.device) for numbers in self._documents)
        of_keys = of_keys.repeat(self.copies)
        causal, window, places = self.causal, self.window, self.key_places

        def mask_mod(_batch: Any, _head: Any, query: Any, key: Any) -> Any:
            seen = of_queries[query] == of_keys[key]
            if causal:
                seen = seen & (query >= places[key])
            if window is not None:
                seen = seen & (query - places[key] < window)
            return seen

        return mask_mod
