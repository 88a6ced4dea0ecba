"""A multiple-choice question, the type that all later stages use."""

from __future__ import annotations

import hashlib
import json
import string
from dataclasses import dataclass
from functools import cached_property

_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
LETTERS = string.ascii_lowercase
SPLITS = ("train", "valid", "test")
MIN_OPTIONS, MAX_OPTIONS = 2, len(LETTERS)
UNKNOWN = -1
"""As `answer`: the right option is unknown. Only `predict` answers such questions; the store holds none."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """`answer` is an index into `options`; `key` is the data set's own id, unique within a split."""

    dataset: str
    split: str
    key: str
    text: str
    options: tuple[str, ...]
    answer: int
    context: str | None = None

    @cached_property
    def hash(self) -> str:
        """Identity of the content: equal questions share their rationales, wherever they occur."""
        content = [self.text, list(self.options), self.answer, self.context]
        return hashlib.sha256(canonical(content).encode()).hexdigest()[:32]

    @property
    def gold(self) -> str:
        """The text of the right option."""
        return self.options[self.answer]


def canonical(value: object) -> str:
    """JSON with one spelling for one value, for hashing."""
    return _encode(value)


def option_line(index: int, text: str) -> str:
    """`(b) text`: how an option is written in every prompt and table."""
    return f"({LETTERS[index]}) {text}"
