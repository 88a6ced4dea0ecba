"""What makes a rationale unfit: an objection takes a text and its question, and gives a reason or None."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, islice, takewhile

from tinyllm_cli.datasets.question import LETTERS, Question
from tinyllm_cli.rationales.gates.language import understood
from tinyllm_cli.rationales.gates.lexicon import STOPWORDS
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
    r"\b(?:choose|select|pick|go\s+with|choosing)\s+(?:the\s+)?(?:option\s+|answer\s+|choice\s+)?\(([a-z])\)",
    re.IGNORECASE,
)
_ANNOUNCING = ("answer", "option", "choice", "solution", "left", "leaves", "thing", "possibility")
"""One of these is in all that _CLAIM or _SAID finds, and is found sooner than they."""

_SAID = re.compile(
    r"\b(?:answer|option|choice|(?:only|one|best|right|correct)\s+thing|possibility)(?:\s+(?:left|remaining|that\s+(?:remains|is\s+left)))?\s*(?:is|would\s+be|must\s+be|should\s+be|:)"
    r"|of\s+the\s+(?:above|given)\s+(?:choices|options)|left\s+with|leaves\s+us\s+with",
    re.IGNORECASE,
)
_IT_IS = re.compile(r"(?:so,?\s+)?it(?:\s+is|['’]s)\s+(.{1,80})", re.IGNORECASE)
_CONCLUDES = re.compile(r"^(?:so|thus|therefore|hence|consequently|in\s+conclusion|finally)\b", re.IGNORECASE)


def wrong_answer(text: str, question: Question) -> str | None:
    """The last claim of what the answer is names another option than the gold one."""
    claimed = claim(text, question)
    if claimed is None:
        return f"denies ({LETTERS[question.answer]}), the answer" if _denied(text, question) else None
    if claimed == question.answer:
        return None
    return f"says the answer is ({LETTERS[claimed]}), and it is ({LETTERS[question.answer]})"


def _denied(text: str, question: Question) -> bool:
    """The gold option is said not to be so, and another one stands in a sentence without a no. Where question or gold
    option say no themselves, nobody can tell."""
    gold = _plain_options(question.options)[question.answer]
    if not NEGATION.search(text) or question.answer not in _named(text, question.options):
        return False
    if _UNLIKE.search(f"{question.text} {question.gold}"):
        return False
    asserted: set[int] = set()
    denied = False
    asked = set(_named(question.text, question.options))
    for sentence in sentences(text):
        named = set(_named(sentence.text, question.options))
        if question.answer in named and not _refuses(sentence.text, gold):
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


def _refuses(sentence: str, gold: str) -> bool:
    """`<gold> is not`, `<gold> can't`, `not <gold>`, `not in <gold>`: the no belongs to the option."""
    plain = f" {_plain(words(sentence))} "
    before, _, after = plain.partition(f" {gold} ")
    return bool(_NO_AFTER.match(after) or _NO_BEFORE.search(before))


_NO_AFTER = re.compile(  # of stems
    r"(?:(?:is|are|was|wer|do|doe|does|did|can|could|wil|will|would|should|must|has|hav|have) not\b|\w+n't\b|cannot\b)"
)
_NO_BEFORE = re.compile(r"(?:\bnot|n't|\bcannot)(?: (?:be|in|on|at|of|by|to|from|with|use|go))* $")


@lru_cache(maxsize=16)  # two gates ask
def claim(text: str, question: Question) -> int | None:
    """The option that a rationale claims to be the answer, by letter or by its text; None where it claims none.

    Of several claims the last one counts."""
    found: list[tuple[int, int]] = []
    low = text.lower()
    announced = any(word in low for word in _ANNOUNCING)
    lettered = announced or ")" in text
    for pattern in (*((_CLAIM,) if announced else ()), *((_LETTER_RIGHT, _CHOOSE) if lettered else ())):
        for match in pattern.finditer(text):
            letter = next(filter(None, match.groups())).lower()
            negated = NEGATION.search(match[0]) or NEGATION.search(text[max(0, match.start() - 12) : match.start()])
            if letter in LETTERS[: len(question.options)] and not negated:
                found.append((match.start(), LETTERS.index(letter)))
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
            same = [index for index, own in enumerate(_plain_options(question.options)) if own == _plain(words(it[1]))]
            found += [(sentence.start, index) for index in same[:1]]
    return max(found)[1] if found else None


def _without(text: str, option: str) -> str:
    """Without the option's own words: `The answer is no` denies nothing."""
    own = " ".join(words(option))
    return f" {' '.join(words(text))} ".replace(f" {own} ", " ", 1) if own else text


def _only_option(text: str, question: Question) -> int | None:
    """The option whose text stands in a sentence, where it is just one; the first of several where the gold one is not
    among them. An option within another counts once."""
    named = _named(text, question.options) or _meant(text, question.options)
    longest = [
        index for index in named
        if not any(other != index and _within(index, other, question.options) for other in named)
    ]  # fmt: skip
    return longest[0] if len(longest) == 1 or (longest and question.answer not in longest) else None


def _named(text: str, options: tuple[str, ...]) -> list[int]:
    plain = f" {_plain(words(text))} "
    return [index for index, own in enumerate(_plain_options(options)) if own and f" {own} " in plain]


def _meant(text: str, options: tuple[str, ...]) -> list[int]:
    """Options of several meaningful words that are all there, in whatever order and between whatever others."""
    there = set(content(text))
    return [index for index, option in enumerate(options) if len(own := set(content(option))) > 1 and own <= there]


def _first_option(text: str, question: Question) -> int | None:
    """The option whose text comes first after an answer was announced, be it without the words that all options begin
    with; of several there the longest."""
    plain = f" {_plain(words(text))} "
    found = [
        (plain.index(f" {own} "), -len(own), index)
        for options in (_plain_options(question.options), _distinct_options(question.options))
        for index, own in enumerate(options)
        if own and f" {own} " in plain
    ]
    return min(found)[2] if found else None


def _within(index: int, other: int, options: tuple[str, ...]) -> bool:
    plain = _plain_options(options)
    return plain[index] != plain[other] and f" {plain[index]} " in f" {plain[other]} "


@lru_cache(maxsize=4096)
def _plain_options(options: tuple[str, ...]) -> tuple[str, ...]:
    """Without prepositions at the front, to be found in a text whatever the article or the number of a noun."""
    return tuple(_without_front(words(option)) for option in options)


@lru_cache(maxsize=4096)
def _distinct_options(options: tuple[str, ...]) -> tuple[str, ...]:
    """Without the words that all begin with, as well."""
    split = [words(option) for option in options]
    shared = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*split, strict=False)))
    return tuple(_without_front(own[shared:]) for own in split)


def _without_front(own: Sequence[str]) -> str:
    start = next((index for index, word in enumerate(own) if word not in STOPWORDS), 0)
    return _plain(own[start:])


def _plain(tokens: Sequence[str]) -> str:
    return " ".join(stem(token) for token in tokens if token not in ("a", "an", "the"))


def letter_only(text: str, question: Question) -> str | None:
    """It names the answer, and no reason."""
    asserts = claim(text, question) is not None or any(_says_no_more(text, option) for option in question.options)
    if not asserts or _explains(text, question):
        return None
    rest = re.sub(r"\(?\b[a-z]\)", " ", understood(text, question), flags=re.IGNORECASE)
    rest = _CLAIM.sub(" ", rest)
    own = _option_stems(question.options)
    left = [word for word in content(rest) if word not in own and word not in FILLER_STEMS and not word.isdigit()]
    return None if left else "names the answer and no reason"


def _says_no_more(text: str, option: str) -> bool:
    return " ".join(words(text)) == " ".join(words(option))


def _explains(text: str, question: Question) -> bool:
    """Words of the question beside the answer say at least that they belong together: that is an echo."""
    asked = set(content(question.text)) - _option_stems(question.options)
    return len(asked & set(content(text))) >= 2


def echo(text: str, question: Question, new_words: int) -> str | None:
    """It has fewer than `new_words` words of its own."""
    meaning = [word for word in content(understood(text, question)) if word not in FILLER_STEMS and len(word) > 1]
    if len(meaning) < 2:
        return None
    known = _known(question.text, question.options)
    own = (word for word in dict.fromkeys(meaning) if word[:5] not in known)
    enough = sum(1 for _ in islice(own, new_words)) == new_words
    return None if enough else "says no more than the question and its options"


@lru_cache(maxsize=256)  # samples and teachers come one after the other with the same questions
def _known(text: str, options: tuple[str, ...]) -> frozenset[str]:
    """The stems of a question's words, and the first letters, up to five, that other forms of them share: the crude
    stem leaves some apart."""
    stems = frozenset(content(text)) | _option_stems(options)
    beginnings = (one[:size] for size, least in _LEAST.items() for one in stems if len(one) >= least)
    return stems.union(beginnings, _FILLER_BEGINNINGS)


@lru_cache(maxsize=256)
def _option_stems(options: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(stem, chain.from_iterable(map(words, options))))


_LEAST = {3: 6, 4: 5, 5: 5}
"""How long a word is at least that a beginning of so many letters may stand for."""

_FILLER_BEGINNINGS = frozenset(word[:5] for word in FILLER_STEMS if len(word) >= 5)
"""No shorter ones: `hap` of `happen` is also that of `happy`."""
