"""The driver's side of a cell on a cluster, without Ray: a node that answers at once, and a driver that looks after
every line of the thread that talks to it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.merging.stores import Row, opened
from tinyllm_cli.config import load_settings
from tinyllm_cli.experiments.cluster import courier
from tinyllm_cli.experiments.cluster.courier import Resources
from tinyllm_cli.experiments.cluster.host import CellReport
from tinyllm_cli.experiments.cluster.package import CONFIG, DATABASE, pack_again, unpack
from tinyllm_cli.experiments.cluster.task import CellTask
from tinyllm_cli.records.evaluations import Subject
from tinyllm_cli.records.experiments import CellEvaluation, CellTraining, ExperimentCell
from tinyllm_cli.store import open_store
from tinyllm_cli.store.evaluations import EvaluatedQuestions
from tinyllm_cli.training.checkpoint import state_folder

PATIENCE = 30.0


class Node:
    """A host whose cell is finished at the third look; its second package holds the evaluation."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._looks = folder, 0

    def ready(self) -> bool:
        return True

    def receive(self, name: str, piece: bytes) -> None:
        with (self._folder / name).open("ab") as file:
            file.write(piece)

    def begin(self, _cell: ExperimentCell, packages: tuple[str, ...], _threads: int) -> None:
        for name in packages:
            unpack(self._folder / name, self._folder / "work")

    def poll(self) -> CellReport:
        self._looks += 1
        if self._looks == 1:
            return CellReport(over=False, line="begins")
        name, work = f"package-{self._looks}.tar", self._folder / "work"
        with open_store(work / DATABASE) as store:
            [run] = store.runs.everything()
            if self._looks == 2:
                split = EvaluatedQuestions(dataset="toy", split="test", count=0, chance=0.25, majority=0.5)
                subject = Subject(kind="run", name=f"run {run.id}", run=run.id, step=1)
                store.evaluations.complete(store.evaluations.open(subject, "rank", split).id, 1.0)
            evaluations = [one.id for one in store.evaluations.everything()]
        assert pack_again(work, self._folder / name, None, ended=True)
        report = CellReport(
            over=False, line="evaluates", run=run.id, package=(name, (self._folder / name).stat().st_size)
        )
        if self._looks == 2:
            return report
        return CellReport(over=True, line="", run=run.id, evaluation=evaluations[-1], package=report.package)

    def read(self, name: str, offset: int) -> bytes:
        return (self._folder / name).read_bytes()[offset:]

    def close(self) -> None: ...


class Ray:
    """Of Ray what a courier calls, for one node."""

    class exceptions:
        class RayError(Exception): ...

    def __init__(self, node: Node) -> None:
        self._node = node

    def remote(self, _class: type) -> Any:
        return self

    def options(self, **_resources: Any) -> Any:
        return _Called(lambda: _Actor(self._node))

    def get(self, answer: Any, timeout: float | None = None) -> Any:
        return answer

    def wait(self, answers: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        return answers, []

    def kill(self, _actor: Any) -> None: ...


class _Called:
    """What has `remote`."""

    def __init__(self, work: Callable[..., Any]) -> None:
        self.remote = work


class _Actor:
    """A handle: its methods have `remote`."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def __getattr__(self, name: str) -> _Called:
        return _Called(getattr(self._node, name))


class Turns:
    """Lets a thread run one line at a time, of one file."""

    def __init__(self, file: str) -> None:
        self._file, self._line, self._looked = file, threading.Semaphore(0), threading.Semaphore(0)
        self.lines = 0

    def trace(self, frame: FrameType, event: str, _arg: object) -> Any:
        if frame.f_code.co_filename != self._file:
            return None
        if event == "line":
            self._line.release()
            assert self._looked.acquire(timeout=PATIENCE)
        return self.trace

    def line(self) -> bool:
        """Whether a line is over; the thread waits for `go`."""
        found = self._line.acquire(timeout=0.5)
        self.lines += found
        return found

    def go(self) -> None:
        self._looked.release()


def test_the_result_arrives_whenever_the_driver_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, node = tmp_path / "home", tmp_path / "node"
    home.mkdir()
    (node / "work").mkdir(parents=True)
    (node / "work" / CONFIG).write_text("", encoding="utf-8")
    monkeypatch.setattr(courier, "_POLL", 0.0)
    turns = Turns(courier.__file__)
    with opened(home / DATABASE, tmp_path / "template.db") as store:
        Row("run", 0, 0, 1).put(store)
        [run] = store.runs.everything()
        (state_folder(Path(run.folder)) / "step-000000001-1").mkdir(parents=True)
        cell = ExperimentCell(
            label={}, distill=CellTraining(dataset="toy", student=run.student, alpha=run.alpha, seed=run.seed),
            evaluate=CellEvaluation(dataset="toy"),
        )  # fmt: skip
        task = CellTask(
            position=0, cell=cell, store=store, settings=load_settings(None), ray=Ray(Node(node)),
            resources=Resources(cpus=1, gpus=0),
        )  # fmt: skip
        before, old = threading.gettrace(), sys.gettrace()
        threading.settrace(turns.trace)
        try:
            task.start()
        finally:
            threading.settrace(before)  # type: ignore[arg-type]
        assert sys.gettrace() is old
        at_line = turns.line()
        while not task.over():
            if at_line:
                turns.go()
            at_line = turns.line()
        assert (task.error, turns.lines > 50) == (None, True)
        [evaluation] = store.evaluations.everything()
        assert (task.run, task.evaluation) == (run.id, evaluation.id)
