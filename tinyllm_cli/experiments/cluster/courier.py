"""Takes one cell to a node, watches it there, and fetches its packages; if the node dies, another one continues.

A thread of the driver. It never opens the database: packages are files.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backends.cluster.session import first_line
from tinyllm_cli.experiments.cluster.host import PIECE, CellHost, CellReport
from tinyllm_cli.records.experiments import ExperimentCell

_POLL = 1.0
_ANSWER_SECONDS = 600.0
"""How long a node may take for one call before it counts as dead; packing gigabytes takes minutes."""

MOST_DEATHS = 5
"""Nodes that may die one after the other, without a new state, before the cell counts as failed."""


class _StoppedError(Exception):
    """The driver wants the cell to end."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a cell gets on its node."""

    cpus: int
    gpus: float
    runtime_env: Any = None


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A package that came back, and the report that announced it: the two are read together or not at all."""

    package: Path
    report: CellReport


@dataclass(kw_only=True)
class Courier:
    """`folder` is ours; `packages` are files in it that the cell needs, the first one its database."""

    ray: Any
    cell: ExperimentCell
    resources: Resources
    folder: Path
    packages: tuple[Path, ...]
    report: CellReport | None = None
    """The last one; the final one is `over`."""

    fetched: Delivery | None = None
    """The newest one."""

    failure: str | None = None
    """Why there is no final report."""

    line: str = "waits for a node"
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _grace: float = 0.0

    def start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="cell", daemon=True)
        self._thread.start()

    def stop(self, grace: float) -> None:
        """Let the cell save its state and end."""
        self._grace = grace
        self._stop.set()

    def wait(self, seconds: float | None) -> bool:
        """Whether it has ended, within so many seconds."""
        if self._thread is not None:
            self._thread.join(seconds)
            return not self._thread.is_alive()
        return True

    def _work(self) -> None:
        deaths, last = 0, None
        try:
            while True:
                try:
                    self._on_a_node()
                    return
                except self.ray.exceptions.RayError as error:
                    deaths = deaths + 1 if self.fetched == last else 1
                    last = self.fetched
                    if deaths >= MOST_DEATHS:
                        self.failure = f"{deaths} nodes died one after the other: {first_line(error)}"
                        return
                    self.line = "its node died; waits for another one"
                    if self._stop.is_set():
                        return
        except _StoppedError:
            return
        except Exception as error:  # noqa: BLE001 - a thread's exception would be lost: the cell fails with it
            self.failure = f"{type(error).__name__}: {first_line(error)}"

    def _on_a_node(self) -> None:
        """One attempt, from the newest package."""
        actor = self._actor()
        try:
            self._get(actor.ready.remote(), None)
            newest = self.packages if self.fetched is None else (self.fetched.package, *self.packages[1:])
            for path in newest:
                self._send(actor, path)
            names = tuple(path.name for path in newest)
            self._get(actor.begin.remote(self.cell, names, self.resources.cpus), _ANSWER_SECONDS)
            self._watch(actor)
        finally:
            with suppress(Exception):
                self.ray.get(actor.close.remote(), timeout=10)
            with suppress(Exception):
                self.ray.kill(actor)

    def _actor(self) -> Any:
        chosen = self.resources
        options = {
            "num_cpus": chosen.cpus, "num_gpus": chosen.gpus, "max_restarts": 0, "max_task_retries": 0,
            "runtime_env": chosen.runtime_env,
        }  # fmt: skip
        return self.ray.remote(CellHost).options(**options).remote()

    def _watch(self, actor: Any) -> None:
        known: tuple[str, int] | None = None
        while True:
            answer = actor.stop.remote(self._grace) if self._stop.is_set() else actor.poll.remote()
            report: CellReport = self.ray.get(answer, timeout=_ANSWER_SECONDS)
            if report.package is not None and report.package != known:
                self.fetched = Delivery(package=self._fetch(actor, *report.package), report=report)
                known = report.package
            self.report, self.line = report, report.line
            if report.over:
                return
            self._stop.wait(_POLL)

    def _get(self, answer: Any, seconds: float | None) -> Any:
        """The answer of a call; while it waits for a node, the driver may stop it."""
        while seconds is None:
            ready, _ = self.ray.wait([answer], timeout=0.5)
            if ready:
                break
            if self._stop.is_set():
                raise _StoppedError
        return self.ray.get(answer, timeout=seconds)

    def _send(self, actor: Any, path: Path) -> None:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                self._get(actor.receive.remote(path.name, piece), _ANSWER_SECONDS)

    def _fetch(self, actor: Any, name: str, size: int) -> Path:
        draft = self.folder / f"draft-{name}"
        with draft.open("wb") as file:
            while file.tell() < size:
                file.write(self.ray.get(actor.read.remote(name, file.tell()), timeout=_ANSWER_SECONDS))
        target = self.folder / f"{threading.get_ident()}-{self._count()}.tar"
        return draft.rename(target)

    def _count(self) -> int:
        return 1 + sum(1 for _ in self.folder.glob("*.tar"))
