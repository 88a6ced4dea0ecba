"""Everything that the store knows of one question, for reading: its rationales, what the gates cut of them, and what
everybody answered.

Collects and marks; shows nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.prompts import rationale_text, stated_answer
from tinyllm_cli.store import Store, lookup

Piece = tuple[str, bool]
"""A part of a raw text, and whether it is left to learn from."""


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """A stored reply, read. `stated` is the option that it names, or that its source gave with it; `pieces` is its raw
    text, cut where the gates cut."""

    reply: lookup.Reply
    stated: int | None
    verdict: str | None
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


def dossier(store: Store, place: lookup.Place, gates: str | None = None) -> Dossier:
    """Of the question at `place`, wherever else its content stands as well. Verdicts are those of the gate settings
    `gates`, or else the newest."""
    question = lookup.question_at(store, place)
    places = lookup.everywhere(store, place.question)
    return Dossier(
        question=question,
        places=tuple(places),
        exhibits=tuple(_exhibit(question, reply, gates) for reply in lookup.replies(store, place.question)),
        refusals=tuple(lookup.refusals(store, place.question)),
        guesses=tuple(guess for one in places for guess in lookup.guesses(store, one)),
    )


def _exhibit(question: Question, reply: lookup.Reply, gates: str | None) -> Exhibit:
    judged = [one for one in reply.judgements if gates in (None, one.gates)]
    last = judged[-1] if judged else None
    left = rationale_text(reply.text)
    if last is not None:
        left = "" if last.verdict == "rejected" else left if last.text is None else last.text
    return Exhibit(
        reply=reply,
        stated=reply.answer if reply.answer is not None else stated_answer(reply.text, question.options),
        verdict=last.verdict if last else None,
        findings=last.findings if last else (),
        pieces=tuple(pieces(reply.text, left)),
    )


def pieces(raw: str, left: str) -> Iterator[Piece]:
    """`raw` in parts that are in `left` and parts that are not: together they are `raw`."""
    begin = raw.find(left)
    if begin >= 0:
        end = begin + len(left)
        parts: Sequence[Piece] = ((raw[:begin], False), (raw[begin:end], True), (raw[end:], False))
    else:  # something was taken out of the middle
        blocks = SequenceMatcher(None, raw, left, autojunk=False).get_matching_blocks()
        parts = tuple(_around(raw, [(block.a, block.a + block.size) for block in blocks]))
    # White space alone is no cut that a reader would want to see marked.
    return ((text, kept or not text.strip()) for text, kept in parts if text)


def _around(raw: str, blocks: Sequence[tuple[int, int]]) -> Iterator[Piece]:
    at = 0
    for begin, end in blocks:
        yield raw[at:begin], False
        yield raw[begin:end], True
        at = end
