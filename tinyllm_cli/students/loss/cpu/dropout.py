"""Dropout decisions drawn four at a time from cheap random numbers: torch's own generator on a CPU gives one at a
time and takes a tenth of the training."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_LEVELS = 2**16  # of a dropout probability: 0.1 is kept to 0.00001


class DropoutRng:
    """Random decisions that depend on what `begin` was given, and on nothing that happened before it."""

    def __init__(self) -> None:
        self._generator: Any = None

    @staticmethod
    def digest(*seed: int) -> bytes:
        """Eight bytes that differ between seeds, for generators that take one number."""
        return hashlib.sha256(repr(seed).encode()).digest()[:8]

    def begin(self, *seed: int) -> None:
        import numpy

        self._generator = numpy.random.Generator(
            numpy.random.SFC64(numpy.random.SeedSequence([abs(part) for part in seed]))
        )

    def dropped(self, shape: Sequence[int], probability: float) -> tuple[torch.Tensor, float]:
        """(True where a number goes, what the ones that stay are multiplied by). The probability of going is
        `probability` to the nearest 1/65,536."""
        import numpy
        import torch

        count = math.prod(shape)
        words = (count + 3) // 4
        drawn = self._generator.integers(0, 2**64 - 1, size=words, dtype=numpy.uint64, endpoint=True)
        level = round(probability * _LEVELS)
        numbers = torch.from_numpy(drawn.view(numpy.int16))[:count].view(tuple(shape))
        return numbers < level - _LEVELS // 2, _LEVELS / (_LEVELS - level)


def drop(states: torch.Tensor, probability: float, draws: DropoutRng) -> torch.Tensor:
    """`states`, zero with `probability` and scaled up otherwise."""
    if not probability:
        return states
    gone, scale = draws.dropped(states.shape, probability)
    return states.masked_fill(gone, 0).mul_(scale)
