"""Everything that the store holds about one question: its rationales with the parts that the gates cut, and answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.replies import own_answer, text_begin, without_thinking
from tinyllm_cli.rationales.gates import GateSettings, judge
from tinyllm_cli.rationales.verdicts import decided, decode
from tinyllm_cli.rationales.weights import text_hash
from tinyllm_cli.store import Store, question_lookup
from tinyllm_cli.store.verdicts import StoredVerdict

_WORD = re.compile(r"\s+|\S+")
Piece = tuple[str, bool]
"""A part of a raw text, and whether it is left to learn from."""


@dataclass(frozen=True, kw_only=True)
class ReplyView:
    """A stored reply. `stated` is the option that it names, or that was recorded with it; `pieces` is its raw text,
    split where the gates cut, or where it differs from the text that a person wrote instead. `edited` is that text."""

    reply: question_lookup.ReplyRow
    stated: int | None
    verdict: str
    findings: tuple[tuple[str, str], ...]
    pieces: tuple[Piece, ...]
    edited: str | None
    uses: tuple[tuple[float, str, str], ...]
    """Usefulness scores: (gain, model, which version of the text was scored)."""


@dataclass(frozen=True, kw_only=True)
class QuestionView:
    """Costs are in `currency`, None while there are none."""

    currency: str | None
    question: Question
    places: tuple[question_lookup.Place, ...]
    reply_views: tuple[ReplyView, ...]
    refusals: tuple[question_lookup.Refusal, ...]
    predictions: tuple[question_lookup.PredictionRow, ...]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "question": {**asdict(self.question), "hash": self.question.hash}}


def question_view(store: Store, place: question_lookup.Place, gates: GateSettings) -> QuestionView:
    """The question at `place`, with all places of its content, judged by `gates`."""
    question = store.lookup.question_at(place)
    places = store.lookup.everywhere(place.question)
    return QuestionView(
        currency=store.currency.code(),
        question=question,
        places=tuple(places),
        reply_views=tuple(reply_view(question, reply, gates) for reply in store.lookup.replies(place.question)),
        refusals=tuple(store.lookup.refusals(place.question)),
        predictions=tuple(guess for one in places for guess in store.lookup.predictions(one)),
    )


def reply_view(question: Question, reply: question_lookup.ReplyRow, gates: GateSettings) -> ReplyView:
    """A reply after the verdict that counts: a person's, else that of these gates."""
    known = next((one for one in reply.judgements if one.gates == gates.hash), None)
    if known is not None:
        stored = StoredVerdict(rationale=reply.id, verdict=known.verdict, text=known.text, findings=known.findings)
        verdict = decode(reply.text, stored)
    else:
        verdict = judge(without_thinking(reply.text), question, gates)
    human = reply.human[-1] if reply.human else None
    if human is not None:
        verdict = decided(human, reply.text, verdict)
    left = verdict.text
    scored = {
        text_hash(left, question, mask=True): "the answer masked",
        text_hash(left, question, mask=False): "as it is",
    }
    # An index beyond the options is an error in the source, shown as it is; -1 is "unknown".
    beyond = reply.answer is not None and reply.answer >= len(question.options)
    return ReplyView(
        reply=reply,
        stated=reply.answer if beyond else own_answer(reply.answer, reply.text, question.options),
        verdict=verdict.verdict,
        findings=tuple((finding.gate, finding.reason) for finding in verdict.findings),
        pieces=tuple(pieces(reply.text, "" if verdict.verdict == "rejected" else left)),
        edited=human.text if human is not None and human.verdict == "edit" else None,
        uses=tuple((one.gain, one.model, scored.get(one.text_hash, "another text of it")) for one in reply.gains),
    )


def pieces(raw: str, left: str) -> Iterator[Piece]:
    """`raw` in parts that are in `left` and parts that are not; together they are `raw`. A reasoning block counts as
    cut, even if it has the same sentences."""
    start = text_begin(raw)
    begin = raw.find(left, start)
    if begin >= 0:
        end = begin + len(left)
        parts: Sequence[Piece] = ((raw[:begin], False), (raw[begin:end], True), (raw[end:], False))
    else:  # the middle was cut as well
        words, own = _WORD.findall(raw[start:]), _WORD.findall(left)
        blocks = SequenceMatcher(None, words, own, autojunk=False).get_matching_blocks()
        parts = ((raw[:start], False), *_around(words, [(block.a, block.a + block.size) for block in blocks]))
    # White space alone is not marked as cut.
    return ((text, kept or not text.strip()) for text, kept in parts if text)


def _around(words: Sequence[str], blocks: Sequence[tuple[int, int]]) -> Iterator[Piece]:
    at = 0
    for begin, end in blocks:
        yield "".join(words[at:begin]), False
        yield "".join(words[begin:end]), True
        at = end
