"""What a student's tokenizer tells about texts: the interface that the audit uses, and the student's limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class TokenLengths(Protocol):
    """Counts tokens as a student does."""

    def inputs(self, texts: Sequence[str]) -> list[int]: ...

    def targets(self, texts: Sequence[str]) -> list[int]: ...

    def alike(self, groups: Sequence[Sequence[str]]) -> list[bool]:
        """For each group, whether two different texts in it have the same tokens."""
        ...

    def unknown(self, texts: Sequence[str]) -> list[bool]:
        """For each text, whether it has a character that the vocabulary lacks."""
        ...


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A student's limits in tokens, and `ruler`, which counts its tokens."""

    student: str
    ruler: TokenLengths
    max_input: int
    max_target: int
