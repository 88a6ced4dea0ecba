"""Carry out a plan: every cell as `tinyllm distill` and `tinyllm eval` in processes of their own.

So memory is given back, and a run that crashes or is killed takes no other with it. One thread looks after them all.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

from tinyllm_cli.errors import Busy
from tinyllm_cli.experiments.grid import ExperimentCell
from tinyllm_cli.store import Store

_POLL = 0.1
_GRACE = 120.0
"""Seconds that a child has to save its state after Ctrl-C, before it is killed."""

_PATIENCE = 5.0
"""Seconds until a training that another process is at is asked for again: one that was orphaned by a kill saves its
state first."""


@dataclass(frozen=True, kw_only=True)
class WorkerEnv:
    """What every process is given: the database and settings, its share of the processor's threads, and one of the
    `gpus` (by their names for CUDA_VISIBLE_DEVICES, with the number of trainings that each has memory for)."""

    db: Path
    config: Path | None
    threads: int
    gpus: Mapping[str, int] = field(default_factory=dict)

    def gpu(self, working: Sequence[CellProcess]) -> str | None:
        """For a cell that joins these: the GPU that has room for most others; None where there is nothing to choose."""
        taken = [job.gpu for job in working]
        return max(self.gpus, key=lambda gpu: self.gpus[gpu] - taken.count(gpu)) if len(self.gpus) > 1 else None

    def environment(self, gpu: str | None) -> dict[str, str]:
        threads = str(self.threads)
        chosen = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
        return {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, **chosen}

    def command(self, *words: str) -> list[str]:
        config = () if self.config is None else ("--config", str(self.config))
        shared = ("--db", str(self.db), *config, "--json")
        return [sys.executable, "-m", "tinyllm_cli", words[0], *shared, *words[1:]]


@dataclass(kw_only=True)
class CellProcess:
    """A cell in work. `figures` are the run's, once it is trained."""

    position: int
    cell: ExperimentCell
    surroundings: WorkerEnv
    gpu: str | None = None
    run: int | None = None
    evaluation: int | None = None
    error: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    _process: subprocess.Popen[bytes] | None = None
    _out: IO[bytes] | None = None
    _err: IO[bytes] | None = None
    _evaluating: bool = False
    _again_at: float | None = None

    def start(self) -> None:
        if self.cell.distill is None:
            self._launch("eval", *(self.cell.evaluate or ()))
            self._evaluating = True
        else:
            self._launch("distill", *self.cell.distill)

    def over(self) -> bool:
        """Whether the cell is finished, well or not. Goes on from training to evaluating by itself, and waits where
        another process is at the same training."""
        if self._again_at is not None and time.monotonic() >= self._again_at:
            self._again_at = None
            self.start()
        if self.waits:
            return False
        assert self._process is not None
        code = self._process.poll()
        if code is None:
            return False
        if code == Busy.exit_code:
            self._again_at = time.monotonic() + _PATIENCE
            return False
        answer = self._answer(code)
        if answer is None:
            return True
        if self._evaluating:
            self.evaluation = answer["evaluations"][0]["id"]  # of two scorings, the one that counts
            return True
        self.run, self.figures = answer["run"], answer["figures"]
        if self.cell.evaluate is None:
            return True
        self._launch("eval", "--run", str(self.run), *self.cell.evaluate)
        self._evaluating = True
        return False

    @property
    def waits(self) -> bool:
        """Whether another process is at the same training."""
        return self._again_at is not None

    def saying(self) -> str:
        """The last line that its process wrote."""
        if self.waits:
            return "waits for another process, which is at the same training"
        lines = self._tail().splitlines()
        return lines[-1] if lines else ""

    def interrupt(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)  # SIGINT is ignored by what a shell started in the background

    def end(self, patience: float) -> None:
        """Wait for the process to go, and make it go after `patience` seconds."""
        if self._process is None:
            return
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _launch(self, *words: str) -> None:
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - live with the process
        self._process = subprocess.Popen(
            self.surroundings.command(*words),
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
            env=self.surroundings.environment(self.gpu),
            start_new_session=True,  # Ctrl-C comes through us, once
            preexec_fn=partial(_die_with_parent, os.getpid()),
        )

    def _answer(self, code: int) -> Any:
        """What the process printed, or None with the reason in `error`."""
        assert self._out is not None
        self._out.seek(0)
        if code == 0:
            try:
                return json.loads(self._out.read())
            except ValueError:
                self.error = "it printed something else than its result"
                return None
        said = [line for line in self._tail().splitlines() if line.strip()]
        errors = [line.removeprefix("Error: ") for line in said if line.startswith("Error: ")]
        self.error = errors[-1] if errors else f"{_ended(code)}{f': {said[-1]}' if said else ''}"
        return None

    def _tail(self) -> str:
        assert self._err is not None
        size = os.fstat(self._err.fileno()).st_size
        return os.pread(self._err.fileno(), 4000, max(0, size - 4000)).decode("utf-8", "replace")


def _ended(code: int) -> str:
    if code == -signal.SIGKILL:
        return "killed, as the system does when memory runs out (fewer --jobs take less)"
    return f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"


def _die_with_parent(parent: int) -> None:
    """On Linux a child gets SIGTERM when we are killed, saves its state and goes; elsewhere it goes on to its end."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # killed before that was said
            os._exit(1)


def stop(working: Sequence[CellProcess]) -> None:
    """Have these jobs save their states and go."""
    for job in working:
        job.interrupt()
    for job in working:
        job.end(_GRACE)


OnCells = Callable[[Sequence[CellProcess], int, int], None]
"""Called with the jobs in work, how many cells are over, and how many there are to do."""


def carry_out(
    store: Store,
    experiment: int,
    cells: Sequence[tuple[int, ExperimentCell]],
    surroundings: WorkerEnv,
    jobs: int,
    watch: OnCells,
) -> None:
    """Do these cells, `jobs` at once, and note each as it ends. One that fails doesn't stop the others.

    On Ctrl-C, or SIGTERM turned into it, the processes save their states first; the cells are 'planned' again."""
    waiting, working, over = list(cells), list[CellProcess](), 0
    with ExitStack() as left:
        left.callback(stop, working)
        try:
            while waiting or working:
                while len(working) < jobs and (place := _next(waiting, working)) is not None:
                    position, cell = waiting.pop(place)
                    job = CellProcess(
                        position=position, cell=cell, surroundings=surroundings, gpu=surroundings.gpu(working)
                    )
                    store.experiments.note(experiment, position, "running")
                    working.append(job)
                    job.start()
                for job in [job for job in working if job.over()]:
                    working.remove(job)
                    over += 1
                    note_end(store, experiment, job)
                watch(working, over, len(cells))
                time.sleep(_POLL)
        except BaseException:
            for job in working:
                store.experiments.note(experiment, job.position, "planned", run=job.run)
            raise


def _next(waiting: Sequence[tuple[int, ExperimentCell]], working: Sequence[CellProcess]) -> int | None:
    """Where the next cell stands whose training nobody is at: two cells may share one."""
    busy = {job.cell.distill for job in working if job.cell.distill is not None}
    return next((place for place, (_, cell) in enumerate(waiting) if cell.distill not in busy), None)


def note_end(store: Store, experiment: int, job: CellProcess) -> None:
    """Keep how a job that is over came out."""
    store.experiments.note(
        experiment, job.position, "failed" if job.error else "done", run=job.run, evaluation=job.evaluation,
        seconds=round(time.monotonic() - job.started, 1), error=job.error,
    )  # fmt: skip
