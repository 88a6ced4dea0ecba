"""*Now*: what runs, and what ended last. The page asks for its main part again and again."""

from __future__ import annotations

from tinyllm_cli import api
from tinyllm_cli.api import Project
from tinyllm_cli.view.page import Html, Json, PageRequest, Reply

_RECENT = 10


def page(project: Project, _request: PageRequest) -> Reply:
    """The page, and with the parameter `part` what changes on it."""
    return Html(template="now.html.j2", title="Now", values={"now": api.activity(project, recent=_RECENT)})


def as_json(project: Project, _request: PageRequest) -> Reply:
    """The same for programs: what `tinyllm list activity --json` prints."""
    return Json(value=api.activity(project, recent=_RECENT))
