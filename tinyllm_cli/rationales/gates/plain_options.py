"""Options and texts in a form in which a text names an option: stems, unless they would confuse two options."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, takewhile

from tinyllm_cli.rationales.gates.lexicon import STOPWORDS
from tinyllm_cli.rationales.gates.text import stem, words

_NONE: frozenset[str] = frozenset()


@lru_cache(maxsize=4096)
def plain_options(options: tuple[str, ...]) -> tuple[str, ...]:
    """Stems, without function words at the front, so that article and number of a noun don't matter. Empty for options
    that words can't tell apart, such as `Rr` and `rr`, or `-5` and `5`."""
    kept = _kept_apart(options)
    return _unique([_without_front(words(option), kept) for option in options])


@lru_cache(maxsize=4096)
def distinct_options(options: tuple[str, ...]) -> tuple[str, ...]:
    """Also without the words that all options begin with."""
    kept, split = _kept_apart(options), [words(option) for option in options]
    shared = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*split, strict=False)))
    return _unique([_without_front(own[shared:], kept) for own in split])


def plain_text(text: str, options: tuple[str, ...]) -> str:
    """A text in the form of `plain_options`."""
    return _plain(words(text), _kept_apart(options))


@lru_cache(maxsize=4096)
def _kept_apart(options: tuple[str, ...]) -> frozenset[str]:
    """The stems of words that are compared as they are, because options that differ only in an ending (`arde` and
    `ardy`) would be the same without it."""
    alike: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for option in options:
        alike[_without_front(words(option), _NONE)].append(words(option))
    forms: dict[str, set[str]] = defaultdict(set)
    for word in chain.from_iterable(chain.from_iterable(group for group in alike.values() if len(group) > 1)):
        forms[stem(word)].add(word)
    return frozenset(own for own, spelt in forms.items() if len(spelt) > 1)


def _unique(plain: Sequence[str]) -> tuple[str, ...]:
    return tuple(own if plain.count(own) == 1 else "" for own in plain)


def _without_front(own: Sequence[str], kept: frozenset[str]) -> str:
    start = next((index for index, word in enumerate(own) if word not in STOPWORDS), 0)
    return _plain(own[start:], kept)


def _plain(tokens: Sequence[str], kept: frozenset[str]) -> str:
    stems = ((token, stem(token)) for token in tokens if token not in ("a", "an", "the"))
    return " ".join(token.replace("’", "'").removesuffix("'s") if own in kept else own for token, own in stems)
