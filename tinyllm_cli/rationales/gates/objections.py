"""Objections about the answer that a text claims: each takes a text and its question, and gives a reason or None."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import chain

from tinyllm_cli.datasets.question import LETTERS, Question
from tinyllm_cli.rationales.gates.language import understood
from tinyllm_cli.rationales.gates.plain_options import distinct_options, plain_options, plain_text
from tinyllm_cli.rationales.gates.text import FILLER_STEMS, NEGATION, content, sentences, stem, words

_CLAIM = re.compile(
    r"(?:(?:answer|option|choice|solution)(?:\s+(?:left|remaining|that\s+(?:remains|is\s+left)))?"
    r"\s*(?:(?:would|must|should|will)\s+be|is|[*_]*:[*_]*|=)|left\s+with|leaves(?:\s+us)?(?:\s+with)?)"
    r"\s*(?:only\s+)?(?:the\s+)?(?:answer|option|choice)?\s*:?\s*[\"'“‘*]*"
    r"(?:\(([a-z])\)|([a-h])(?=[).:,;\"'”’*]|\s*(?:\n|$)|\s+(?:because|since|as|which)\b))",
    re.IGNORECASE,
)
_LETTER_RIGHT = re.compile(
    r"(?:\(([a-z])\)|\b(?:option|answer|choice)\s+([a-h])\b|^[ \t]*([a-z])\))(?:[^.\n()]{0,60}?)"
    r"\s(?:is|would\s+be|must\s+be)\s+(?:the\s+|an?\s+)?(?:most\s+|only\s+)?(?:correct|right|best|true|answer)\b",
    re.IGNORECASE | re.MULTILINE,
)
_CHOOSE = re.compile(
    r"\b(?:choose|select|pick|go\s+with|choosing)\s+(?:the\s+)?(?:option\s+|answer\s+|choice\s+)?\(([a-z])\)"
    r"|^\s*(?:so,?\s+)?it(?:\s+is|['’]s)\s+(?:option\s+)?\(([a-z])\)(?=[.,;!]|\s*$)",
    re.IGNORECASE | re.MULTILINE,
)
_ANNOUNCING = ("answer", "option", "choice", "solution", "left", "leaves", "thing", "possibility")
"""Every match of _CLAIM or _SAID has one of these; a quick test before the patterns run."""

_SAID = re.compile(
    r"\b(?:answer|option|choice|(?:only|one|best|right|correct)\s+thing|possibility)(?:\s+(?:left|remaining|that\s+(?:remains|is\s+left)))?\s*(?:is|would\s+be|must\s+be|should\s+be|:)"
    r"|of\s+the\s+(?:above|given)\s+(?:choices|options)|left\s+with|leaves\s+us\s+with",
    re.IGNORECASE,
)
_IT_IS = re.compile(r"(?:so,?\s+)?it(?:\s+is|['’]s)\s+(.{1,80})", re.IGNORECASE)
_CONCLUDES = re.compile(r"^(?:so|thus|therefore|hence|consequently|in\s+conclusion|finally)\b", re.IGNORECASE)


def wrong_answer(text: str, question: Question) -> str | None:
    """The last claim about the answer names an option other than the gold one, or the gold one is denied."""
    claimed = claim(text, question)
    if claimed is None:
        return f"denies the answer, ({LETTERS[question.answer]})" if _denied(text, question) else None
    if claimed == question.answer:
        return None
    return f"says that the answer is ({LETTERS[claimed]}); it is ({LETTERS[question.answer]})"


def _denied(text: str, question: Question) -> bool:
    """The gold option is denied wherever it is named, and exactly one other option is in a sentence without a negation.
    False if the question or the gold option has a negation itself."""
    gold = plain_options(question.options)[question.answer]
    if not NEGATION.search(text) or question.answer not in _named(text, question.options):
        return False
    if _UNLIKE.search(f"{question.text} {question.gold}"):
        return False
    asserted: set[int] = set()
    denied = False
    asked = set(_named(question.text, question.options))
    for sentence in sentences(text):
        named = set(_named(sentence.text, question.options))
        if question.answer in named and not _refuses(sentence.text, gold, question.options):
            return False
        denied |= question.answer in named
        if not NEGATION.search(sentence.text) and not sentence.text.endswith("?"):
            asserted |= named
    return denied and question.answer not in asked and len(asserted - asked) == 1


_UNLIKE = re.compile(
    r"\b(?:not|no|non|never|neither|nor|none|without|except|cannot|incorrect|wrong|false|less|least|unlikely"
    r"|aside\s+from|other\s+than)\b|n['’]t\b",
    re.IGNORECASE,
)


def _refuses(sentence: str, gold: str, options: tuple[str, ...]) -> bool:
    """`<gold> is not`, `<gold> can't`, `not <gold>`, `not in <gold>`: the negation is of the option."""
    plain = f" {plain_text(sentence, options)} "
    before, _, after = plain.partition(f" {gold} ")
    return bool(_NO_AFTER.match(after) or _NO_BEFORE.search(f"{before} "))


_NO_AFTER = re.compile(  # of stems
    r"(?:(?:is|are|was|wer|do|doe|does|did|can|could|wil|will|would|should|must|has|hav|have) not\b|\w+n't\b|cannot\b)"
)
_NO_BEFORE = re.compile(r"(?:\bnot|n't|\bcannot)(?: (?:be|in|on|at|of|by|to|from|with|use|go))* $")


@lru_cache(maxsize=16)  # used by two gates
def claim(text: str, question: Question) -> int | None:
    """The option that a rationale claims to be the answer, by letter or by its text; None if it claims none.

    Of several claims the last one counts."""
    found: list[tuple[int, int]] = []
    low = text.lower()
    announced = any(word in low for word in _ANNOUNCING)
    lettered = announced or ")" in text
    for pattern in (*((_CLAIM,) if announced else ()), *((_LETTER_RIGHT, _CHOOSE) if lettered else ())):
        for match in pattern.finditer(text):
            option = _lettered(match, text, question)
            before = text[max(0, match.start() - 12) : match.start()]
            negated = NEGATION.search(match[0]) or NEGATION.search(before) or _IS_WRONG.match(text, match.end())
            if option is not None and not negated:
                found.append((match.start(), option))
    for sentence in sentences(text):
        stated = _SAID.search(sentence.text) if announced else None
        if stated or _CONCLUDES.match(sentence.text):
            option = _first_option(sentence.text[stated.end() :], question) if stated else None
            option = _only_option(sentence.text, question) if option is None else option
            if option is None:
                continue
            said = _without(sentence.text, question.options[option]) if stated else sentence.text
            if not NEGATION.search(said):
                found.append((sentence.start + (stated.start() if stated else 0), option))
        elif it := _IT_IS.fullmatch(sentence.text):
            meant = plain_text(it[1], question.options)
            same = [index for index, own in enumerate(plain_options(question.options)) if meant and own == meant]
            found += [(sentence.start, index) for index in same[:1]]
    return max(found)[1] if found else None


_IS_WRONG = re.compile(
    r"[^\w.!?\n]{0,3}\s*(?:is|was|would\s+be|seems|must\s+be)\s+(?:clearly\s+)?(?:not\b|incorrect|wrong|false)",
    re.IGNORECASE,
)
"""`Answer: (c) is incorrect` claims nothing."""


def _lettered(match: re.Match[str], text: str, question: Question) -> int | None:
    """The option of the letter in `match`. If an option's text begins at a bare letter (`C. elegans`, `C major`), it is
    that option."""
    group = next(number for number, letter in enumerate(match.groups(), start=1) if letter)
    letter = match[group].lower()
    if text[match.start(group) - 1] != "(":
        following = f"{plain_text(text[match.start(group) :], question.options)} "
        begun = [
            (len(own), index)
            for index, own in enumerate(plain_options(question.options))
            if len(own) > 1 and following.startswith(f"{own} ")
        ]
        if begun:
            return max(begun)[1]
    return LETTERS.index(letter) if letter in LETTERS[: len(question.options)] else None


def _without(text: str, option: str) -> str:
    """Without the option's own words: `The answer is no` denies nothing."""
    own = " ".join(words(option))
    return f" {' '.join(words(text))} ".replace(f" {own} ", " ", 1) if own else text


def _only_option(text: str, question: Question) -> int | None:
    """The option whose text is in a sentence, if it is only one; of several the first, if the gold one is not among
    them. An option within another counts once."""
    named = _named(text, question.options) or _meant(text, question.options)
    longest = [
        index for index in named
        if not any(other != index and _within(index, other, question.options) for other in named)
    ]  # fmt: skip
    return longest[0] if len(longest) == 1 or (longest and question.answer not in longest) else None


def _named(text: str, options: tuple[str, ...]) -> list[int]:
    plain = f" {plain_text(text, options)} "
    return [index for index, own in enumerate(plain_options(options)) if own and f" {own} " in plain]


def _meant(text: str, options: tuple[str, ...]) -> list[int]:
    """Options of several meaningful words that are all in the text, in any order."""
    there = set(content(text))
    return [index for index, option in enumerate(options) if len(own := set(content(option))) > 1 and own <= there]


def _first_option(text: str, question: Question) -> int | None:
    """The option whose text comes first after an announced answer, also without the words that all options begin with;
    of several at one place the longest."""
    plain = f" {plain_text(text, question.options)} "
    found = [
        (plain.index(f" {own} "), -len(own), index)
        for options in (plain_options(question.options), distinct_options(question.options))
        for index, own in enumerate(options)
        if own and f" {own} " in plain
    ]
    return min(found)[2] if found else None


def _within(index: int, other: int, options: tuple[str, ...]) -> bool:
    plain = plain_options(options)
    return plain[index] != plain[other] and f" {plain[index]} " in f" {plain[other]} "


def letter_only(text: str, question: Question) -> str | None:
    """The text names the answer, and no reason."""
    asserts = (
        claim(text, question) is not None
        or _BARE_LETTER.fullmatch(text) is not None
        or any(_says_no_more(text, option) for option in question.options)
    )
    if not asserts or _explains(text, question):
        return None
    rest = re.sub(r"\(?\b[a-z]\)", " ", understood(text, question), flags=re.IGNORECASE)
    rest = _CLAIM.sub(" ", rest)
    own = option_stems(question.options)
    left = [word for word in content(rest) if word not in own and word not in FILLER_STEMS and not word.isdigit()]
    return None if left else "names the answer and no reason"


_BARE_LETTER = re.compile(r"[^\w]*[a-h][^\w]*", re.IGNORECASE)


def _says_no_more(text: str, option: str) -> bool:
    return " ".join(words(text)) == " ".join(words(option))


def _explains(text: str, question: Question) -> bool:
    """The text has two words of the question beside the answer: then it is an echo, not a bare answer."""
    asked = set(content(question.text)) - option_stems(question.options)
    return len(asked & set(content(text))) >= 2


@lru_cache(maxsize=256)
def option_stems(options: tuple[str, ...]) -> frozenset[str]:
    """The stems of all words of the options."""
    return frozenset(map(stem, chain.from_iterable(map(words, options))))
