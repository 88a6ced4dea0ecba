"""Which option a text states: a text that is an option, and a free reply that ends up naming one.

The only module that reads this. Pure, and never a guess: a text that names no option, or may mean two, gives None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from tinyllm_cli.datasets.answer_patterns import (
    ALSO,
    BETWEEN,
    DENIED,
    ENDED,
    LETTER,
    LISTED,
    NO_CLAIM,
    OPEN,
    RIGHT,
    SIGN,
    THEREFORE,
    UNSURE,
)
from tinyllm_cli.datasets.question import LETTERS

_REACH = 1000
"""Characters behind a sign, beyond the longest option, that are read as its claim."""


@dataclass(frozen=True, kw_only=True)
class _Claim:
    """What a text states at `start`; `option` is None where it means several options, or none of them."""

    start: int
    option: int | None


@dataclass(frozen=True, kw_only=True)
class _Found:
    """An option at the beginning of a text, up to `end`. `option` is None where it may be several, or none."""

    option: int | None
    end: int
    round: bool = False
    """Whether it is a letter in round brackets, which is no option's text."""


def match_option(text: str, options: Sequence[str]) -> int | None:
    """The option that `text` is: its text, exactly or normalised; its letter; or its letter before its text.

    None when it is no option, or may be more than one."""
    same = _same(text, options)
    if same is not None:
        return same
    text = text.strip()
    letter = LETTER.match(text)
    if letter is None:
        return None
    index, rest = _index(letter, options), text[letter.end() :]
    parted = letter["round"] or letter["bracket"] or letter["mark"] or not rest or rest[0].isspace()
    if index is None or not parted or _normal(rest) not in ("", _normal(options[index])):
        return None
    return index


def stated_option(text: str, options: Sequence[str]) -> int | None:
    """The option that a free text ends up stating, or None.

    The last claim counts, such as "the answer is (b)", "Answer: rain", "\\boxed{B}" or "(b) is correct". Without a
    claim, the text or its last line may be an option. A claim that is denied ("(c) is incorrect"), conditional ("if the
    answer is (c)") or of two options ("(a) or (b)") states nothing."""
    claims = sorted(_claims(text, options), key=lambda claim: claim.start)
    if not claims:
        whole = match_option(text, options)
        return whole if whole is not None else _last_line(text, options)
    last = claims[-1]
    return None if last.option is None or _is_denied(text[last.start :], last.option) else last.option


def _claims(text: str, options: Sequence[str]) -> Iterator[_Claim]:
    for sign in SIGN.finditer(text):
        if not NO_CLAIM.search(text[max(0, sign.start() - 60) : sign.start()]):
            behind = BETWEEN.match(text, sign.end())
            places = dict.fromkeys((sign.end(), behind.end() if behind else sign.end()))
            claims = (_claim_behind(text, place, options) for place in places)
            yield from islice(filter(None, claims), 1)
    verdicts = []
    for pattern in (RIGHT, THEREFORE):
        for found in pattern.finditer(text):
            index = LETTERS.index(next(filter(None, found.groups())).lower())
            before = text[max(0, found.start() - 60) : found.start()]
            if index < len(options) and not NO_CLAIM.search(before):
                second = re.search(r"(?:\b(?:or|and|nor|neither|either|both)|[/&])\s*$", before, re.IGNORECASE)
                verdicts.append(_Claim(start=found.start(), option=None if second else index))
    several = len({verdict.option for verdict in verdicts}) > 1  # options that are judged one after the other
    yield from (replace(verdict, option=None) if several else verdict for verdict in verdicts)


def _claim_behind(text: str, start: int, options: Sequence[str]) -> _Claim | None:
    """What is claimed behind a sign; None when nothing is."""
    end = start + _REACH + 2 * max(map(len, options), default=0)
    tail = text[start:end]
    if UNSURE.match(tail):
        return None
    same = _same(tail, options) if end >= len(text) else None
    if same is not None and not tail.lstrip("\"'* ").startswith("("):
        return _Claim(start=start, option=same)
    letter, named = _letter_at(tail, options), _text_at(tail, options)
    found = named if named is not None and not (letter is not None and letter.round) else letter
    if found is None:
        return None
    rest = tail[found.end :]
    line = rest.partition("\n")[0]
    also = ALSO.match(line)
    several = also is not None and (
        re.match(r"[a-z]\b(?!['’])", line[also.end() :], re.IGNORECASE) or _text_at(line[also.end() :], options)
    )
    if found.option is None or several or _contradicted(line, found, options):
        return _Claim(start=start, option=None)
    if DENIED.match(rest) or re.match(r"[\s\"'”’)*]*\?", rest):
        return None
    return _Claim(start=start, option=found.option)


def _contradicted(rest: str, found: _Found, options: Sequence[str]) -> bool:
    """Whether an option's letter is followed by another option's text, or its text by another one's letter."""
    other = _text_at(rest.lstrip(" .:,;)"), options)
    if other is not None and found.option is not None:
        own = _normal(options[found.option])
        return other.option != found.option and not _normal(rest).startswith(own)
    letter = re.match(r"\s*\(([a-z])\)", rest, re.IGNORECASE)
    return letter is not None and LETTERS.index(letter[1].lower()) != found.option


def _index(letter: re.Match[str], options: Sequence[str]) -> int | None:
    index = LETTERS.index((letter["in"] or letter["bare"]).lower())
    return index if index < len(options) else None


def _letter_at(tail: str, options: Sequence[str]) -> _Found | None:
    """The option whose letter is at the beginning of `tail`. A bare letter counts where it can be no word, initial
    or letter of a longer name."""
    found = LETTER.match(tail)
    if found is None:
        return None
    index, rest = _index(found, options), tail[found.end() :]
    if found["round"]:
        return _Found(option=index, end=found.end(), round=True)
    marked = bool(found["bracket"] or found["mark"])
    dressed = bool(found["close"]) and tail[: found.start("bare")].strip() != ""
    if index is None or re.match(r"[\w'’-]", rest) or not (marked or dressed or ENDED.match(rest)):
        return None
    is_word = found["bare"].lower() in "ai" and not (marked or dressed)
    if is_word and not re.match(r"\s*(?:$|\n)|\s+(?:because|since)\b", rest):
        return None
    if found["mark"] == "." and not found["bracket"] and _is_initial(rest, options[index], options):
        return None
    return _Found(option=index, end=found.end())


def _is_initial(rest: str, own: str, options: Sequence[str]) -> bool:
    """Whether a letter with a full stop begins a name, as in `C. elegans`: the next word is in lower case, or belongs
    to other options only."""
    word = re.match(r"[ \t]*(\w[\w'’-]*)", rest)
    if word is None or (_normal(own) and _normal(rest).startswith(_normal(own))):
        return False
    holds = [option for option in options if re.search(rf"\b{re.escape(word[1])}\b", option, re.IGNORECASE)]
    return word[1][0].islower() or (bool(holds) and own not in holds)


def _text_at(tail: str, options: Sequence[str]) -> _Found | None:
    """The longest option whose text is at the beginning of `tail`, in its own spelling before any other."""
    dress = re.match(OPEN, tail)
    start = dress.end() if dress else 0
    article = re.compile(r"(?:the|an?)\s+(?=\S)", re.IGNORECASE).match(tail, start)
    places = dict.fromkeys((len(tail) - len(tail.lstrip()), start, article.end() if article else start))
    for spelt, flags in ((str.strip, re.NOFLAG), (_normal, re.IGNORECASE)):
        ends: dict[int, int] = {}
        for index, option in enumerate(options):
            pattern = re.compile(r"\s+".join(map(re.escape, spelt(option).split())), flags)
            for place in places:
                found = pattern.match(tail, place) if pattern.pattern else None
                if found and not re.match(r"[\w'’-]", tail[found.end() :]) and _is_over(tail[found.end() :], options):
                    ends[index] = max(found.end(), ends.get(index, 0))
        if ends:
            longest = [index for index, end in ends.items() if end == max(ends.values())]
            return _Found(option=longest[0] if len(longest) == 1 else None, end=max(ends.values()))
    return None


def _is_over(rest: str, options: Sequence[str]) -> bool:
    """Whether an option's text ends before `rest`, which is no continuation of it as in `dog house`."""
    return ENDED.match(rest) is not None or ALSO.match(rest) is not None


def _is_denied(text: str, option: int) -> bool:
    """Whether the letter of the option is said not to be the answer somewhere in `text`."""
    letter = LETTERS[option]
    places = re.finditer(rf"\({letter}\)|\b(?:option|choice|answer)\s+\(?{letter}\b\)?", text, re.IGNORECASE)
    return any(DENIED.match(text[place.end() :]) for place in places)


def _last_line(text: str, options: Sequence[str]) -> int | None:
    """The option that is the last line, where no other line is one: that would be a list."""
    *others, last = [line.strip() for line in text.splitlines() if line.strip()] or [""]
    if not others or re.fullmatch(r"[a-z][.:]?", last):  # a letter in lower case may be anything
        return None
    if any(LISTED.fullmatch(line) or match_option(line, options) is not None for line in others):
        return None
    option = match_option(last, options)
    return None if option == 0 and LISTED.fullmatch(last) and len(last.split()) > 1 else option  # a list begins


def _same(text: str, options: Sequence[str]) -> int | None:
    """Where options differ in no more than what normalising takes away (`Rr`, `rr`), their own spelling counts."""
    for spelt in (str.strip, _normal):
        found = [index for index, option in enumerate(options) if spelt(option) == spelt(text) != ""]
        if len(found) == 1:
            return found[0]
    return None


def _normal(text: str) -> str:
    """Case, outer punctuation, articles at the front and runs of white space don't tell answers apart."""
    plain = " ".join(text.casefold().split()).strip(" .,;:!?\"'“”‘’`*()[]")
    return re.sub(r"^(?:the|an?)\s+(?=\S)", "", plain)
