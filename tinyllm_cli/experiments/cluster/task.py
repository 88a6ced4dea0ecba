"""A cell that works on a cluster, as the runner sees it. What comes back is merged into the database here."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyllm_cli.config import Settings
from tinyllm_cli.errors import TinyLLMError
from tinyllm_cli.experiments.cluster.courier import Courier, Delivery, Resources
from tinyllm_cli.experiments.cluster.package import DATABASE, pack_for, pack_student, unpack
from tinyllm_cli.experiments.work import CellState
from tinyllm_cli.experiments.worker import WorkerEnv
from tinyllm_cli.merging.merge import merge_numbered
from tinyllm_cli.store import Store

_STOP_SECONDS = 120.0
_PREFIX = ".tinyllm-cell-"


def remove_leftovers(folder: Path) -> None:
    """Delete what killed drivers have left beside a database."""
    import psutil

    for one in folder.glob(f"{_PREFIX}*"):
        number = one.name.removeprefix(_PREFIX).partition("-")[0]
        if number.isdigit() and not psutil.pid_exists(int(number)):
            shutil.rmtree(one, ignore_errors=True)


@dataclass(kw_only=True)
class CellTask(CellState):
    """See `CellWork`. All methods are called in the thread that has opened the database."""

    store: Store
    settings: Settings
    ray: Any
    resources: Resources
    _courier: Courier | None = None
    _folder: Path | None = None
    _merged: Delivery | None = None
    _over: bool = False

    @property
    def waits(self) -> bool:
        return False

    @property
    def live(self) -> Mapping[str, Any] | None:
        report = None if self._courier is None else self._courier.report
        return None if report is None else report.live

    @property
    def recorded_command(self) -> str:
        assert self.cell.distill is not None
        env = WorkerEnv(db=Path(DATABASE), config=Path("tinyllm.toml"), threads=1)
        return shlex.join(["tinyllm", *env.words("distill", *self.cell.distill.argv())])

    def start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=self.store.path.parent))
        database, student = self._folder / "cell.tar", self._folder / "student.tar"
        pack_for(self.store, self.settings, self.cell, database)
        packages = [database]
        local = self._local_student()
        if local is not None:
            pack_student(local, student)
            packages.append(student)
        self._courier = Courier(
            ray=self.ray, cell=self.cell, resources=self.resources, folder=self._folder, packages=tuple(packages)
        )
        self._courier.start()

    def over(self) -> bool:
        """As for every cell; also merges a package that has come."""
        courier = self._courier
        if self._over or courier is None:
            return True
        ended = courier.wait(0)
        self._merge(courier)
        if ended:
            self._end(courier)
            self.close()
        return self._over

    def last_line(self) -> str:
        return "" if self._courier is None else self._courier.line

    def interrupt(self) -> None:
        if self._courier is not None:
            self._courier.stop(_STOP_SECONDS)

    def end(self, grace: float) -> None:
        if self._courier is not None:
            self._courier.wait(grace + _STOP_SECONDS)
            self.over()

    def close(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _local_student(self) -> str | None:
        """The path of the student, where it is one of this machine."""
        name = self.cell.distill.student if self.cell.distill else self.cell.evaluate and self.cell.evaluate.model
        return name if name and Path(name).exists() else None

    def _end(self, courier: Courier) -> None:
        self._over = True
        report = courier.report
        if report is None or not report.over:
            self.error = self.error or courier.failure or "stopped"
            return
        self.error = self.error or report.error
        self.figures = report.figures

    def _merge(self, courier: Courier) -> None:
        """Bring the newest package into the database, unless that was done."""
        delivery = courier.fetched
        if delivery is None or delivery is self._merged:
            return
        self._merged = delivery
        assert self._folder is not None
        place = self._folder / "back"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        unpack(delivery.package, place)
        try:
            merged, evaluations = merge_numbered(self.store, place / DATABASE, move=True)
        except TinyLLMError as error:  # such as a data set that was imported anew meanwhile
            self.error = f"what came back can't be merged: {error}"
            return
        finally:
            with suppress(OSError):
                shutil.rmtree(place)
        report = delivery.report
        numbers = {run.was: run.number for run in merged.runs}
        changed = [run.number for run in merged.runs if run.change != "none"]
        if report.run is not None:
            self.run = numbers.get(report.run)
        elif self.cell.distill is not None and changed:
            self.run = changed[-1]
        if report.evaluation is not None:
            self.evaluation = evaluations.get(report.evaluation)
