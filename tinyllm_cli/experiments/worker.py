"""One cell in work: `tinyllm distill` and `tinyllm eval` as processes of their own.

Memory is given back when a process ends, and one that crashes or is killed does not affect the others.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

from tinyllm_cli.errors import Busy
from tinyllm_cli.experiments.work import CellState, CellWork
from tinyllm_cli.records.experiments import CellEvaluation, ExperimentCell
from tinyllm_cli.signals import die_with_parent

_GRACE = 120.0
"""Seconds that a process has to save its state after SIGTERM, before it is killed."""

_RETRY_BUSY = 5.0
"""Seconds until a training that another process has is tried again: one that was orphaned by a kill saves its state
first."""


@dataclass(frozen=True, kw_only=True)
class WorkerEnv:
    """What every process gets: the database and settings, its share of the processor's threads, and one of the
    `gpus` (by their names for CUDA_VISIBLE_DEVICES, with the number of trainings that each has memory for)."""

    db: Path
    config: Path | None
    threads: int
    gpus: Mapping[str, int] = field(default_factory=dict)
    folder: Path | None = None
    """Where the processes work; None: in the current folder."""

    def begin(self, position: int, cell: ExperimentCell, working: Sequence[CellWork]) -> CellProcess:
        return CellProcess(position=position, cell=cell, env=self, gpu=self.gpu(working))

    def gpu(self, working: Sequence[CellWork]) -> str | None:
        """The GPU with the most room for another cell beside these; None where there are fewer than two."""
        taken = [job.gpu for job in working]
        return max(self.gpus, key=lambda gpu: self.gpus[gpu] - taken.count(gpu)) if len(self.gpus) > 1 else None

    def environment(self, gpu: str | None) -> dict[str, str]:
        threads = str(self.threads)
        chosen = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
        own = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "TINYLLM_LOG": "text"}  # its last line is shown
        return {**os.environ, **own, **chosen}

    def words(self, command: str, *words: str) -> list[str]:
        """The command without the interpreter, as a run records it."""
        config = () if self.config is None else ("--config", str(self.config))
        return [command, "--db", str(self.db), *config, "--json", *words]

    def command(self, command: str, *words: str) -> list[str]:
        """-P: modules in the current folder, such as a `random.py`, are not imported."""
        return [sys.executable, "-P", "-m", "tinyllm_cli", *self.words(command, *words)]


@dataclass(kw_only=True)
class CellProcess(CellState):
    """A cell in work. `figures` are the run's, once it is trained."""

    env: WorkerEnv
    _process: subprocess.Popen[bytes] | None = None
    _out: IO[bytes] | None = None
    _err: IO[bytes] | None = None
    _evaluating: bool = False
    _again_at: float | None = None

    def start(self) -> None:
        if self.cell.distill is None:
            self._launch("eval", *(self.cell.evaluate or CellEvaluation()).argv())
            self._evaluating = True
        else:
            self._launch("distill", *self.cell.distill.argv())

    def over(self) -> bool:
        """Whether the cell is finished, successfully or not. Starts the evaluation after the training, and waits while
        another process has the same training."""
        over = self._is_over()
        if over:
            self.close()
        return over

    def _is_over(self) -> bool:
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
            self._again_at = time.monotonic() + _RETRY_BUSY
            return False
        answer = self._answer(code)
        if answer is None:
            return True
        if self._evaluating:
            self.evaluation = answer["evaluations"][0]["id"]  # with two scorings the first one counts
            return True
        self.run, self.figures = answer["run"], answer["figures"]
        if self.cell.evaluate is None:
            return True
        self._launch("eval", *self.cell.evaluate.argv(self.run))
        self._evaluating = True
        return False

    @property
    def live(self) -> None:
        """The database shows the run."""

    @property
    def waits(self) -> bool:
        """Whether another process has the same training."""
        return self._again_at is not None

    @property
    def recorded_command(self) -> str:
        """The training's command as its run records it."""
        assert self.cell.distill is not None
        return shlex.join(["tinyllm", *self.env.words("distill", *self.cell.distill.argv())])

    def last_line(self) -> str:
        """The last line that the process wrote to stderr."""
        if self.waits:
            return "waits for another process that has the same training"
        lines = self._tail().splitlines()
        return lines[-1] if lines else ""

    def interrupt(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)  # a process that a shell started in the background ignores SIGINT

    def end(self, grace: float) -> None:
        """Wait until the process has ended, and kill it after `grace` seconds."""
        if self._process is None:
            return
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Close what the process wrote into."""
        for file in (self._out, self._err):
            if file is not None:
                file.close()
        self._out = self._err = None

    def _launch(self, command: str, *words: str) -> None:
        self.close()
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - live with the process
        self._process = subprocess.Popen(
            self.env.command(command, *words),
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
            cwd=self.env.folder,
            env=self.env.environment(self.gpu),
            start_new_session=True,  # Ctrl-C reaches the process through us, once
            preexec_fn=partial(die_with_parent, os.getpid(), signal.SIGTERM),  # it saves its state and ends
        )

    def _answer(self, code: int) -> Any:
        """The JSON that the process printed, or None with the reason in `error`."""
        assert self._out is not None
        self._out.seek(0)
        if code == 0:
            try:
                return json.loads(self._out.read())
            except ValueError:
                self.error = "it printed something other than its result"
                return None
        lines = [line for line in self._tail().splitlines() if line.strip()]
        self.error = _reported(lines) or f"{_ended(code)}{f': {lines[-1]}' if lines else ''}"
        return None

    def _tail(self) -> str:
        if self._err is None:
            return ""
        size = os.fstat(self._err.fileno()).st_size
        return os.pread(self._err.fileno(), 4000, max(0, size - 4000)).decode("utf-8", "replace")


def _reported(lines: Sequence[str]) -> str:
    """The error message that a command printed to stderr, as text or, under --json, as an object; empty without one."""
    for line in reversed(lines):
        if line.startswith("Error: "):
            return line.removeprefix("Error: ")
        with suppress(ValueError, TypeError, KeyError):
            return str(json.loads(line)["error"])
    return ""


def _ended(code: int) -> str:
    if code == -signal.SIGKILL:
        return "killed, as the system does when memory runs out (fewer --jobs need less)"
    return f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"


def stop_and_close(working: Sequence[CellWork]) -> None:
    """Let these processes save their states and end; what they wrote is not read any more."""
    stop(working)
    for job in working:
        job.close()


def stop(working: Sequence[CellWork]) -> None:
    """Let these processes save their states and end."""
    for job in working:
        job.interrupt()
    for job in working:
        job.end(_GRACE)
