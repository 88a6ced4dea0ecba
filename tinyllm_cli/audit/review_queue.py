"""Rationales as a person reviews them one after another: with all that is known, or blind."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tinyllm_cli.audit.question_view import Piece, reply_view
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.replies import without_thinking
from tinyllm_cli.rationales.gates import GateSettings, judge
from tinyllm_cli.records.human_verdicts import HumanVerdict
from tinyllm_cli.store import Store
from tinyllm_cli.store.question_lookup import Place, ReplyRow
from tinyllm_cli.store.review_queue import QueueFilter


@dataclass(frozen=True, kw_only=True)
class ReviewItem:
    """A rationale to review. `check` changes with its text. `pieces` is the raw text, split where the gates cut;
    `proposed` is what an edit begins with. `own` is the reviewer's last verdict. Blind, `teacher`, `verdict`,
    `findings` and the verdicts of `others` are left out, and the text is whole."""

    rationale: int
    question: Question
    check: str
    pieces: tuple[Piece, ...]
    proposed: str
    teacher: str | None
    verdict: str | None
    findings: tuple[tuple[str, str], ...]
    own: HumanVerdict | None
    others: tuple[HumanVerdict, ...]


@dataclass(frozen=True, kw_only=True)
class ReviewQueue:
    """The next rationales to review. `rationales` counts all that the conditions leave, `reviewed` those of them that
    the reviewer has decided about; null where counting takes too long."""

    dataset: str
    split: str
    rationales: int | None
    reviewed: int | None
    items: tuple[ReviewItem, ...]


def queue(
    store: Store, wanted: QueueFilter, gates: GateSettings, *, count: int, after: int | None, blind: bool
) -> ReviewQueue:
    """Up to `count` rationales that follow the rationale `after`."""
    counts = store.reviews.counts(wanted)
    return ReviewQueue(
        dataset=wanted.dataset, split=wanted.split, rationales=counts.rationales, reviewed=counts.reviewed,
        items=tuple(_items(store, wanted, gates, store.reviews.page(wanted, count, after), blind)),
    )  # fmt: skip


def _items(
    store: Store, wanted: QueueFilter, gates: GateSettings, page: list[tuple[int, str]], blind: bool
) -> Iterator[ReviewItem]:
    for rationale, hash in page:
        places = store.lookup.everywhere(hash)
        here = [one for one in places if (one.dataset, one.split) == (wanted.dataset, wanted.split)] or places
        place = here[0] if here else Place(dataset="", split="", key="", question=hash, text="")
        reply = next(one for one in store.lookup.replies(hash) if one.id == rationale)
        yield _item(store.lookup.question_at(place), reply, gates, reviewer=wanted.reviewer, blind=blind)


def _item(question: Question, reply: ReplyRow, gates: GateSettings, *, reviewer: str | None, blind: bool) -> ReviewItem:
    """The gates' verdict is shown without what people decided."""
    own = [one for one in reply.human if one.reviewer == reviewer]
    found = reply_view(question, replace(reply, human=()), gates)
    raw = without_thinking(reply.text).strip()
    return ReviewItem(
        rationale=reply.id, question=question, check=text_check(reply.text),
        pieces=((reply.text, True),) if blind else found.pieces,
        proposed=raw if blind else judge(without_thinking(reply.text), question, gates).text.strip() or raw,
        teacher=None if blind else reply.teacher, verdict=None if blind else found.verdict,
        findings=() if blind else found.findings, own=own[-1] if own else None,
        others=() if blind else tuple(one for one in reply.human if one.reviewer != reviewer),
    )  # fmt: skip


def text_check(text: str) -> str:
    """A short hash: a verdict is about this text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
