"""Repetitions: repeated sentences, sentences that another one contains, and phrases in a loop."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import combinations, pairwise
from operator import eq

from tinyllm_cli.rationales.gates.lexicon import SLIGHT
from tinyllm_cli.rationales.gates.repairs import Repair, short
from tinyllm_cli.rationales.gates.text import (
    FILLER_STEMS,
    NEGATION,
    WORDS,
    Sentence,
    content,
    sentences,
    shape,
    stem,
    words,
)


def without_repetition(text: str) -> Repair | None:
    """Each sentence once, and no phrase in a loop."""
    found = sentences(text)
    again = _said_again(found)
    again = sorted({*again, *_restated(found, frozenset(again))})
    rest = _joined(text, [one for index, one in enumerate(found) if index not in again]) if again else text
    looped = _without_loop(rest)
    if looped is not None:
        return looped.strip(), f"repeats '{short(rest[len(looped) :].strip())}' in a loop"
    return (rest.strip(), f"repeats '{short(found[again[0]].text)}'") if again else None


_LONG = 6
_SHARE = 0.25


def _said_again(found: Sequence[Sentence]) -> list[int]:
    """Sentences that occurred before. A short one may recur once, as in a comparison of options, unless it follows
    directly or such sentences are a large part of the text."""
    if len(found) < 2:
        return []
    forms = [shape(one.text) for one in found]
    counts = Counter(forms)
    if len(counts) == len(forms):
        return []
    seen: dict[str, int] = {}
    again: list[int] = []
    maybe: list[int] = []
    for index, form in enumerate(forms):
        length = len(form.split())
        if length >= 3 and form in seen:
            at_once = seen[form] == index - 1 or (seen[form] == index - 2 and found[index - 1].heading)
            (again if length >= _LONG or at_once or counts[form] > 3 else maybe).append(index)
        seen[form] = index
    many = sum(len(forms[index].split()) for index in again + maybe) >= _SHARE * sum(len(f.split()) for f in forms)
    return sorted(again + maybe) if many else again


_RESTATED = 0.4


def _restated(found: Sequence[Sentence], again: Collection[int]) -> set[int]:
    """Sentences whose words are all in another one, in the same order, with few other words. Of two equal ones the
    later one. Sentences in `again` are skipped."""
    if len(found) < 2:
        return set()
    stems = ((index, _stems(one.text)) for index, one in enumerate(found) if index not in again)
    long = [(index, own, frozenset(own)) for index, own in stems if len(own) >= 3]
    dropped: set[int] = set()
    for (earlier, first, firsts), (later, second, seconds) in combinations(long, 2):
        if earlier in dropped or later in dropped:
            continue
        if firsts <= seconds and len(first) <= len(second):
            less, more, drop = first, second, later if seconds - firsts <= FILLER_STEMS else earlier
        elif seconds <= firsts and len(second) <= len(first):
            less, more, drop = second, first, later
        else:
            continue
        if len(less) < _RESTATED * len(more) or not _in_order(less, more):
            continue
        if len(content(found[drop].text)) >= 3 and _alike(found[earlier], found[later]):
            dropped.add(drop)
    return dropped


@lru_cache(maxsize=64)  # the next round sees the same sentences
def _stems(text: str) -> tuple[str, ...]:
    """Stems of all words that matter for the meaning, the letters of options included."""
    return tuple(filter(None, map(_weight, words(_LETTER.sub(_as_word, text) if _lettered(text) else text))))


@lru_cache(maxsize=WORDS)
def _weight(word: str) -> str:
    return "" if word in SLIGHT else stem(word)


_LETTER = re.compile(r"\((\w)\)|\b(?:option|choice|answer) ([a-h])\b", re.IGNORECASE)


def _lettered(text: str) -> bool:
    """A quick test for the letter of an option."""
    return "(" in text or "ption" in text or "hoice" in text or "nswer" in text


def _as_word(match: re.Match[str]) -> str:
    """As a word of its own, so that A is not read as an article."""
    return f" option{match[1] or match[2]} ".lower()


def _alike(one: Sentence, other: Sentence) -> bool:
    """Both are negated or neither is, and both are questions or neither is."""
    negative = [NEGATION.search(own.text) is not None for own in (one, other)]
    return negative[0] == negative[1] and one.text.endswith("?") == other.text.endswith("?")


def _in_order(some: Sequence[str], more: Sequence[str]) -> bool:
    rest = iter(more)
    return all(word in rest for word in some)


def _joined(text: str, kept: list[Sentence]) -> str:
    """The kept sentences with the white space after each; a heading without its sentence is removed as well."""
    parts = []
    for index, sentence in enumerate(kept):
        following = kept[index + 1] if index + 1 < len(kept) else None
        orphan = sentence.heading and (following is None or text[sentence.end : following.start].strip())
        if not orphan:
            gap = text[sentence.end : sentence.end + 1]
            parts.append(sentence.text + (gap if gap.isspace() else " "))
    return "".join(parts).rstrip()


_TOKEN = re.compile(r"\S+")
_NOT_LETTERS = re.compile(r"[\d\W_]+")
_LOOP = 3
_LONGEST = 12


def _without_loop(text: str) -> str | None:
    """The text up to the first repeat of a phrase that occurs three times in a row; None if there is none."""
    plain = [token if token.isalpha() else _NOT_LETTERS.sub("", token) or token for token in text.lower().split()]
    again = len(plain) - 1 - len(set(pairwise(plain)))  # pairs of neighbours that occurred before
    if again < _LOOP - 1:
        return None
    for size in range(1, min(_LONGEST, (again + 1) // 2) + 1):
        if sum(map(eq, plain[size:], plain)) < max(3, size * (_LOOP - 1)):
            continue
        run = 0
        for index in range(size, len(plain)):
            run = run + 1 if plain[index] == plain[index - size] else 0
            if run >= size * (_LOOP - 1) and (size > 1 or run >= 3):
                return text[: [match.end() for match in _TOKEN.finditer(text)][index - run]]
    return None
