"""Everything that the store knows of one question, for reading: its rationales, what the gates cut of them, and what
everybody answered.

Collects and marks; shows nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.gates import GateSettings, judge
from tinyllm_cli.prompts import stated_answer, without_thinking
from tinyllm_cli.store import Store, lookup

_WORD = re.compile(r"\s+|\S+")
Piece = tuple[str, bool]
"""A part of a raw text, and whether it is left to learn from."""


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """A stored reply, read. `stated` is the option that it names, or that its source gave with it; `pieces` is its raw
    text, cut where the gates cut."""

    reply: lookup.Reply
    stated: int | None
    verdict: str
    findings: tuple[tuple[str, str], ...]
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, kw_only=True)
class Dossier:
    question: Question
    places: tuple[lookup.Place, ...]
    exhibits: tuple[Exhibit, ...]
    refusals: tuple[lookup.Refusal, ...]
    guesses: tuple[lookup.Guess, ...]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "question": {**asdict(self.question), "hash": self.question.hash}}


def dossier(store: Store, place: lookup.Place, gates: GateSettings) -> Dossier:
    """Of the question at `place`, wherever else its content stands as well. Verdicts are the newest that are stored;
    what was never judged is judged now, with the settings `gates`."""
    question = lookup.question_at(store, place)
    places = lookup.everywhere(store, place.question)
    return Dossier(
        question=question,
        places=tuple(places),
        exhibits=tuple(_exhibit(question, reply, gates) for reply in lookup.replies(store, place.question)),
        refusals=tuple(lookup.refusals(store, place.question)),
        guesses=tuple(guess for one in places for guess in lookup.guesses(store, one)),
    )


def _exhibit(question: Question, reply: lookup.Reply, gates: GateSettings) -> Exhibit:
    whole = without_thinking(reply.text).strip()
    if reply.judgements:
        last = reply.judgements[-1]
        verdict, findings, left = last.verdict, last.findings, whole if last.text is None else last.text
    else:
        made = judge(whole, question, gates)
        verdict, left = made.verdict, made.text
        findings = tuple((finding.gate, finding.reason) for finding in made.findings)
    return Exhibit(
        reply=reply,
        stated=reply.answer if reply.answer is not None else stated_answer(reply.text, question.options),
        verdict=verdict,
        findings=findings,
        pieces=tuple(pieces(reply.text, "" if verdict == "rejected" else left)),
    )


def pieces(raw: str, left: str) -> Iterator[Piece]:
    """`raw` in parts that are in `left` and parts that are not: together they are `raw`."""
    begin = raw.find(left)
    if begin >= 0:
        end = begin + len(left)
        parts: Sequence[Piece] = ((raw[:begin], False), (raw[begin:end], True), (raw[end:], False))
    else:  # something was taken out of the middle
        words, own = _WORD.findall(raw), _WORD.findall(left)
        blocks = SequenceMatcher(None, words, own, autojunk=False).get_matching_blocks()
        parts = tuple(_around(words, [(block.a, block.a + block.size) for block in blocks]))
    # White space alone is no cut that a reader would want to see marked.
    return ((text, kept or not text.strip()) for text, kept in parts if text)


def _around(words: Sequence[str], blocks: Sequence[tuple[int, int]]) -> Iterator[Piece]:
    at = 0
    for begin, end in blocks:
        yield "".join(words[at:begin]), False
        yield "".join(words[begin:end]), True
        at = end
