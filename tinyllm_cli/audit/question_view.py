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
from tinyllm_cli.elicitation.replies import own_answer, text_begin, without_thinking
from tinyllm_cli.rationales.gates import GateSettings, judge
from tinyllm_cli.rationales.weights import text_hash
from tinyllm_cli.store import Store, question_lookup

_WORD = re.compile(r"\s+|\S+")
Piece = tuple[str, bool]
"""A part of a raw text, and whether it is left to learn from."""


@dataclass(frozen=True, kw_only=True)
class ReplyView:
    """A stored reply, read. `stated` is the option that it names, or that its source gave with it; `pieces` is its raw
    text, cut where the gates cut."""

    reply: question_lookup.ReplyRow
    stated: int | None
    verdict: str
    findings: tuple[tuple[str, str], ...]
    pieces: tuple[Piece, ...]
    uses: tuple[tuple[float, str, str], ...]
    """How useful it was to a model: (gain, model, which text of it was scored)."""


@dataclass(frozen=True, kw_only=True)
class QuestionView:
    question: Question
    places: tuple[question_lookup.Place, ...]
    exhibits: tuple[ReplyView, ...]
    refusals: tuple[question_lookup.Refusal, ...]
    guesses: tuple[question_lookup.PredictionRow, ...]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "question": {**asdict(self.question), "hash": self.question.hash}}


def question_view(store: Store, place: question_lookup.Place, gates: GateSettings) -> QuestionView:
    """Of the question at `place`, wherever else its content stands as well, with what `gates` make of it."""
    question = store.lookup.question_at(place)
    places = store.lookup.everywhere(place.question)
    return QuestionView(
        question=question,
        places=tuple(places),
        exhibits=tuple(_exhibit(question, reply, gates) for reply in store.lookup.replies(place.question)),
        refusals=tuple(store.lookup.refusals(place.question)),
        guesses=tuple(guess for one in places for guess in store.lookup.guesses(one)),
    )


def _exhibit(question: Question, reply: question_lookup.ReplyRow, gates: GateSettings) -> ReplyView:
    whole = without_thinking(reply.text).strip()
    known = next((one for one in reply.judgements if one.gates == gates.hash), None)
    if known is not None:
        verdict, findings, left = known.verdict, known.findings, whole if known.text is None else known.text
    else:
        made = judge(whole, question, gates)
        verdict, left = made.verdict, made.text
        findings = tuple((finding.gate, finding.reason) for finding in made.findings)
    scored = {
        text_hash(left, question, mask=True): "the answer masked",
        text_hash(left, question, mask=False): "as it is",
    }
    beyond = reply.answer is not None and reply.answer >= len(question.options)  # a fault to be seen; -1 is "unknown"
    return ReplyView(
        reply=reply,
        stated=reply.answer if beyond else own_answer(reply.answer, reply.text, question.options),
        verdict=verdict,
        findings=findings,
        pieces=tuple(pieces(reply.text, "" if verdict == "rejected" else left)),
        uses=tuple((one.gain, one.model, scored.get(one.text_hash, "another text of it")) for one in reply.gains),
    )


def pieces(raw: str, left: str) -> Iterator[Piece]:
    """`raw` in parts that are in `left` and parts that are not: together they are `raw`. What a model thought aloud is
    not left, though the same sentence may stand there."""
    start = text_begin(raw)
    begin = raw.find(left, start)
    if begin >= 0:
        end = begin + len(left)
        parts: Sequence[Piece] = ((raw[:begin], False), (raw[begin:end], True), (raw[end:], False))
    else:  # something was taken out of the middle
        words, own = _WORD.findall(raw[start:]), _WORD.findall(left)
        blocks = SequenceMatcher(None, words, own, autojunk=False).get_matching_blocks()
        parts = ((raw[:start], False), *_around(words, [(block.a, block.a + block.size) for block in blocks]))
    # White space alone is no cut that a reader would want to see marked.
    return ((text, kept or not text.strip()) for text, kept in parts if text)


def _around(words: Sequence[str], blocks: Sequence[tuple[int, int]]) -> Iterator[Piece]:
    at = 0
    for begin, end in blocks:
        yield "".join(words[at:begin]), False
        yield "".join(words[begin:end]), True
        at = end
