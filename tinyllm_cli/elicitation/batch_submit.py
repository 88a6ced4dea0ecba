"""The batch stage, first half: submit the missing requests to an endpoint in batches.

A request is claimed for its batch in the database before it is uploaded, and a batch is marked as submitting before it
is submitted: whenever the process ends, the next one knows what may be at the endpoint. `batch_collect` is the other
half. Knows nothing of protocols (`backends` does) and of terminals (`cli` does).
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO

from backends.base import Batches, OutOfReach, Sampling, Teacher, TeacherError
from tinyllm_cli.elicitation.budget import Budget
from tinyllm_cli.elicitation.counts import ElicitationCounts, SkippedCounts
from tinyllm_cli.elicitation.job import Job
from tinyllm_cli.elicitation.requests import MissingRationales, PlannedRequest, format_request_id
from tinyllm_cli.errors import TinyLLMError
from tinyllm_cli.records.elicitation import ElicitationConfig, Prompt
from tinyllm_cli.store import Store
from tinyllm_cli.store.elicitations import RequestId, Worker


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """`elsewhere`: requests that other processes are asking."""

    elsewhere: int = 0
    out_of_budget: bool = False


def submit(
    store: Store, job: Job, teacher: Teacher, batches: Batches, budget: Budget, watch: Callable[[int], None]
) -> Submitted:
    """Put all missing requests that no other process is asking into batches, within `budget`. `watch` is called with
    the number of requests written so far.

    Raises UsageProblem when the job can't be done on this data set, the budget can't be kept, or the store's costs are
    in another currency, TeacherError when the endpoint takes no batch; those that it took are kept."""
    budget.check(job.spec.name, batches)
    if not any(page.requests for page in MissingRationales(store, job, teacher).pages()):
        return Submitted()
    missing = MissingRationales(store, job, teacher)
    store.rationales.add_asking(missing.config)
    store.rationales.describe_engine(missing.config, teacher.describe())
    currency = budget.charged(batches)
    with _working(store, job, missing.config, currency) as worker, ExitStack() as files:
        submission = _Submission(store, worker, batches, budget, watch, files)
        return submission.run(missing)


def outcome(
    store: Store, job: Job, teacher: Teacher, submitted: Submitted, collected: ElicitationCounts
) -> ElicitationCounts:
    """The counts of a job: `collected` has its replies, `submitted` is its last submission. The rest is looked up,
    because a question that occurs in several places is asked once, and missing, pending or answered in each."""
    missing = MissingRationales(store, job, teacher)
    left, skipped = 0, SkippedCounts()
    for page in missing.pages():
        left += len(page.requests)
        skipped += page.skipped
    counts = replace(
        collected,
        already=max(0, skipped.already - collected.done),
        elsewhere=min(left, submitted.elsewhere),
        pending=skipped.pending,
        out_of_budget=submitted.out_of_budget,
    )
    counts.wanted = counts.settled + left - counts.elsewhere
    return counts


@contextmanager
def _working(store: Store, job: Job, config: ElicitationConfig, currency: str | None) -> Iterator[Worker]:
    """An elicitation that stays open for its batches, or whose row says how it ended."""
    with store.elicitations.working(config, job.dataset, job.split, job.recipe, currency) as worker:
        try:
            yield worker
        except KeyboardInterrupt:
            worker.finish("stopped", ())
            raise
        except (TeacherError, TinyLLMError, OSError) as error:
            worker.finish("failed", (), str(error))
            raise
        worker.finish("done", ())


@dataclass(kw_only=True)
class _Filling:
    """A batch whose file is being written."""

    number: int
    token: str
    file: BinaryIO
    requests: int = 0
    size: int = 0


class _Submission:
    """Writes the requests of one job into files, and submits each when it is full."""

    def __init__(
        self,
        store: Store,
        worker: Worker,
        batches: Batches,
        budget: Budget,
        watch: Callable[[int], None],
        files: ExitStack,
    ) -> None:
        self._store, self._worker, self._batches = store, worker, batches
        self._budget, self._watch, self._files = budget, watch, files
        self._filling: _Filling | None = None
        self.requests = 0
        self.out_of_budget = False

    def run(self, missing: MissingRationales) -> Submitted:
        elsewhere = 0
        try:
            for page in missing.pages(self._worker):
                elsewhere += page.skipped.elsewhere
                rest = self._within_budget(page.requests, missing.sampling)
                while rest:
                    rest = self._fill(rest, missing.sampling)
                self._watch(self.requests)
                if self.out_of_budget:
                    break
            if self._filling is not None:
                self._send(self._filling)
        finally:
            if self._filling is not None:
                self._store.batches.abandon(self._filling.number)
        return Submitted(elsewhere=elsewhere, out_of_budget=self.out_of_budget)

    def _within_budget(self, requests: list[PlannedRequest], sampling: Sampling) -> list[PlannedRequest]:
        """Those that fit, each content once."""
        fitting: dict[RequestId, PlannedRequest] = {}
        config = self._worker.asking
        for planned in requests:
            if planned.request_id in fitting:
                continue
            key = (config.teacher, config.hash, planned.request_id)
            if not self._budget.reserve(self._batches, planned.request, sampling, key):
                self.out_of_budget = True
                break
            fitting[planned.request_id] = planned
        return list(fitting.values())

    def _fill(self, requests: list[PlannedRequest], sampling: Sampling) -> list[PlannedRequest]:
        """Write what the batch has room for; the others go into the next batch."""
        filling = self._filling = self._filling or self._begin()
        taken: list[tuple[Prompt, int]] = []
        for planned in requests:
            line = self._batches.line(format_request_id(planned.request_id), planned.request, sampling)
            full = filling.requests + len(taken) >= self._batches.most_requests
            if full or (filling.size and filling.size + len(line) > self._batches.most_bytes):
                break
            filling.file.write(line)
            filling.size += len(line)
            taken.append((planned.prompt, planned.request.sample))
        self._store.batches.fill(filling.number, self._worker, taken)
        filling.requests += len(taken)
        self.requests += len(taken)
        if len(taken) < len(requests):
            self._send(filling)
        return requests[len(taken) :]

    def _begin(self) -> _Filling:
        token = secrets.token_hex(16)
        file = self._files.enter_context(tempfile.TemporaryFile(prefix="tinyllm-"))  # noqa: SIM115 - the stack closes it
        number = self._store.batches.begin(self._worker, self._batches.url, token)
        return _Filling(number=number, token=token, file=file)

    def _send(self, filling: _Filling) -> None:
        name = self._batches.upload(filling.file, filling.token)
        filling.file.close()
        self._store.batches.submitting(filling.number)
        self._filling = None
        try:
            state = self._batches.create(name, filling.token)
        except OutOfReach:  # it may have arrived
            raise
        except TeacherError as error:
            batch = self._store.batches.find(filling.number)
            self._store.batches.close(batch, "failed", str(error), alone=False)
            raise
        if state is None:
            self._store.batches.submitting(filling.number)  # from now on it may appear at the endpoint
        else:
            self._store.batches.seen(filling.number, state.id, state.status)
