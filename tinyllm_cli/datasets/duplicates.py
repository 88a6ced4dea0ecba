"""Questions that occur in two splits, word for word or nearly so.

What a student is tested on must not be among what it learns. Pure: questions in, pairs out; nothing is compared by a
model. In memory are the words of valid and test and a digest of each question, never the training split's texts.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tinyllm_cli.datasets.question import SPLITS, Question, canonical

NEAR = 0.8
"""Share of words, of those that either question has, from which two questions count as nearly the same."""

_SHOWN = 20
_PUNCTUATION = ".,:;!?…\"'`´‘’“”()[]{}"


@dataclass(frozen=True, kw_only=True)
class DuplicatePair:
    """Two places, by the questions' keys: one in the split that is learned from first, one in the other."""

    first: str
    second: str
    kind: str
    """`same`: the same words and options, in any order of the options; `answer`: the same, but another option
    is said to be right; `near`."""


@dataclass(kw_only=True)
class Repeats:
    """The questions of split `second` that also occur in split `first`, each counted once. `same` includes those with
    another gold answer, `answer`. `pairs` are the first of them."""

    first: str
    second: str
    same: int = 0
    answer: int = 0
    near: int = 0
    pairs: list[DuplicatePair] = field(default_factory=list)

    def count(self, pair: DuplicatePair) -> None:
        self.same += pair.kind != "near"
        self.answer += pair.kind == "answer"
        self.near += pair.kind == "near"
        if len(self.pairs) < _SHOWN:
            self.pairs.append(pair)


def repeats(splits: Mapping[str, Callable[[], Iterable[Question]]]) -> list[Repeats]:
    """For every two splits that share a question, how many they share. `splits` opens a split's questions by name."""
    names = [name for name in SPLITS if name in splits]
    found = []
    for later in names[1:]:
        index = _Index(splits[later]())
        for earlier in names[: names.index(later)]:
            shared = Repeats(first=earlier, second=later)
            for pair in _pairs(index, splits[earlier]()):
                shared.count(pair)
            if shared.pairs:
                found.append(shared)
    return sorted(found, key=lambda one: (names.index(one.first), names.index(one.second)))


def _pairs(index: _Index, questions: Iterable[Question]) -> Iterator[DuplicatePair]:
    """The first partner of each indexed question that has one, the closest kind before any other."""
    partners: dict[int, DuplicatePair] = {}
    for question in questions:
        for number, kind in index.like(question, partners):
            known = partners.get(number)
            if known is None or (known.kind == "near" and kind != "near"):
                partners[number] = DuplicatePair(first=question.key, second=index.keys[number], kind=kind)
    order = ("answer", "same", "near")
    return iter(sorted(partners.values(), key=lambda pair: order.index(pair.kind)))


class _Index:
    """A split's questions, found by their words.

    Two sets of words that share 80 % share one of the rarest words of each, so only questions with such a word in
    common are compared (prefix filtering; Chaudhuri, Ganti and Kaushik, A primitive operator for similarity joins,
    2006)."""

    def __init__(self, questions: Iterable[Question]) -> None:
        self.keys: list[str] = []
        self._gold: list[str] = []
        self._words: list[frozenset[str]] = []
        self._contexts: list[frozenset[str]] = []
        self._same: dict[bytes, list[int]] = defaultdict(list)
        for question in questions:
            self._same[_digest(question)].append(len(self.keys))
            self.keys.append(question.key)
            self._gold.append(_plain(question.gold))
            self._words.append(_words(question))
            self._contexts.append(frozenset(_plain(question.context or "").split()))
        self._frequency = Counter(word for words in self._words for word in words)
        self._by_word: dict[str, list[int]] = defaultdict(list)
        for number, words in enumerate(self._words):
            for word in self._rarest(words):
                self._by_word[word].append(number)

    def like(self, question: Question, settled: Container[int] = ()) -> Iterator[tuple[int, str]]:
        """(number, kind) of the indexed questions that are like this one, without those nearly like it that are
        `settled`: where all questions are made alike, everything else would be compared with everything."""
        same = self._same.get(_digest(question), [])
        for number in same:
            yield number, "same" if self._gold[number] == _plain(question.gold) else "answer"
        words = _words(question)
        candidates = {number for word in self._rarest(words) for number in self._by_word.get(word, ())}
        context: frozenset[str] | None = None
        for number in sorted(candidates.difference(same)):
            if number not in settled and _close(words, self._words[number]):
                context = frozenset(_plain(question.context or "").split()) if context is None else context
                if _close(context, self._contexts[number]):
                    yield number, "near"

    def _rarest(self, words: frozenset[str]) -> Sequence[str]:
        """So many of the rarest words that a question which shares 80 % of its words must have one of them."""
        ordered = sorted(words, key=lambda word: (self._frequency[word], word))
        return ordered[: len(ordered) - math.ceil(NEAR * len(ordered)) + 1]


def _close(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether they share enough of their words and all of their numbers, which are what tells arithmetic apart."""
    if one == other:
        return True
    if not NEAR * len(one) <= len(other) <= len(one) / NEAR:
        return False
    different = one ^ other
    return len(one & other) >= NEAR * len(one | other) and not any(map(_has_digit, different))


def _has_digit(word: str) -> bool:
    return any(map(str.isdigit, word))


def _words(question: Question) -> frozenset[str]:
    return frozenset(_plain(" ".join((question.text, *question.options))).split())


def _digest(question: Question) -> bytes:
    content = [_plain(question.text), sorted(map(_plain, question.options)), _plain(question.context or "")]
    return hashlib.sha256(canonical(content).encode()).digest()[:16]


def _plain(text: str) -> str:
    """Case, spaces and punctuation around a word tell no questions apart; what is no word, as < and >, does."""
    words = (word.strip(_PUNCTUATION) for word in text.casefold().split())
    return " ".join(filter(None, words))
