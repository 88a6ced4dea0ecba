"""The parts of a teacher's raw reply: its rationale, and the option that it states.

Pure and repeatable: the store keeps the raw reply.
"""

from __future__ import annotations

from collections.abc import Sequence

from backends.reply_text import text_span
from tinyllm_cli.datasets.matching import stated_option

STOP = ("\nQuestion:", "\nQ:", "\nOptions:", "\nAnswer Choices:")
"""Where a reply ends: what follows is a hallucinated next question."""


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


def own_answer(recorded: int | None, reply: str, options: Sequence[str]) -> int | None:
    """The option that the source of a reply recorded beside it, or that the reply states; None where neither does.

    A recorded number that is no option's index, such as -1 for 'unknown', counts as not recorded."""
    if recorded is not None and 0 <= recorded < len(options):
        return recorded
    return stated_answer(reply, options)


def stated_answer(reply: str, options: Sequence[str]) -> int | None:
    """The option that a raw reply ends up stating, or None: never a guess."""
    return stated_option(rationale_text(reply), options)
