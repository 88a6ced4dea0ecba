"""Repairs of a rationale: each takes a text and returns what is left and the reason, or None if there is no defect."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from tinyllm_cli.rationales.gates.lexicon import UNENDING, VERBS
from tinyllm_cli.rationales.gates.text import Sentence, sentences, words

Repair = tuple[str, str]
"""What is left of the text, and the reason."""

_OPENINGS = re.compile(
    r"""\s*(?:
      (?:(?:ok(?:ay)?|alright|well)[,.]?\s+)?let(?:(?:'|’)?s|\s+me)\s+(?:think|go|work|break|reason|solve|walk)\b[^.:!?\n]{0,60}?
        (?:step[\s-]*by[\s-]*step|through\ (?:this|it))[^.:!?\n]{0,20}[.:!,]*
    | (?:sure(?:\ thing)?|certainly|of\ course|absolutely|okay|great\ question)\s*
        (?:[.:!,]+|[,!]?\s+(?=here|i(?:'|’)|i\ |let\ |happy))
        (?:\s*(?:here|i(?:'|’)(?:d|ll)|i\ (?:can|will|would)|let\ me|happy)\b[^.:!?\n]{0,80}[.:!]+)?
    | here(?:'|’)?s?\s+(?:is\s+)?(?:the|a|my|an)\s+(?:\w+\s+){0,3}(?:rationale|explanation|reasoning|answer)\b
        [^.:!?\n]{0,40}[.:!]+
    | (?:rationale|explanation|reasoning|reason|solution|thought)\s*[:\-]+
    | (?:the\s+)?(?:correct\s+|right\s+)?answer\s*:\s*\(?[a-z](?!\)?\s+(?:is|was|would|can)\b)\)?(?:[.):]|\b)
        [^\n]{0,80}(?:\n|$)
    )\s*""",
    re.IGNORECASE | re.VERBOSE,
)
_STRAY = re.compile(
    r"""[ \t]*(?:
      [^\s.,:;!?]{1,15}[:.]?[ \t]*\n+
    | [^\sA-Za-z0-9("'“‘\[]{1,15}\s*
    | [^\W\d_]{0,15}[^\x00-ɏ\s–—-‟…]\S{0,15}[ \t]+
    )""",
    re.VERBOSE,
)
"""Noise after an opening: a word alone on its line, or one in another script."""

_NEXT = re.compile(
    r"""\n[ \t]*(?:
      \#+(?!\#|[ \t]*step\b)(?:[ \t]|\n|$|\w)
    | (?:question|problem|exercise|q)\s*(?:\.|no\.?|number)?\s*\d*\s*[:.)\]]
    | (?:question|problem|exercise|example)\s+\d+\b
    | q\s*\.?\s*\d+
    | (?:answer\ )?(?:options?|choices)\s*:
    | (?:answers?|rationale|context|passage)\s*(?:explanations?)?\s*:?[ \t]*(?=\n|$)
    | comment\s*:
    | qa\s*->
    | rationale\s*:
    | (?:question|options?|answers?|rationale)\s*$
    | answers?\s+(?:to|key)\b
    | (?:chapter|section|lesson|part|unit|exercise)\s+\d+
    | [-=_*]{4,}
    | next\s+question
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_INLINE_NEXT = re.compile(r"[ \t](?<=[.!?)][ \t])[ \t]*(?:\#+|(?:Question|Q)\s*\d*\s*[:.)]|Options:)")


def without_opening(text: str) -> Repair | None:
    """Without "Let's think step by step." and other openings that are independent of the question."""
    rest = text
    while match := _OPENINGS.match(rest):
        if not match[0].strip():
            break
        rest = rest[match.end() :]
        if stray := _STRAY.match(rest):
            rest = rest[stray.end() :]
    rest = rest.strip()
    if rest == text.strip():
        return None
    said = text.strip()[: len(text.strip()) - len(rest)].strip()
    return rest, f"opens with '{short(said)}'"


def before_next_question(text: str) -> Repair | None:
    """The text before the next question that the teacher invents."""
    found = [match for match in (_next(text), _INLINE_NEXT.search(text)) if match]
    if not found:
        return None
    match = min(found, key=lambda one: one.start())
    if _BARE.fullmatch(text, match.start()):
        return None
    return text[: match.start()].rstrip(), f"continues with '{short(text[match.start() :].strip())}'"


_BARE = re.compile(
    r"[\W_]*(?:option|answers?|rationale|explanation)\b(?:[\W_]|\b(?:option|answers?|rationale|explanation|[a-e]|r)\b)*",
    re.IGNORECASE,
)
"""A label such as `Answer:` with at most a letter."""


def without_marker(text: str) -> Repair | None:
    """Without an `Answer:` at the end that nothing or a letter follows: it is no next question."""
    match = _next(text)
    if match is None or not _BARE.fullmatch(text, match.start()):
        return None
    return text[: match.start()].rstrip(), f"stops at '{short(text[match.start() :].strip())}'"


_FIRST = re.compile(r"\w+")


@lru_cache(maxsize=8)  # used by two repairs
def _next(text: str) -> re.Match[str] | None:
    """Searches after the first word: a marker at the beginning starts this rationale, not another question."""
    word = _FIRST.search(text)
    return _NEXT.search(text, word.end()) if word else None


def ends_sentences(text: str) -> bool:
    """Whether this writer ends sentences with a full stop: one before the last sentence shows it."""
    return any(one.whole and not one.heading for one in sentences(text)[:-1])


def up_to_whole_sentence(text: str, style: bool) -> Repair | None:
    """Without an unfinished sentence at the end. If the writer ends no sentence (`style`), the last one counts as
    complete, unless its last word can't end a sentence."""
    found = list(sentences(text))
    if not found or (found[-1].whole and not found[-1].heading):
        return None
    last = found[-1]
    if (
        _OPTION.fullmatch(last.text)
        or (len(found) == 1 and last.heading)
        or (not style and not last.heading and _may_end(last.text))
    ):
        return None
    while found and (found[-1].heading or not (found[-1].whole or _listed(found))):
        found.pop()
    rest = text[: found[-1].end] if found else ""
    return rest, f"stops at '{short_end(last.text)}'"


_OPTION = re.compile(r"\d{1,2}\.\s*\([a-z]\)|[a-h]")
"""An answer that is only a letter."""


_ITEM = re.compile(r"\(?(?:\d{1,2}|[a-h])[.)]\s|[•*-]\s")


def _listed(found: Sequence[Sentence]) -> bool:
    """The last sentence is an item of a list whose items have no full stop."""
    if not _item(found, len(found) - 1) or not _may_end(found[-1].text):
        return False
    return sum(not one.whole and _item(found, index) for index, one in enumerate(found)) >= 2


def _item(found: Sequence[Sentence], index: int) -> bool:
    return _ITEM.match(found[index].text) is not None or (index > 0 and found[index - 1].heading)


def _may_end(text: str) -> bool:
    """It has a verb and at least four words, and its last word can end a sentence."""
    own = words(text)
    return (
        len(own) >= 4
        and own[-1] not in UNENDING
        and text.rstrip()[-1:] not in ",:;-(/"
        and any(word in VERBS or (word.endswith("s") and not word.endswith("ss")) for word in own[1:])
    )


def that_fits(text: str, limit: int, length: Callable[[str], int]) -> Repair | None:
    """The complete sentences at the beginning that fit into `limit` tokens."""
    total = length(text)
    if total <= limit:
        return None
    reason = f"has {total} tokens, the student learns {limit}"
    ends = [sentence.end for sentence in sentences(text)]
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high) // 2
        if length(text[: ends[middle]]) <= limit:
            low = middle + 1
        else:
            high = middle
    return (text[: ends[low - 1]] if low else ""), reason


def short(text: str, size: int = 40) -> str:
    """The beginning of a text for a message, cut between words."""
    plain = " ".join(text.split())
    return plain if len(plain) <= size else f"{_whole_words(plain[: size - 3], plain[size - 3])}..."


def short_end(text: str, size: int = 40) -> str:
    """The end of a text for a message, cut between words."""
    plain = " ".join(text.split())
    if len(plain) <= size:
        return plain
    end = plain[3 - size :]
    return "..." + (end if plain[2 - size] == " " else end.partition(" ")[2] or end).lstrip()


def _whole_words(start: str, following: str) -> str:
    return start.rstrip() if following == " " else (start.rpartition(" ")[0] or start)
