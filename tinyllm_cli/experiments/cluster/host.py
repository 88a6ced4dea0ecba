"""A cell on a node: unpacks what it needs, runs `distill` and `eval` there, and packs what came of it.

An actor of Ray holds one of these. Its methods return quickly, except `stop`; files go in pieces.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tinyllm_cli.experiments.cluster.package import CONFIG, DATABASE, STUDENT, Renaming, pack_again, unpack
from tinyllm_cli.experiments.worker import CellProcess, WorkerEnv
from tinyllm_cli.records.experiments import ExperimentCell
from tinyllm_cli.store import open_store
from tinyllm_cli.training.checkpoint import runs_root

PIECE = 8 * 2**20
"""Bytes of a file that are sent at once: the object store of a node may be small."""


@dataclass(frozen=True, kw_only=True)
class CellReport:
    """State of a cell. `run` and `evaluation` are numbers in its own database. `package` is the name and the size of
    the newest package to fetch; its state is complete at the end (`over`)."""

    over: bool
    line: str
    live: Mapping[str, Any] | None = None
    error: str | None = None
    run: int | None = None
    evaluation: int | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    package: tuple[str, int] | None = None


class CellHost:
    """The actor."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tinyllm-cell-"))
        self._work = self._folder / "work"
        self._work.mkdir()
        self._job: CellProcess | None = None
        self._student: Renaming | None = None
        self._packed: frozenset[str] = frozenset()
        self._package: tuple[str, int] | None = None
        self._number = 0

    def ready(self) -> bool:
        return True

    def receive(self, name: str, piece: bytes) -> None:
        """Append to a file."""
        with (self._folder / Path(name).name).open("ab") as file:
            file.write(piece)

    def begin(self, cell: ExperimentCell, packages: tuple[str, ...], threads: int) -> None:
        """Unpack what was received and start. A local student is among the packages."""
        for name in packages:
            unpack(self._folder / Path(name).name, self._work)
            (self._folder / Path(name).name).unlink()
        cell = self._with_own_student(cell)
        if self._student is not None:
            with open_store(self._work / DATABASE) as store:
                store.runs.rename_student(self._student.home, self._student.node)
        env = WorkerEnv(db=Path(DATABASE), config=Path(CONFIG), threads=threads, folder=self._work)
        self._packed = self._states()
        self._job = CellProcess(position=0, cell=cell, env=env)
        self._job.start()

    def poll(self) -> CellReport:
        """The state of the cell; packs a new checkpoint."""
        assert self._job is not None
        over = self._job.over()
        states = self._states()
        if over or (states and states != self._packed):
            self._pack(states, ended=over)
        return self._report(over)

    def stop(self, grace: float) -> CellReport:
        """Let the process save its state and end, and pack that."""
        assert self._job is not None
        self._job.interrupt()
        self._job.end(grace)
        ended = self._job.over()  # it may have ended its training, and begun the evaluation
        if not ended:
            self._job.interrupt()
            self._job.end(grace)
            self._job.over()
        self._pack(self._states(), ended=True)
        return self._report(True)

    def read(self, name: str, offset: int) -> bytes:
        """A piece of a package."""
        with (self._folder / Path(name).name).open("rb") as file:
            file.seek(offset)
            return file.read(PIECE)

    def close(self) -> None:
        """Delete everything."""
        if self._job is not None:
            self._job.end(0)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _with_own_student(self, cell: ExperimentCell) -> ExperimentCell:
        """The cell with the path at which its student is here."""
        found = [*(self._work / STUDENT).iterdir()] if (self._work / STUDENT).is_dir() else []
        if not found:
            return cell
        [path] = found
        node = str(path)
        if cell.distill is not None:
            self._student = Renaming(home=cell.distill.student, node=node)
            return replace(cell, distill=replace(cell.distill, student=node))
        assert cell.evaluate is not None
        assert cell.evaluate.model is not None
        self._student = Renaming(home=cell.evaluate.model, node=node)
        return replace(cell, evaluate=replace(cell.evaluate, model=node))

    def _states(self) -> frozenset[str]:
        """The states on the disk, by folder and step."""
        return frozenset(str(one) for one in runs_root(self._work / DATABASE).glob(".*.state/step-*"))

    def _pack(self, states: frozenset[str], *, ended: bool) -> None:
        """Replace the package. What can't be packed now is packed at the next poll."""
        name = f"package-{self._number + 1}.tar"
        if not pack_again(self._work, self._folder / name, self._student, ended=ended):
            return
        if self._package is not None:
            (self._folder / self._package[0]).unlink(missing_ok=True)
        self._number += 1
        self._packed, self._package = states, (name, (self._folder / name).stat().st_size)

    def _report(self, over: bool) -> CellReport:
        job = self._job
        assert job is not None
        return CellReport(
            over=over, line=job.last_line() if not over else "", live=None if over else self._live(), error=job.error,
            run=job.run, evaluation=job.evaluation, figures=job.figures, package=self._package,
        )  # fmt: skip

    def _live(self) -> Mapping[str, Any] | None:
        """The figures of the run that is in training."""
        with open_store(self._work / DATABASE) as store:
            return next((run.metrics for run in reversed(store.runs.everything()) if run.state == "running"), None)


def threads_of(cpus: float) -> int:
    """Threads of a process that was given so many processors."""
    return max(1, min(int(cpus), os.cpu_count() or 1))
