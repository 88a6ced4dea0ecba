"""Whether a rationale is in its question's language, by script and by the function words of each sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.rationales.gates.lexicon import ELSEWHERE, TELLING
from tinyllm_cli.rationales.gates.text import sentences, words


def wrong_language(text: str, question: Question) -> str | None:
    """The text has another script than the question, or the question is English and a third of the text is not."""
    asked = f"{question.text} {' '.join(question.options)}"
    if asked.isascii() and _nothing_foreign(text):
        return None
    plain, few = _latin(asked), len(words(text)) < 4
    if plain > 0.8 and _latin(text) < (0.3 if few else 0.7):
        return "is in another script than the question"
    if not few and plain < 0.3 and _latin(text) > 0.7:
        return "is in another script than the question"
    own, theirs = words(text), words(asked)
    if _unknown(text, theirs):
        return None
    pieces = [words(one.text) for one in sentences(text)]
    foreign = sum(len(piece) for piece in pieces if _foreign(piece, theirs))
    return "is in another language than the question" if foreign >= 4 and 3 * foreign >= len(own) else None


def understood(text: str, question: Question) -> str:
    """The text without sentences in another language."""
    if _nothing_foreign(text) or (_ascii(text) and _english(words(text)) > 0.4):
        return text
    asked = words(f"{question.text} {' '.join(question.options)}")
    if _unknown(text, asked):
        return text
    return " ".join(one.text for one in sentences(text) if not _foreign(words(one.text), asked)) or text


def _nothing_foreign(text: str) -> bool:
    """A quick test that most texts pass: no letter and no function word of another language."""
    return _ascii(text) and ELSEWHERE.isdisjoint(words(text))


def _ascii(text: str) -> bool:
    return text.isascii() or text.replace("’", "'").isascii()


_ANSWER = re.compile(r"\b(?:answer|option|choice)\s*(?:is\b|:)", re.IGNORECASE)


def _unknown(text: str, asked: Sequence[str]) -> bool:
    """Neither the question is English nor any sentence, except one that states the answer, as the prompt asks."""
    return _english(asked) < 0.1 and not any(
        _english(words(one.text)) >= 0.2 for one in sentences(text) if not _ANSWER.search(one.text)
    )


def _foreign(own: Sequence[str], known: Sequence[str]) -> bool:
    """A sentence long enough to judge, without English function words. Words of the question don't count."""
    left = [word for word in own if word not in known and not word.isdigit()]
    elsewhere = any(word in ELSEWHERE or not word.isascii() for word in left)
    return elsewhere and len(left) >= 4 and len(left) >= 0.6 * len(own) and _english(own) < 0.08


def _latin(text: str) -> float:
    if text.isascii():
        return 1.0
    letters = [letter for letter in text if letter.isalpha()]
    return sum(letter < "ɐ" for letter in letters) / len(letters) if letters else 1.0


def _english(tokens: Sequence[str]) -> float:
    return sum(map(TELLING.__contains__, tokens)) / len(tokens) if tokens else 0.0
