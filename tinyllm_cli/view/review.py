"""*Review*: one rationale after another, and how people and gates agree.

The page keeps each verdict until the server has stored it, with the time of the decision: a reviewer may be offline.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from tinyllm_cli import api
from tinyllm_cli.api import Project
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.rationales.gates.meanings import MEANINGS
from tinyllm_cli.view.page import Html, Json, PageRequest, Reply

_FILTERS = ("dataset", "split", "teacher", "verdict", "gate")
_BATCH = 25
"""Rationales that the page has ahead, also while it is offline."""

_VERDICTS = ("accept", "reject", "edit")


def page(project: Project, request: PageRequest) -> Reply:
    """The page with its first rationales."""
    choices = api.review_choices(project, split=request.one("split") or "train")
    return Html(
        template="review.html.j2", title="Review",
        values={
            "choices": {
                "dataset": choices.datasets, "split": ("train", "valid", "test"), "teacher": choices.teachers,
                "verdict": choices.verdicts, "gate": choices.gates,
            },
            "wanted": {name: request.one(name) for name in _FILTERS}, "rationale": request.number("rationale"),
            "store": _store_of(project),
        },
    )  # fmt: skip


def queue(project: Project, request: PageRequest) -> Reply:
    """The rationales that follow one, each as a part of the page."""
    from tinyllm_cli.view.render import fragment

    blind = request.one("blind") == "1"
    options: dict[str, Any] = {name: request.one(name) for name in _FILTERS if request.one(name)}
    found = api.review_queue(
        project, limit=_BATCH, after=request.number("after"), blind=blind, again=request.one("again") == "1",
        reviewer=request.one("reviewer"), rationale=request.number("rationale"), **options,
    )  # fmt: skip
    items = [
        {
            "rationale": one.rationale, "check": one.check, "proposed": one.proposed,
            "html": fragment("_review_item.html.j2", item=one, blind=blind, explained=MEANINGS),
        }
        for one in found.items
    ]  # fmt: skip
    return Json(
        value={"rationales": found.rationales, "reviewed": found.reviewed, "more": len(items) == _BATCH, "items": items}
    )


def verdict(project: Project, request: PageRequest) -> Reply:
    """Store a verdict. `age` are the milliseconds since the decision, by the clock of the page; the time of the
    decision is the server's, so that clocks need not agree."""
    body = request.body
    if body.get("store") != _store_of(project):
        raise UsageProblem("This verdict is about another database.")
    rationale, kind, age = body.get("rationale"), body.get("verdict"), body.get("age")
    texts = {name: body.get(name) for name in ("check", "entry", "reviewer", "words")}
    if (
        not isinstance(rationale, int) or kind not in _VERDICTS or not isinstance(age, (int, float))
        or not all(isinstance(texts[name], str) for name in ("check", "entry", "reviewer"))
        or not isinstance(texts["words"], (str, type(None)))
    ):  # fmt: skip
        raise UsageProblem("This is no verdict.")
    decided = datetime.now(UTC) - timedelta(milliseconds=min(max(age, 0), 1e11))
    entry = hashlib.sha256(str(texts["entry"]).encode()).hexdigest()[:16]
    done = api.decide(
        project, rationale, kind, words=texts["words"], reviewer=texts["reviewer"], check=texts["check"],
        at=decided.isoformat(timespec="milliseconds"), entry=f"view {entry}",
    )  # fmt: skip
    return Json(value=done)


def agreement(project: Project, request: PageRequest) -> Reply:
    """How reviewers agree with each other, and the gates with them."""
    found = api.review_summary(project, dataset=request.one("dataset"))
    return Html(
        template="agreement.html.j2", title="Agreement",
        values={"found": found, "datasets": api.review_choices(project).datasets, "explained": MEANINGS},
    )  # fmt: skip


def _store_of(project: Project) -> str:
    """Identifies the database, for verdicts that wait in a browser."""
    return hashlib.sha256(str(project.store.path).encode()).hexdigest()[:12]
