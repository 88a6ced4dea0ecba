"""Dropout on a CPU: cheap random numbers, and masks that belong to an example, not to the batch it is computed in.

Each example of an optimizer step has a random stream of its own, seeded by (seed, step, place in the step). A model
calls dropout in a fixed order, so the numbers of an example depend on nothing but the example. Four decisions are drawn
at a time: torch's own generator draws one number for each, which takes a tenth of the training.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_LEVELS = 2**16  # of a dropout probability: 0.1 is kept to 0.00001


def seed_from(*key: int) -> int:
    """64 bits that differ between keys, for generators that take one number."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "little")


class DropoutRng:
    """The dropout decisions of one optimizer step.

    `begin` starts a step; `read` says which examples the next forward pass reads in one packed row. Without `read` a
    tensor's decisions are drawn as a whole."""

    def __init__(self) -> None:
        self._key: tuple[int, ...] = ()
        self._batch: Any = None
        self._streams: dict[int, Any] = {}
        self._row: list[Any] = []
        self.lengths: Sequence[int] = ()
        """Tokens of each example in the tensors that dropout gets now."""

    def begin(self, *key: int) -> None:
        self._key, self._batch, self._streams, self._row, self.lengths = key, _stream(*key), {}, [], ()

    def read(self, places: Sequence[int]) -> None:
        """The next forward pass reads the examples at these places of the step, in this order."""
        for place in places:
            if place not in self._streams:
                self._streams[place] = _stream(*self._key, place)
        self._row = [self._streams[place] for place in places]

    def dropped(self, shape: Sequence[int], probability: float) -> torch.Tensor:
        """True where a number is dropped, with `probability` to the nearest 1/65,536.

        Raises ValueError where `shape` (..., width) is not a packed row of the tokens in `lengths`."""
        import numpy
        import torch

        if not self._row:
            return torch.from_numpy(_bits(self._batch, math.prod(shape)).reshape(shape) < _level(probability))
        tokens, width = math.prod(shape[:-1]), shape[-1]
        if tokens != sum(self.lengths):
            raise ValueError(f"dropout of shape {tuple(shape)} in a row of {sum(self.lengths)} tokens")
        gone, first = numpy.empty((tokens, width), dtype=bool), 0
        for stream, length in zip(self._row, self.lengths, strict=True):
            numpy.less(_bits(stream, length * width).reshape(length, width), _level(probability),
                       out=gone[first : first + length])  # fmt: skip
            first += length
        return torch.from_numpy(gone.reshape(shape))

    def block(self, first: int, queries: Sequence[int], keys: Sequence[int], probability: float) -> BlockDropout | None:
        """Attention dropout of consecutive examples of the row, from the one at `first`; None where nothing drops."""
        own = self._row[first : first + len(queries)] or [self._batch] * len(queries)
        return BlockDropout(own, tuple(queries), tuple(keys), probability) if probability else None


@dataclass(frozen=True)
class BlockDropout:
    """The dropout decisions of attention in a padded block of examples with these numbers of queries and keys."""

    streams: Sequence[Any]
    queries: tuple[int, ...]
    keys: tuple[int, ...]
    probability: float

    @property
    def scale(self) -> float:
        """What the numbers that stay are multiplied by."""
        return _scale(self.probability)

    def dropped(self, shape: Sequence[int], first: int) -> torch.Tensor:
        """(examples, heads, queries, keys), for the examples of the block from the one at `first`. Padding is kept."""
        import numpy
        import torch

        gone, level = numpy.zeros(shape, dtype=bool), _level(self.probability)
        for row in range(shape[0]):
            read, seen = self.queries[first + row], self.keys[first + row]
            drawn = _bits(self.streams[first + row], shape[1] * read * seen).reshape(shape[1], read, seen)
            numpy.less(drawn, level, out=gone[row, :, :read, :seen])
        return torch.from_numpy(gone)


@contextmanager
def cheap_dropout(rng: DropoutRng) -> Iterator[None]:
    """Within, every dropout of a model in training mode takes its decisions from `rng`: modules and functions alike."""
    import torch

    functional: Any = torch.nn.functional
    before = functional.dropout

    def dropout(states: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
        return drop(states, p, rng) if training else states

    functional.dropout = dropout
    try:
        yield
    finally:
        functional.dropout = before


def drop(states: torch.Tensor, probability: float, rng: DropoutRng) -> torch.Tensor:
    """`states`, zero with `probability` and scaled up otherwise."""
    if not probability:
        return states
    return states.masked_fill(rng.dropped(states.shape, probability), 0).mul_(_scale(probability))


def _stream(*key: int) -> Any:
    import numpy

    return numpy.random.Generator(numpy.random.SFC64(seed_from(*key)))


def _bits(stream: Any, count: int) -> Any:
    """So many random int16."""
    import numpy

    drawn = stream.integers(0, 2**64 - 1, size=(count + 3) // 4, dtype=numpy.uint64, endpoint=True)
    return drawn.view(numpy.int16)[:count]


def _level(probability: float) -> int:
    """int16 numbers below it are dropped."""
    return round(probability * _LEVELS) - _LEVELS // 2


def _scale(probability: float) -> float:
    return _LEVELS / (_LEVELS - round(probability * _LEVELS))
