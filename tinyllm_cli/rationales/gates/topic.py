"""Which words a rationale shares with its question: none (off-topic), or all of them (an echo)."""

from __future__ import annotations

from collections.abc import Set
from functools import lru_cache
from itertools import chain, islice

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.rationales.gates.language import understood
from tinyllm_cli.rationales.gates.lexicon import REFERRING, STOPWORDS
from tinyllm_cli.rationales.gates.objections import claim, option_stems
from tinyllm_cli.rationales.gates.text import FILLER_STEMS, content, sentences, shape, stem, words

_LONG_QUESTION = 60
"""Words from which the text of a question is read as a context with a question in it."""

_EVIDENCE = 6
"""Words of a sentence that make it a quotation when the context has them in this order."""

_FEWEST = 3
"""Meaningful words below which a text is not called off-topic."""

_SUBJECT = 4
"""Meaningful words of a question below which its subject is not known."""

_SAME = 4
"""First letters by which two words are related."""

_STOP_STEMS = STOPWORDS | frozenset(map(stem, STOPWORDS))


def echo(text: str, question: Question, new_words: int) -> str | None:
    """The text has fewer than `new_words` meaningful words that neither the question nor its options have.

    The context does not count as the question: an explanation that is taken from it is evidence."""
    meaning = [word for word in content(understood(text, question)) if word not in FILLER_STEMS and len(word) > 1]
    if len(meaning) < 2:
        return None
    asked, context = split_context(question)
    known = _known(asked, question.options)
    own = (word for word in dict.fromkeys(meaning) if word[:5] not in known)
    if sum(1 for _ in islice(own, new_words)) == new_words or _quotes(text, context, asked):
        return None
    return "has no more meaning than the question and its options"


def off_topic(text: str, question: Question) -> str | None:
    """The text shares no meaningful word with the question, its options and its context.

    A text whose first sentence refers to something (`this`, `her`), or that claims an answer, may be about the
    question, and passes."""
    known = _subject(question.text, question.options, question.context or "")
    own = {word for word in map(_bare, words(text)) if _is_subject(word)}
    if len(own) < _FEWEST or len(known) < _SUBJECT or own & known:
        return None
    if not REFERRING.isdisjoint(words(sentences(text)[0].text)) or claim(text, question) is not None:
        return None
    return None if _related(own, known) else "has no word in common with the question and its options"


def split_context(question: Question) -> tuple[str, str]:
    """(the question proper, its context): some data sets put the context into the text of the question."""
    context = question.context or ""
    found = sentences(question.text)
    if len(found) < 2 or len(words(question.text)) < _LONG_QUESTION:
        return question.text, context
    asked = [one for one in found if one.text.endswith("?")] or [found[-1]]
    rest = [one.text for one in found if one not in asked]
    return " ".join(one.text for one in asked), "\n".join(filter(None, (*rest, context)))


def _quotes(text: str, context: str, asked: str) -> bool:
    """A sentence of the text is in the context, and not in the question."""
    if not context:
        return False
    whole, question = _spaced(context), _spaced(asked)
    shapes = (shape(one.text) for one in sentences(text))
    return any(len(one.split()) >= _EVIDENCE and f" {one} " in whole and f" {one} " not in question for one in shapes)


@lru_cache(maxsize=64)
def _spaced(text: str) -> str:
    return f" {' '.join(words(text))} "


@lru_cache(maxsize=256)  # samples and teachers come one after the other with the same questions
def _known(text: str, options: tuple[str, ...]) -> frozenset[str]:
    """The stems of a question's words, and the first letters, up to five, that other forms of them share: the crude
    stem leaves some apart."""
    stems = frozenset(content(text)) | option_stems(options)
    beginnings = (one[:size] for size, least in _LEAST.items() for one in stems if len(one) >= least)
    return stems.union(beginnings, _FILLER_BEGINNINGS)


_LEAST = {3: 6, 4: 5, 5: 5}
"""The minimum length of a word that a beginning of so many letters may stand for."""

_FILLER_BEGINNINGS = frozenset(word[:5] for word in FILLER_STEMS if len(word) >= 5)
"""No shorter ones: `hap` of `happen` is also that of `happy`."""


@lru_cache(maxsize=256)
def _subject(text: str, options: tuple[str, ...], context: str) -> frozenset[str]:
    everything = chain(words(text), chain.from_iterable(map(words, options)), words(context))
    return frozenset(word for word in map(_bare, everything) if _is_subject(word))


def _bare(word: str) -> str:
    return stem(word.removesuffix("'s"))


def _is_subject(word: str) -> bool:
    return len(word) > 1 and word not in FILLER_STEMS and word not in _STOP_STEMS


def _related(some: Set[str], others: Set[str]) -> bool:
    """Whether a word of each may be forms of one: their first letters are the same, four of them, or three where one of
    the two is that short."""
    short = {word for word in some if len(word) < _SAME}, {word for word in others if len(word) < _SAME}
    beginnings = [
        ({word[:_SAME] for word in some - short[0]}, {word[:_SAME] for word in others - short[1]}),
        (short[0], {word[: _SAME - 1] for word in others}),
        ({word[: _SAME - 1] for word in some}, short[1]),
    ]
    return any(not one.isdisjoint(other) for one, other in beginnings)
