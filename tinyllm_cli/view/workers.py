"""Threads that answer requests, each with a connection of its own: SQLite's connections belong to their thread."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tinyllm_cli import api
from tinyllm_cli.api import Project

_Result = TypeVar("_Result")


class Workers:
    """A pool of threads on one database. A file that replaced the database is opened anew."""

    def __init__(self, path: Path, config: Path | None, threads: int) -> None:
        self._path, self._config = path, config
        self._own = threading.local()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="view")

    async def run(self, work: Callable[[Project], _Result]) -> _Result:
        """What `work` returns for an open project."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: work(self._project()))

    def close(self) -> None:
        """Wait for what is being answered; connections are closed with their threads."""
        self._pool.shutdown(cancel_futures=True)

    def _project(self) -> Project:
        project: Project | None = getattr(self._own, "project", None)
        if project is not None and self._own.file != _file(self._path):
            project.close()
            project = None
        if project is None:
            project = api.open_store(self._path, config=self._config, create=False)
            self._own.project, self._own.file = project, _file(self._path)
        return project


def _file(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
