"""Run a plan: every cell in processes of its own, several at the same time, resumable after a kill.

Neither prints nor exits: `run` yields its progress.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tinyllm_cli.config import Settings
from tinyllm_cli.errors import Busy, InterruptedByUser
from tinyllm_cli.experiments.grid import ExperimentPlan, Setup
from tinyllm_cli.experiments.resources import Estimate, History, estimate, trainings_on_gpus
from tinyllm_cli.experiments.setup import check_rationales
from tinyllm_cli.experiments.work import CellEnv, CellWork, OpenEnv
from tinyllm_cli.experiments.worker import WorkerEnv, stop_and_close
from tinyllm_cli.iteration import processors
from tinyllm_cli.records.experiments import ExperimentCell, Label
from tinyllm_cli.signals import ended_like_interrupted
from tinyllm_cli.store import Store
from tinyllm_cli.store.experiments import CellOutcome

_POLL = 0.1

Positioned = tuple[int, ExperimentCell]
"""A cell with its position in the plan."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A plan against the store: the cells to run, and what they will take."""

    plan: ExperimentPlan
    todo: tuple[Positioned, ...]
    estimate: Estimate

    @property
    def done(self) -> int:
        return len(self.plan.cells) - len(self.todo)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """`config` is the settings file that the processes read, `command` what the experiment's row records. `elsewhere`
    opens a cluster; without it, processes here do the work."""

    config: Path | None = None
    command: str = ""
    elsewhere: OpenEnv | None = None


@dataclass(frozen=True, kw_only=True)
class CellStatus:
    """A cell in work. `line` is the last line of its process."""

    label: Label
    line: str


@dataclass(frozen=True, kw_only=True)
class ExperimentProgress:
    """`over` of `total` cells have ended; `not_started` are those that a failure made pointless."""

    experiment: int
    over: int
    total: int
    working: tuple[CellStatus, ...] = ()
    not_started: tuple[Label, ...] = ()


def schedule(
    store: Store, settings: Settings, setup: Setup, plan: ExperimentPlan, jobs: int, *, elsewhere: bool = False
) -> Schedule:
    """What of the plan is to be done, with up to `jobs` processes at the same time. `elsewhere`: this machine's memory
    does not limit them.

    Raises UsageProblem when a teacher that a cell needs has no usable rationale."""
    mark_killed(store)
    done = store.experiments.done_cells()
    todo = tuple((place, cell) for place, cell in enumerate(plan.cells) if cell.identity not in done)
    check_rationales(store, settings, ExperimentPlan(name=plan.name, cells=tuple(cell for _, cell in todo)))
    sizes = {coverage.dataset: coverage.questions for coverage in setup.coverages}
    expected = estimate([cell for _, cell in todo], sizes, jobs, history_of(store))
    return Schedule(plan=plan, todo=todo, estimate=on_cluster(expected, jobs) if elsewhere else expected)


def on_cluster(expected: Estimate, jobs: int) -> Estimate:
    """An estimate for `jobs` runs at the same time, whatever this machine has."""
    return replace(expected, jobs=jobs, reason="")


def run(store: Store, scheduled: Schedule, options: RunOptions) -> Generator[ExperimentProgress, None, None]:
    """Carry out a schedule and record each cell as it ends. A failure does not stop other cells, except those that
    need all that the failed one needed when nothing has succeeded yet; they stay planned.

    After KeyboardInterrupt, SIGTERM or `close()` the processes save their states and the cells are planned again.
    Raises Busy when another process runs this experiment."""
    plan = {"cells": [cell.as_json() for cell in scheduled.plan.cells]}
    with opened(store, scheduled.plan.name, plan, options.command) as experiment:
        students = {cell.distill.student for _, cell in scheduled.todo if cell.distill is not None}
        with ended_like_interrupted(), opened_env(store, options, sorted(students), scheduled.estimate.jobs) as env:
            yield from run_cells(store, experiment, scheduled.todo, env, scheduled.estimate.jobs)


@contextmanager
def opened_env(store: Store, options: RunOptions, students: Sequence[str], jobs: int) -> Iterator[CellEnv]:
    """Where up to `jobs` cells with these students are carried out."""
    if options.elsewhere is not None:
        with options.elsewhere(store, jobs) as env:
            yield env
        return
    yield WorkerEnv(
        db=store.place,
        config=options.config,
        threads=max(1, processors() // jobs),
        gpus=trainings_on_gpus(students, history_of(store)),
    )


def history_of(store: Store) -> History:
    return History(runs=store.runs.everything(), evaluations=store.evaluations.everything())


def mark_killed(store: Store) -> None:
    """Record that runs and cells of killed processes are not running any more."""
    store.runs.mark_killed()
    store.experiments.mark_killed()


@contextmanager
def opened(store: Store, name: str, plan: Mapping[str, Any], command: str) -> Iterator[int]:
    """The number of the experiment, which no other process runs meanwhile.

    Raises Busy when another one does."""
    number = store.experiments.open_experiment(name, {"name": name, **plan}, command)
    with store.experiments.claiming(number) as ours:
        if not ours:
            raise Busy(f"Another process runs this experiment ({number}).", "Wait until it has ended.")
        yield number


def interrupted(store: Store, experiment: int) -> InterruptedByUser:
    """The message after Ctrl-C or SIGTERM."""
    cells = store.experiments.cells(experiment)
    done = sum(cell.state in ("done", "pruned") for cell in cells)
    return InterruptedByUser(
        f"Stopped: {done} of {len(cells)} are done, and the running ones have saved their state.",
        "Run the same command to resume.",
    )


def run_cells(
    store: Store, experiment: int, cells: Sequence[Positioned], env: CellEnv, jobs: int
) -> Generator[ExperimentProgress, None, None]:
    """Run these cells of an open experiment, `jobs` at the same time."""
    waiting, working, over = list(cells), list[CellWork](), 0
    ended = _Ended()

    def progress() -> ExperimentProgress:
        return ExperimentProgress(
            experiment=experiment, over=over, total=len(cells), not_started=tuple(ended.pointless),
            working=tuple(CellStatus(label=job.cell.label, line=job.last_line()) for job in working),
        )  # fmt: skip

    yield progress()  # so that the caller knows the experiment whenever it is interrupted
    with ExitStack() as left:
        left.callback(stop_and_close, working)
        try:
            while waiting or working:
                while len(working) < jobs and (place := _next(waiting, working)) is not None:
                    position, cell = waiting.pop(place)
                    job = env.begin(position, cell, working)
                    store.experiments.note(experiment, position, "running")
                    working.append(job)
                    job.start()
                for job in [job for job in working if job.over()]:
                    working.remove(job)
                    over += 1
                    record_end(store, experiment, job)
                    ended.add(store, job)
                    waiting = ended.worthwhile(waiting)
                yield progress()
                time.sleep(_POLL)
        except BaseException:
            for job in working:
                store.experiments.note(experiment, job.position, "planned", CellOutcome(run=job.run))
            raise


@dataclass(kw_only=True)
class _Ended:
    """The cells that have ended in this run, and what they say about the waiting ones."""

    failed: list[ExperimentCell] = field(default_factory=list)
    """Those that failed before their training began."""

    succeeded: list[tuple[str | None, str | None, str | None]] = field(default_factory=list)
    pointless: list[Label] = field(default_factory=list)

    def add(self, store: Store, job: CellWork) -> None:
        if job.error is None:
            self.succeeded.append(_loaded(job.cell))
        elif not _has_trained(store, job):
            self.failed.append(job.cell)

    def worthwhile(self, waiting: Sequence[Positioned]) -> list[Positioned]:
        """Without the cells that would fail as an earlier one did; nothing of their kind has succeeded."""
        failing = [cell for cell in self.failed if _loaded(cell) not in self.succeeded]
        kept: list[Positioned] = []
        for one in waiting:
            if any(needs_all_of(one[1], cell) for cell in failing):
                self.pointless.append(one[1].label)
            else:
                kept.append(one)
        return kept


def _next(waiting: Sequence[Positioned], working: Sequence[CellWork]) -> int | None:
    """The index of the next cell whose training is not running: two cells may share one."""
    busy = [job.cell.distill for job in working if job.cell.distill is not None]
    return next((place for place, (_, cell) in enumerate(waiting) if cell.distill not in busy), None)


def _has_trained(store: Store, job: CellWork) -> bool:
    """Whether a failed cell came as far as a run of its own, so that the cause may be its settings alone."""
    if job.cell.distill is None:
        return False
    return job.run is not None or any(run.command == job.recorded_command for run in store.runs.everything())


def needs_all_of(cell: ExperimentCell, failed: ExperimentCell) -> bool:
    """Whether `cell` needs everything that `failed`, which ended before its training began, needed: it would fail in
    the same way."""
    ours, theirs = cell.distill, failed.distill
    if ours is None:
        return theirs is None and _loaded(cell) == _loaded(failed)
    if theirs is None:
        return _loaded(cell) == _loaded(failed)
    same_way = (ours.icl, ours.shuffle_rationales) == (theirs.icl, theirs.shuffle_rationales) or not theirs.teachers
    return (
        (ours.dataset, ours.student) == (theirs.dataset, theirs.student)
        and theirs.teachers <= ours.teachers
        and theirs.method in (None, ours.method)
        and same_way
    )


def _loaded(cell: ExperimentCell) -> tuple[str | None, str | None, str | None]:
    """The data set, the student and the teacher that are evaluated."""
    if cell.distill is not None:
        return cell.distill.dataset, cell.distill.student, None
    assert cell.evaluate is not None
    return cell.evaluate.dataset, cell.evaluate.model, cell.evaluate.teacher


def record_end(store: Store, experiment: int, job: CellWork) -> None:
    outcome = CellOutcome(run=job.run, evaluation=job.evaluation, seconds=job.seconds, error=job.error)
    store.experiments.note(experiment, job.position, "failed" if job.error else "done", outcome)
