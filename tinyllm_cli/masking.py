"""A rationale without the answer that it names: what is left must carry the reasoning. Pure."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from tinyllm_cli.datasets.question import LETTERS, Question

MASK = "___"

_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
"""Scripts in which a word may stand within a run of letters."""

_NAMES = r"\b(?:answers?|options?|choices?|alternative|solution)\b"
_EQUALS = r"(?:[^\w.!?\n]{0,4}\b(?:is|are|was|be|would\s+be|must\s+be|should\s+be|will\s+be)\b)?"
_GAP = r"(?:[:=][^\w.!?]{0,6}|[^\w.!?\n]{0,6})"
_IT_IS = r"\bit(?:['’]s|\s+is|\s+(?:must|should|would|has\s+to)\s+be)\s+"
_SO = r"(?:^|[.!?,;:\n]\s*|\b(?:so|thus|hence|therefore|that|only)\s+)"
_RIGHT = r"\s+(?:is|must\s+be|would\s+be)\s+(?:the\s+)?(?:only\s+|most\s+)?(?:right|correct|true|best|answer)\b"
_AFTER_A = r"(?! +(?!(?:because|since|as|which|and|or|due|is)\b)[^ ])"
"""A before a word is an article, unless the word goes on about the letter."""


def masked(text: str, question: Question) -> str:
    """`text` with the gold option's words and its letter taken out, whatever the case, article or number of a noun."""
    without_words = _words(question.gold).sub(MASK, text) if question.gold.strip() else text
    return _letter(LETTERS[question.answer]).sub(
        lambda match: "".join(filter(None, match.groups())) + MASK, without_words
    )


@lru_cache(maxsize=64)
def _letter(letter: str) -> re.Pattern[str]:
    """`(b)`, `b)`, `option b`, `the answer is b`, `answer: b`, `it must be B`, `B is right`. What stands before the
    letter is a group, and stays."""
    end = rf"(?![\w'’]){_AFTER_A if letter.lower() == 'a' else ''}"
    capital = rf"(?-i:{letter.upper()})"
    return re.compile(
        rf"\({letter}\)|(?<![\w(]){letter}\)"
        rf"|({_NAMES}{_EQUALS}{_GAP}){letter}{end}"
        rf"|({_IT_IS}){capital}(?=[.,;!\n]|$)"
        rf"|({_SO}){capital}(?={_RIGHT})",
        re.IGNORECASE,
    )


@lru_cache(maxsize=512)
def _words(gold: str) -> re.Pattern[str]:
    """The option's own words, with an article before them, the last one in any number."""
    words = re.findall(r"\w+", re.sub(r"^(?:the|an?)\s+(?=\w)", "", gold.strip(), flags=re.IGNORECASE))
    if not words or unicodedata.name(words[0][0], "").startswith(_UNSPACED):
        return re.compile(re.escape(gold.strip()))
    last = "|".join(map(re.escape, sorted(_numbers(words[-1]), key=len, reverse=True)))
    named = r"\W+".join([*map(re.escape, words[:-1]), f"(?:{last})"])
    return re.compile(rf"\b(?:(?:the|an?)\s+)?{named}\b", re.IGNORECASE)


_HISSING = ("ses", "xes", "zes", "ches", "shes", "oes")


def _numbers(word: str) -> set[str]:
    """A noun and what may be its singular and its plural: `box` and `boxes`, `berry` and `berries`, `leaf` and
    `leaves`."""
    word = word.lower()
    singular = {word}
    if len(word) > 3 and word.endswith("s"):
        singular.add(word[:-1])
        singular |= {word[:-2]} if word.endswith(_HISSING) else set()
        singular |= {f"{word[:-3]}y"} if word.endswith("ies") else set()
        singular |= {f"{word[:-3]}f", f"{word[:-3]}fe"} if word.endswith("ves") else set()
    forms = set(singular)
    for one in singular:
        forms |= {f"{one}es" if one.endswith(("s", "x", "z", "ch", "sh", "o")) else f"{one}s"}
        forms |= {f"{one[:-1]}ies"} if one.endswith("y") else set()
        forms |= {f"{one[:-1]}ves"} if one.endswith("f") else {f"{one[:-2]}ves"} if one.endswith("fe") else set()
    return forms
