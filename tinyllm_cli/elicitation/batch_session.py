"""One command's elicitation through a batch API: submit what is missing, wait or return later, collect what is
ready."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace

import backends
from backends.base import Batches, Batching, OutOfReach, Teacher
from tinyllm_cli.elicitation.batch_collect import BatchStatus, Collector
from tinyllm_cli.elicitation.batch_submit import Submitted, outcome, submit
from tinyllm_cli.elicitation.job import Job
from tinyllm_cli.elicitation.results import BatchSummary, Pilot, TeacherElicitation
from tinyllm_cli.elicitation.session import ElicitationSession
from tinyllm_cli.errors import InterruptedByUser, UsageProblem
from tinyllm_cli.events import Notice, Progress


@dataclass(kw_only=True)
class _BatchJob:
    """One job of the command while its batches are open."""

    job: Job
    teacher: Batching
    batches: Batches
    collector: Collector
    submitted: Submitted
    pilot: Pilot | None = None
    declined: bool = False
    seen: dict[int, BatchStatus] = field(default_factory=dict)
    """The last known status of the teacher's batches, by number."""

    lost: bool = False
    """Whether a batch never reached the endpoint, and its requests were not submitted again yet."""

    @property
    def name(self) -> str:
        return self.job.spec.name

    @property
    def open_job(self) -> Job:
        """Without what failed in this command, which does not ask it again."""
        return replace(self.job, leave=frozenset(self.collector.collected.failed))

    @property
    def waiting(self) -> bool:
        return not self.declined and any(status.open and not status.stuck for status in self.seen.values())


def check_batching(jobs: Sequence[Job]) -> None:
    """Raises UsageProblem when a job's teacher has no batch API."""
    for job in jobs:
        with closing(backends.create(job.spec.backend, job.spec.options)) as teacher:
            _batching(job, teacher)


def _batching(job: Job, teacher: Teacher) -> Batching:
    if not isinstance(teacher, Batching):
        raise UsageProblem(
            f"{job.spec.name} has no batch API: its backend is '{job.spec.backend}'.", "Run it without --batch."
        )
    return teacher


@dataclass(frozen=True, kw_only=True)
class BatchSession:
    """Runs the jobs of one command in batches. `wait`: until all of them are done."""

    session: ElicitationSession
    wait: bool = True

    def run(self, jobs: Sequence[Job]) -> tuple[TeacherElicitation, ...]:
        """All jobs are submitted before any is waited for.

        Raises UsageProblem when a job's teacher has no batch API."""
        with ExitStack() as held:
            open_jobs = [self._open(job, held) for job in jobs]
            with self._interruptible(open_jobs):
                for one in open_jobs:
                    self._begin(one)
                if self.wait:
                    self._follow(open_jobs)
                    if any(one.lost for one in open_jobs):
                        self._submit_again([one for one in open_jobs if not one.declined])
            return tuple(self._result(one) for one in open_jobs)

    def _open(self, job: Job, held: ExitStack) -> _BatchJob:
        teacher = _batching(job, held.enter_context(closing(backends.create(job.spec.backend, job.spec.options))))
        batches = held.enter_context(closing(teacher.batches()))
        collector = Collector(store=self.session.store, name=job.spec.name, batches=batches, budget=self.session.budget)
        return _BatchJob(job=job, teacher=teacher, batches=batches, collector=collector, submitted=Submitted())

    def _begin(self, one: _BatchJob) -> None:
        """Collect what is ready, then submit what is missing."""
        self._look(one)
        one.pilot, one.declined = self.session.pilot_if_costly(one.open_job, one.teacher)
        if not one.declined:
            self._submit(one)

    def _submit_again(self, open_jobs: Sequence[_BatchJob]) -> None:
        """Submit what never reached the endpoint: its cost was confirmed the first time. The jobs of one teacher see
        each other's batches, so each looks for what is missing."""
        for one in open_jobs:
            self._submit(one)
        self._follow(open_jobs)

    def _submit(self, one: _BatchJob) -> None:
        one.lost = False
        label = f"writing requests for {one.name}"
        one.submitted = submit(
            self.session.store, one.open_job, one.teacher, one.batches, self.session.budget,
            lambda requests: self.session.on_event(Progress(label=label, done=requests)),
        )  # fmt: skip
        self._look(one)

    def _look(self, one: _BatchJob) -> None:
        """Look at the job's batches, and report what is new."""
        statuses = {status.batch.number: status for status in one.collector.look()}
        for number, last in one.seen.items():
            if last.open and number not in statuses:  # another process closed it
                statuses[number] = one.collector.closed(last)
        for number, status in statuses.items():
            before = one.seen.get(number)
            one.seen[number] = status
            one.lost |= status.lost
            if before is None or (before.batch.state, before.note) != (status.batch.state, status.note):
                self.session.on_event(Notice(message=_line(one, status)))

    def _follow(self, open_jobs: Sequence[_BatchJob]) -> None:
        """Poll until nothing is left to wait for. An unreachable endpoint is no reason to stop: it processes the
        batches without us."""
        said = ""
        while waiting := [one for one in open_jobs if one.waiting]:
            self._report(open_jobs)
            time.sleep(min(one.batches.poll for one in waiting))
            for one in waiting:
                try:
                    self._look(one)
                except OutOfReach as error:
                    if str(error) != said:
                        message = f"{error} Trying again every {one.batches.poll:g} s."
                        self.session.on_event(Notice(message=message))
                    said = str(error)

    def _report(self, open_jobs: Sequence[_BatchJob]) -> None:
        statuses = [status for one in open_jobs for status in one.seen.values()]
        self.session.on_event(
            Progress(
                label="batches",
                done=sum(status.done for status in statuses),
                total=sum(status.batch.requests for status in statuses),
                detail=f"{sum(status.open for status in statuses)} open",
            )
        )

    def _result(self, one: _BatchJob) -> TeacherElicitation:
        collected = one.collector.collected.counts
        counts = outcome(self.session.store, one.open_job, one.teacher, one.submitted, collected)
        if not one.declined:
            self.session.report(one.job, counts)
        return TeacherElicitation.of(
            one.name, counts, declined=one.declined,
            pilot_replies=one.pilot.counts.done if one.pilot else None,
            rest=one.pilot.estimate if one.pilot else None,
            batches=tuple(map(BatchSummary.of, one.seen.values())),
        )  # fmt: skip

    @contextmanager
    def _interruptible(self, open_jobs: Sequence[_BatchJob]) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt as error:
            names = list(dict.fromkeys(one.name for one in open_jobs))
            batches = [batch for name in names for batch in self.session.store.batches.open_ones(name)]
            requests = sum(batch.requests for batch in batches)
            raise InterruptedByUser(
                f"Stopped: {len(batches)} batch{'es' if len(batches) != 1 else ''} ({requests} requests) remain at the"
                " endpoint; what was collected is stored.",
                "Run the same command to continue.",
            ) from error


def _line(one: _BatchJob, status: BatchStatus) -> str:
    batch = status.batch
    name = batch.id or f"no. {batch.number}"
    done = f", {status.done} of them done" if status.open and status.done else ""
    note = f"; {status.note}" if status.note else ""
    return f"{one.name}: batch {name} of {batch.requests} requests: {batch.state}{done}{note}"
