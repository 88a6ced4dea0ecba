"""How a teacher's reply is read: its rationale, and the option that it states.

Reading is pure and can be repeated: the store keeps the raw reply.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from backends.reply_text import text_span
from tinyllm_cli.datasets.matching import _same, match_option
from tinyllm_cli.datasets.question import LETTERS

STOP = ("\nQuestion:", "\nQ:", "\nOptions:", "\nAnswer Choices:")
"""Where a reply ends: what follows is an invented next question."""


def rationale_text(raw: str) -> str:
    """The part of a raw reply that is a rationale: its text, up to a hallucinated next question, without outer white
    space."""
    text = without_thinking(raw)
    cut = min((text.index(stop) for stop in STOP if stop in text), default=len(text))
    return text[:cut].strip()


def without_thinking(raw: str) -> str:
    """The text of a raw reply, without reasoning and chat markup; empty when the reply never leaves its reasoning."""
    begin, end = text_span(raw)
    return raw[begin:end]


def text_begin(raw: str) -> int:
    """Where that text begins in the raw reply."""
    return text_span(raw)[0]


_SIGN = r"(?:answer|option)[*_]*\s*(?:is|:|=)[*_]*\s*:?\s*[*_]*\s*(?:option\s+)?"


_LETTER_SAID = (
    r"(?:\(([a-z])\)"  # (b)
    r"|([ai])(?=[).:,;\"*`\]}$]|\s*(?:\n|$))"  # a bare a or i may be a word: only at an end
    r"|([b-hj-z])(?![\w'’-]))"
    r"(?!\)?\s*(?:or|and|/|&)\s*\(?[a-z]\b)"  # "b or c" states nothing
)


_DRESS = r"[\"'*`$\[]*(?:\\(?:boxed|text|textbf)\{)*"  # as models that were trained on mathematics write it


_STATED = re.compile(_SIGN + _DRESS + _LETTER_SAID, re.IGNORECASE)


def own_answer(recorded: int | None, reply: str, options: Sequence[str]) -> int | None:
    """The option that the source of a reply recorded beside it, or that the reply names; None where neither does.

    What is no option's index, such as -1 for 'unknown', is nothing recorded."""
    if recorded is not None and 0 <= recorded < len(options):
        return recorded
    return stated_answer(reply, options)


def stated_answer(reply: str, options: Sequence[str]) -> int | None:
    """The option that a free reply ends up naming, or None: never a guess.

    What follows the last "answer is" counts when it is an option's text; then the last "answer is (b)" or
    "Answer: b"; without one, a reply that is an option."""
    text = rationale_text(reply)
    tail = re.split(_SIGN, text, flags=re.IGNORECASE)[-1]
    if not tail.lstrip("\"'*").startswith("("):
        same = _same(tail, options)
        if same is not None:
            return same
    letters = LETTERS[: len(options)]
    named = ["".join(filter(None, match.groups())).lower() for match in _STATED.finditer(text)]
    valid = [letter for letter in named if letter in letters]
    if valid:
        return letters.index(valid[-1])
    for candidate in (text, tail):
        option = match_option(candidate, options)
        if option is not None:
            return option
    return None
