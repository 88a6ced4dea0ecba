"""The parts of a teacher's raw reply: its rationale, its explanation, and the option that it states.

Pure and repeatable: the store keeps the raw reply.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from backends.reply_text import text_span
from tinyllm_cli.datasets.matching import match_option, stated_option

STOP = ("\nQuestion:", "\nQ:", "\nOptions:", "\nAnswer Choices:")
"""Where a reply ends: what follows is a hallucinated next question."""

_LABELLED = re.compile(
    r"(?:^|(?<=[.!?:;)])[ \t]+)[ \t*_#>\"'-]*(?:so,?[ \t]+)?(?:(?:the|my)[ \t]+)?"
    r"(?:(?:final|correct|right|best)[ \t]+)?answer(?:[ \t]+choice)?[*_\"']*[ \t]*[:=][*_\"' \t]*(?P<stated>[^\n]*)$",
    re.IGNORECASE | re.MULTILINE,
)
"""`Answer: ...` up to the end of its line: a line of its own, or behind the last sentence."""

_MARKUP = 60
"""Characters of a letter, brackets and markup around an option's text."""


def rationale_text(raw: str) -> str:
    """The part of a raw reply that is a rationale: its text, up to a hallucinated next question, without outer white
    space."""
    text = without_thinking(raw)
    cut = min((text.index(stop) for stop in STOP if stop in text), default=len(text))
    return text[:cut].strip()


def explanation(raw: str, options: Sequence[str]) -> str:
    """What a reply explains: its rationale without what only states the answer, which the prompt of an unforced request
    asks for. This is an `Answer: (b)` at the end of a line, and a first or last line that is an option and nothing
    more. A sentence such as "So the answer is rain." stays, as in a rationale of a teacher that saw the answer."""
    text = rationale_text(raw)
    text = _LABELLED.sub(lambda found: "" if _is_option(found["stated"], options) else found[0], text)
    lines = text.strip().splitlines()
    bare = [number for number, line in enumerate(lines) if _is_option(line, options)]
    if len(bare) == 1 and bare[0] in (0, len(lines) - 1):  # several are a list of the options
        del lines[bare[0]]
    return "\n".join(lines).strip()


def _is_option(line: str, options: Sequence[str]) -> bool:
    """Whether a line is an option and nothing more. A line much longer than every option is not matched at all."""
    return len(line) <= max(map(len, options)) + _MARKUP and match_option(line, options) is not None


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
