"""*Data*, *Teachers* and *Report*: what `tinyllm report --html` shows, from the live database.

Collecting takes seconds in a large database, so that it is kept until the file changes.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from tinyllm_cli import api
from tinyllm_cli.api import Project
from tinyllm_cli.report.html import page_values
from tinyllm_cli.view.page import Html, PageRequest, Reply


class _Kept:
    """What the report's page shows, for the last state of one file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state: object = None
        self._values: dict[str, Any] = {}

    def values(self, project: Project) -> dict[str, Any]:
        with self._lock:
            state = _state_of(project.store.path)
            if state != self._state:
                found = api.full_report(project)
                self._values, self._state = page_values(found.report, found.audit), state
            return self._values


_kept = _Kept()


def page(project: Project, _request: PageRequest) -> Reply:
    """The report."""
    return Html(template="report_page.html.j2", title="Report", values=_kept.values(project))


def data(project: Project, _request: PageRequest) -> Reply:
    """The data sets, with the quality of their rationales."""
    return Html(template="data_page.html.j2", title="Data", values=_kept.values(project))


def teachers(project: Project, _request: PageRequest) -> Reply:
    """The teachers and their costs."""
    return Html(template="teachers_page.html.j2", title="Teachers", values=_kept.values(project))


def _state_of(path: Path) -> tuple[tuple[int, int] | None, ...]:
    """Changes with every write to the database."""
    found: list[tuple[int, int] | None] = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        try:
            status = file.stat()
            found.append((status.st_mtime_ns, status.st_size))
        except FileNotFoundError:
            found.append(None)
    return tuple(found)
