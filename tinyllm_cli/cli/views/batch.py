"""Asking in batches, as the terminal shows it: submit what is missing, wait or come back, collect what is ready."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tinyllm_cli.cli.console import Console
from tinyllm_cli.cli.session import command_line
from tinyllm_cli.cli.views.elicit import ElicitationView, say_outcome, summary

if TYPE_CHECKING:
    from backends.base import Batches, Batching
    from tinyllm_cli.elicitation.batch_collect import BatchStatus, Collector
    from tinyllm_cli.elicitation.batch_submit import Submitted
    from tinyllm_cli.elicitation.requests import Job


@dataclass(kw_only=True)
class _Course:
    """One job of the command, from its first look to its last."""

    job: Job
    teacher: Batching
    batches: Batches
    collector: Collector
    submitted: Submitted
    told: dict[str, Any] = field(default_factory=dict)
    """What the check before it came to."""

    seen: dict[int, BatchStatus] = field(default_factory=dict)
    """The batches of the teacher by number, as they stood last."""

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
        open_ones = any(standing.open and not standing.stuck for standing in self.seen.values())
        return open_ones and not self.told.get("declined")


@dataclass(frozen=True)
class Batcher:
    """Runs the jobs of one command in batches. `wait`: until all of them are over."""

    asker: ElicitationView
    wait: bool = True

    @property
    def _console(self) -> Console:
        return self.asker.console

    def run(self, jobs: Sequence[Job]) -> list[dict[str, Any]]:
        """All jobs are submitted before any is waited for."""
        with ExitStack() as open_ones:
            courses = [self._course(job, open_ones) for job in jobs]
            with self._interruptible(courses):
                for course in courses:
                    self._begin(course)
                if self.wait:
                    self._follow(courses)
                    if any(course.lost for course in courses):
                        self._again([course for course in courses if not course.told.get("declined")])
            return [self._end(course) for course in courses]

    def _course(self, job: Job, open_ones: ExitStack) -> _Course:
        """Raises UsageProblem when the job's teacher takes no batches."""
        import backends
        from backends.base import Batching
        from tinyllm_cli.elicitation.batch_collect import Collector
        from tinyllm_cli.elicitation.batch_submit import Submitted
        from tinyllm_cli.errors import UsageProblem

        teacher = open_ones.enter_context(closing(backends.create(job.spec.backend, job.spec.options)))
        if not isinstance(teacher, Batching):
            raise UsageProblem(
                f"{job.spec.name} takes no batches: its backend is '{job.spec.backend}'.", "Ask it without --batch."
            )
        batches = open_ones.enter_context(closing(teacher.batches()))
        collector = Collector(
            store=self.asker.store,
            name=job.spec.name,
            batches=batches,
            budget=self.asker.budget,
        )
        return _Course(job=job, teacher=teacher, batches=batches, collector=collector, submitted=Submitted())

    def _begin(self, course: _Course) -> None:
        """Collect what is ready, then submit what is missing."""
        self._look(course)
        checked = self.asker.check_money(course.open_job, course.teacher)
        course.told = {name: checked[name] for name in ("checked", "rest", "declined") if name in checked}
        if not course.told.get("declined"):
            self._submit(course)

    def _again(self, courses: Sequence[_Course]) -> None:
        """Submit once more what never reached the endpoint: its money was agreed on when it was submitted first. The
        jobs of one teacher see each other's batches, so each looks for what is missing."""
        for course in courses:
            self._submit(course)
        self._follow(courses)

    def _submit(self, course: _Course) -> None:
        from tinyllm_cli.elicitation.batch_submit import submit

        course.lost = False
        with self._console.meter(f"writing requests for {course.name}") as meter:
            course.submitted = submit(
                self.asker.store,
                course.open_job,
                course.teacher,
                course.batches,
                self.asker.budget,
                lambda requests: meter(requests, 0),
            )
        self._look(course)

    def _look(self, course: _Course) -> None:
        """Look at the course's batches, and tell what is new."""
        standings = {standing.batch.number: standing for standing in course.collector.look()}
        for number, last in course.seen.items():
            if last.open and number not in standings:  # another process closed it
                standings[number] = course.collector.closed(last)
        for number, standing in standings.items():
            before = course.seen.get(number)
            course.seen[number] = standing
            course.lost |= standing.lost
            if before is None or (before.batch.state, before.note) != (standing.batch.state, standing.note):
                self._console.note(_line(course, standing))

    def _follow(self, courses: Sequence[_Course]) -> None:
        """Look again and again until nothing is left to wait for. An endpoint that is out of reach is no reason to
        stop: the batches go on without us."""
        from backends.base import OutOfReach

        said = ""
        with self._console.meter("batches") as meter:
            while waiting := [course for course in courses if course.waiting]:
                self._show(meter, courses)
                time.sleep(min(course.batches.poll for course in waiting))
                for course in waiting:
                    try:
                        self._look(course)
                    except OutOfReach as error:
                        if str(error) != said:
                            self._console.note(f"{error} Trying again every {course.batches.poll:g} s.")
                        said = str(error)

    @staticmethod
    def _show(meter: Any, courses: Sequence[_Course]) -> None:
        standings = [standing for course in courses for standing in course.seen.values()]
        meter(
            sum(standing.done for standing in standings),
            sum(standing.batch.requests for standing in standings),
            f"{sum(standing.open for standing in standings)} open",
        )

    def _end(self, course: _Course) -> dict[str, Any]:
        """Say and return what the course came to."""
        from tinyllm_cli.elicitation.batch_submit import outcome

        collected = course.collector.collected.tally
        tally = outcome(self.asker.store, course.open_job, course.teacher, course.submitted, collected)
        if not course.told.get("declined"):
            say_outcome(self._console, course.job, tally, self.asker.budget)
        listed = [_listed(standing) for standing in course.seen.values()]
        return {**summary(course.name, tally), **course.told, "batches": listed}

    @contextmanager
    def _interruptible(self, courses: Sequence[_Course]) -> Iterator[None]:
        from tinyllm_cli.errors import InterruptedByUser

        try:
            yield
        except KeyboardInterrupt as error:
            names = list(dict.fromkeys(course.name for course in courses))
            open_ones = [batch for name in names for batch in self.asker.store.batches.open_ones(name)]
            count = f"{len(open_ones)} batch{'es' if len(open_ones) != 1 else ''}"
            requests = sum(batch.requests for batch in open_ones)
            raise InterruptedByUser(
                f"Stopped: {count} ({requests} requests) left at the endpoint; what was collected is kept.",
                f"Run the same command to go on: {command_line()}",
            ) from error


def _line(course: _Course, standing: BatchStatus) -> str:
    batch = standing.batch
    through = f", {standing.done} of them done" if standing.open and standing.done else ""
    note = f"; {standing.note}" if standing.note else ""
    return f"{course.name}: batch {_name(standing)} of {batch.requests} requests: {batch.state}{through}{note}"


def _name(standing: BatchStatus) -> str:
    return standing.batch.id or f"no. {standing.batch.number}"


def _listed(standing: BatchStatus) -> dict[str, Any]:
    batch = standing.batch
    told = {"id": batch.id, "state": batch.state, "requests": batch.requests, "submitted": batch.submitted}
    return {**told, "done": standing.done, "open": standing.open, "note": standing.note or None}
