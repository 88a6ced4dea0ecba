"""Sentences and words of a rationale."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from tinyllm_cli.rationales.gates.lexicon import FILLER, STOPWORDS

WORDS = 50_000
"""Words whose stems are kept. Texts also have numbers and names without end, which must not fill the memory."""

_ABBREVIATIONS = frozenset({"e.g", "i.e", "etc", "vs", "dr", "mr", "mrs", "ms", "st", "no", "fig", "approx", "cf"})
_CLOSING = "\"'”’)]*"
_BREAK = re.compile(  # the characters come first, which makes the search fast
    rf"[\n.!?。！？।۔؟](?:(?<=\n)\n*|(?<=[.!?])[{re.escape(_CLOSING)}]*[ \t]+(?=\S)|(?<=[。！？।۔؟]))"
)
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(
    rf"[^\W_{_UNSPACED}{_IDEOGRAPHS}]+(?:['’][^\W_{_UNSPACED}{_IDEOGRAPHS}]+)*|[{_IDEOGRAPHS}]|[{_UNSPACED}]{{1,4}}"
)
"""In scripts without spaces, a character or a few count as a word."""

_PLAIN_WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")
"""The same for lower-case ASCII, twice as fast."""

_SPACED = {number: " " for number in range(128) if not chr(number).isalnum()}
"""For ASCII without apostrophes, eight times as fast."""

_INITIALS = re.compile(r"(?:[A-Z]\.)+[A-Z]")
_CONNECTIVE = re.compile(
    r"^(?:so|thus|therefore|hence|then|and|also|now|next|finally|first|second|third|fourth|fifth|sixth|seventh|eighth"
    r"|firstly|secondly|thirdly|lastly|some|the|a|an|these|those)\s+"
)
_ENUMERATED = re.compile(r"^[\W_]*(?:[^\W\d_]+\s+)?\d{1,2}\s*[.:)]+(?!\d)")
_NO_WORD = re.compile(r"[\W_]+")
NEGATION = re.compile(
    r"\b(?:not|no|never|neither|nor|incorrect|wrong|false|cannot|except|eliminate)\b|n['’]t\b",
    re.IGNORECASE,
)
_ENDS = frozenset(".!?…。！？।۔؟")
_STATED = re.compile(  # `The answer is (b)`, `**Answer: (b) fur**`: complete without a full stop
    r"(?:\b(?:answer|option|choice) is:? (?:option )?(?:\(?[a-z]\)|[b-h]|['\"“‘][^'\"”’]+['\"”’])"
    r"|^[*_]*(?:final |correct )?answer:[*_]* *(?:\(?[a-z]\)[^.\n()]{0,80}|[a-h]))[*_]*$",
    re.IGNORECASE,
)
_ENUMERATOR = re.compile(
    r"(?:step|hint|point|reason|option)?\s*\(?(?:\d{1,4}|[a-z]|[ivx]{1,4})\)?\s*[.):]?\)?$", re.IGNORECASE
)


class Sentence(NamedTuple):
    """A piece of a text from `start` to `end`: a sentence, or a line where lines end without a full stop."""

    text: str
    start: int
    end: int

    @property
    def whole(self) -> bool:
        """It is complete."""
        stripped = self.text.rstrip()
        closed = stripped.rstrip(_CLOSING)
        if closed[-1:] not in _ENDS:
            return _STATED.search(stripped) is not None
        last = stripped.rstrip(_CLOSING + ".!?").rpartition(" ")[2].lower()
        return not (last in _ABBREVIATIONS and last != "etc" and last != "no")

    @property
    def heading(self) -> bool:
        """Only numbers what follows: `2.`, `(b)`, `Step 3:`."""
        return bool(_ENUMERATOR.fullmatch(self.text.strip()))


@lru_cache(maxsize=64)  # several gates use the same text
def sentences(text: str) -> tuple[Sentence, ...]:
    """The sentences in order, without the white space between them. Abbreviations and numbers end no sentence."""
    found: list[Sentence] = []
    start = 0
    for match in _BREAK.finditer(text):
        end = match.end()
        if text[match.start()] != "\n" and _continues(text[start : match.start() + 1]):
            continue
        _add(found, text, start, end)
        start = end
    _add(found, text, start, len(text))
    return tuple(found)


def _continues(piece: str) -> bool:
    last = piece.rstrip(".").rpartition(" ")[2].lstrip("(")
    return (
        last.lower() in _ABBREVIATIONS
        or _INITIALS.fullmatch(last) is not None
        or _ENUMERATOR.fullmatch(piece.strip()) is not None
    )


def _add(found: list[Sentence], text: str, start: int, end: int) -> None:
    piece = text[start:end].rstrip()
    if own := piece.lstrip():
        found.append(Sentence(own, start + len(piece) - len(own), start + len(piece)))


@lru_cache(maxsize=256)  # of a question and of the sentences of its rationale, in all rounds
def words(text: str) -> tuple[str, ...]:
    """Lower-case words and numbers; the typographic apostrophe counts as an apostrophe."""
    if text.isascii():
        low = text.lower()
        return tuple(_PLAIN_WORD.findall(low) if "'" in low else low.translate(_SPACED).split())
    return tuple(_WORD.findall(text.lower().replace("’", "'")))


@lru_cache(maxsize=64)
def shape(text: str) -> str:
    """A sentence without case, punctuation, leading number and connectives, to compare it with others."""
    plain = _ENUMERATED.sub(" ", text.lower())
    plain = " ".join((plain.translate(_SPACED) if plain.isascii() else _NO_WORD.sub(" ", plain)).split())
    while (rest := _CONNECTIVE.sub("", plain)) != plain:
        plain = rest
    return plain


@lru_cache(maxsize=WORDS)
def stem(word: str) -> str:
    """A crude stem: `replicates` and `replication` have the same."""
    word = word.replace("’", "'").removesuffix("'s")
    for suffix in (
        "ations",
        "ation",
        "ings",
        "ing",
        "ies",
        "ied",
        "ions",
        "ion",
        "ers",
        "er",
        "ed",
        "es",
        "ly",
        "s",
        "e",
        "y",
    ):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word[: -len(suffix)]
            break
    if len(word) > 3 and (word[-1] == word[-2] or word[-1] in "yei"):
        return word[:-1]
    return word


FILLER_STEMS = frozenset(map(stem, FILLER))


@lru_cache(maxsize=64)
def content(text: str) -> tuple[str, ...]:
    """The stems of the words that have a meaning of their own."""
    return tuple(filter(None, map(_meaning, words(text))))


@lru_cache(maxsize=WORDS)
def _meaning(word: str) -> str:
    """A word's stem; empty if it has no meaning of its own."""
    return "" if word in STOPWORDS or word.endswith(("n't", "n’t", "'s")) else stem(word)
