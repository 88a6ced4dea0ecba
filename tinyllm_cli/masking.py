"""A rationale without the answer that it names: what is left must carry the reasoning. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

from tinyllm_cli.datasets.question import LETTERS, Question

MASK = "___"


def masked(text: str, question: Question) -> str:
    """`text` with the gold option's words and its letter taken out, whatever the case, article or number of a noun."""
    return _named(question.gold, LETTERS[question.answer]).sub(MASK, text)


@lru_cache(maxsize=512)
def _named(gold: str, letter: str) -> re.Pattern[str]:
    """`(b)`, `b)`, `option b`, `the answer is b`, and the option's own words."""
    said = rf"\({letter}\)|(?<![\w(]){letter}\)"
    said += "".join(rf"|(?<={before}){letter}\b" for before in ("\\boption ", "\\banswer is ", "\\banswer: "))
    words = re.findall(r"\w+", re.sub(r"^(?:the|an?)\s+(?=\w)", "", gold.strip(), flags=re.IGNORECASE))
    if words:
        *front, last = (re.escape(word) for word in words)
        stem = re.escape(words[-1][:-1]) if len(words[-1]) > 3 and words[-1].lower().endswith("s") else last
        said += r"|\b(?:(?:the|an?)\s+)?" + r"\W+".join([*front, stem]) + r"(?:e?s)?\b"
    return re.compile(said, re.IGNORECASE)
