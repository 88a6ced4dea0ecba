"""The pages by their paths. Each is a function of an open project and a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tinyllm_cli.api import Project
from tinyllm_cli.view import now, questions, reports, review, runs
from tinyllm_cli.view.page import PageRequest, Reply

PAGES: Mapping[str, Callable[[Project, PageRequest], Reply]] = {
    "/": now.page,
    "/now.json": now.as_json,
    "/questions": questions.page,
    "/questions.json": questions.as_json,
    "/question": questions.one,
    "/review": review.page,
    "/review/queue.json": review.queue,
    "/review/verdict": review.verdict,
    "/review/agreement": review.agreement,
    "/runs": runs.page,
    "/runs/compare": runs.compare,
    "/data": reports.data,
    "/teachers": reports.teachers,
    "/report": reports.page,
}
"""Path -> page."""

SLOW = frozenset({"/questions", "/questions.json", "/runs/compare", "/data", "/teachers", "/report"})
"""Paths of pages that may take seconds: they have threads of their own, so that the others stay quick."""
