"""A rationale with the answer masked, so that only the reasoning is left. Pure."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from tinyllm_cli.datasets.question import LETTERS, Question
from tinyllm_cli.rationales.gates.lexicon import STOPWORDS

MASK = "___"

_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
"""Scripts without spaces between words."""

_NAMES = (
    r"\b(?:answers?|options?|choices?|alternative|solution)\b"
    r"(?:\s+(?:left|remaining|that\s+(?:remains|is\s+left))\b)?"
)
_EQUALS = r"[^\w.!?\n]{0,4}\b(?:is|are|was|be|(?:would|must|should|will|has\s+to)\s+be)\b"
_GAP = (
    r"(?:[:=][^\w.!?]{0,6}|[^\w.!?\n]{0,6})"
    r"(?:(?:clearly|definitely|likely|obviously|probably|simply|still|surely|therefore|thus)\s+)?"
)
_IT_IS = r"\b(?:it|this|that|one|letter)(?:['’]s|\s+is|\s+(?:must|should|would|has\s+to)\s+be)\s+"
_THEN = r"(?=\s*(?:[.,;!\n(]|$)|\s+(?:because|since|as|which)\b)"
_SO = r"(?:^|[.!?,;:\n][ \t]*|\b(?:so|thus|hence|therefore|that|only|and|but|means|think|because)\s+)"
_RIGHT = r"\s+(?:is|must\s+be|would\s+be)\s+(?:the\s+)?(?:only\s+|most\s+)?(?:right|correct|true|best|answer)\b"
_NO_ARTICLE = r"(?! +(?!(?:because|since|as|which|and|or|due|is|would|must)\b)[a-z])"
"""After the letter A: it is not the article of a following word."""


def masked(text: str, question: Question) -> str:
    """`text` with the gold option's words and its letter masked, in any case, with any article, in either number."""
    without_words = _words(question.gold).sub(_mask, text) if question.gold.strip() else text
    return _letter(LETTERS[question.answer]).sub(_mask, without_words)


def _mask(match: re.Match[str]) -> str:
    """Groups are kept."""
    return "".join(filter(None, match.groups())) + MASK


@lru_cache(maxsize=64)
def _letter(letter: str) -> re.Pattern[str]:
    """`(b)`, `b)`, `option b`, `the answer is b`, `answer: b`, `it must be B`, `B is right`. The text before the
    letter is a group, and is kept."""
    article = _NO_ARTICLE if letter.lower() == "a" else ""
    capital = rf"(?-i:{letter.upper()})(?![\w'’])"
    return re.compile(
        rf"\({letter}\)|(?<![\w(]){letter}\)"
        rf"|(\b(?:option|choice|alternative) +){capital}"
        rf"|({_NAMES}(?:{_EQUALS})?{_GAP}){letter}(?![\w'’]){article}"
        rf"|({_IT_IS}){capital}{_THEN}"
        rf"|({_SO}){capital}(?={_RIGHT})",
        re.IGNORECASE,
    )


@lru_cache(maxsize=512)
def _words(gold: str) -> re.Pattern[str]:
    """The option's words, with an article before them, the last one in singular and plural. In a script with combining
    marks, such as Thai, they are searched for as written. A function word such as `no` is masked only where it is
    named as the answer."""
    own = gold.strip().strip("\"'“”‘’.,;:!?。，！？()")
    bare = re.sub(r"^(?:the|an?)\s+(?=\w)", "", own, flags=re.IGNORECASE)
    words = re.findall(r"\w+", bare)
    if not words or any(unicodedata.category(letter) in ("Mn", "Mc") for letter in own):
        return re.compile(re.escape(own or gold.strip()))
    letter = len(words) == 1 and re.fullmatch("[a-z]", words[0], re.IGNORECASE)
    if letter and bare != words[0]:  # C++ is no C
        return re.compile(rf"(?<!\w){re.escape(bare)}", re.IGNORECASE)
    if letter or (len(words) == 1 and words[0].lower() in STOPWORDS):
        return _named(words[0])
    last = "|".join(map(re.escape, sorted(_numbers(words[-1]), key=len, reverse=True)))
    named = r"\W+".join([*map(re.escape, words[:-1]), f"(?:{last})"])
    spaced = not any(unicodedata.name(letter, "").startswith(_UNSPACED) for letter in own)
    before, after = (r"\b(?<!\d[.,])", r"\b(?![.,]\d)") if spaced else ("", "")  # 4 is not in 4.5
    return re.compile(rf"{before}(?:(?:the|an?)\s+)?{named}{after}", re.IGNORECASE)


def _named(word: str) -> re.Pattern[str]:
    """`No, ...`, `so no.`, `the answer is (b) no`, `it must be "no"`. The text before the word is a group, and
    is kept."""
    ends = r"(?=[\"'”’*]*\s*(?:[.,:;!?()\n]|$)|[\"'”’*]*\s+(?:because|since|as|which)\b)"
    opens = r"(?:\(?\b[a-z]\)[:.]?\s*)?[\"'“‘*]*"
    before = rf"(?:^|[.!?:\n])[ \t]*|\b(?:so|thus|hence|therefore),?\s+|{_NAMES}(?:{_EQUALS})?{_GAP}|{_IT_IS}"
    return re.compile(
        rf"((?:{before}){opens}){re.escape(word)}{ends}",
        re.IGNORECASE,
    )


def _numbers(word: str) -> set[str]:
    """Possible singular and plural forms of a noun: `box` and `boxes`, `berry` and `berries`, `leaf` and `leaves`; no
    function words."""
    word = word.lower()
    singular = {word}
    if len(word) > 3 and word.endswith("s"):
        singular.add(word[:-1])
        singular |= {word[:-2]} if word.endswith(_HISSING) and len(word) > 4 else set()
        singular |= {f"{word[:-3]}y"} if word.endswith("ies") else set()
        singular |= {f"{word[:-3]}f", f"{word[:-3]}fe"} if word.endswith("ves") else set()
    forms = set(singular)
    for one in singular:
        forms |= {f"{one}s"} if not one.endswith(("s", "x", "z", "sh")) else set()
        forms |= {f"{one}es"} if one.endswith(("s", "x", "z", "ch", "sh", "o")) else set()
        forms |= {f"{one[:-1]}ies"} if one.endswith("y") else set()
        forms |= {f"{one[:-1]}ves"} if one.endswith("f") else {f"{one[:-2]}ves"} if one.endswith("fe") else set()
    return {word} | {form for form in forms if form not in STOPWORDS}


_HISSING = ("ses", "xes", "zes", "ches", "shes", "oes")
