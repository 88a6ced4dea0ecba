"""Which option a text is: by its text, its letter, or its letter before its text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tinyllm_cli.datasets.question import LETTERS

_LETTER = re.compile(r"\(?([a-z])[).:]?(?:\s+(.*))?", re.IGNORECASE | re.DOTALL)


def match_option(text: str, options: Sequence[str]) -> int | None:
    """The option that `text` is: by its text, as it stands or after normalising, or by its letter alone or before that
    text.

    None when it is no option, or more than one."""
    same = _same(text, options)
    if same is not None:
        return same
    letter = _LETTER.fullmatch(text.strip())
    if letter is None or letter[1].lower() not in LETTERS[: len(options)]:
        return None
    index = LETTERS.index(letter[1].lower())
    rest = _normal(letter[2] or "")
    return index if not rest or rest == _normal(options[index]) else None


def _same(text: str, options: Sequence[str]) -> int | None:
    """Where options differ in no more than what normalising takes away (`Rr`, `rr`), their own spelling counts."""
    for spelt in (str.strip, _normal):
        found = [index for index, option in enumerate(options) if spelt(option) == spelt(text) != ""]
        if len(found) == 1:
            return found[0]
    return None


def _normal(text: str) -> str:
    """Case, outer punctuation, articles at the front and runs of white space don't tell answers apart."""
    plain = " ".join(text.casefold().split()).strip(" .,;:!?\"'`*()[]")
    return re.sub(r"^(?:the|an?)\s+(?=\S)", "", plain)
