"""The batch stage, second half: follow the open batches of a teacher, and store their replies before they count.

Any process may do that at any time. Unreadable lines and unknown requests are counted and reported, and stop nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from backends.base import Batches, BatchState, Failure, Outcome
from tinyllm_cli.elicitation.budget import Budget
from tinyllm_cli.elicitation.counts import ElicitationCounts
from tinyllm_cli.elicitation.requests import parse_request_id
from tinyllm_cli.iteration import batched
from tinyllm_cli.records.elicitation import Batch, ElicitationConfig
from tinyllm_cli.store import Store
from tinyllm_cli.store import batches as stored_batches
from tinyllm_cli.store.elicitations import RequestId

_PAGE = 200
_UNDER_WAY = timedelta(seconds=120)
"""How long a batch may take to appear at its endpoint after the process that submitted it was killed."""

_REMEMBERED = timedelta(days=30)
"""How long endpoints keep results."""

_MAYBE_PAID = "so it is unknown whether the batch arrived; if it did, asking its questions again pays for them twice"


@dataclass(frozen=True, kw_only=True)
class BatchStatus:
    """The state of a batch: `done` of its requests are processed, `note` explains a problem. A `stuck` batch is not
    waited for; a `lost` one never reached the endpoint, so its requests can be submitted again."""

    batch: Batch
    done: int = 0
    note: str = ""
    stuck: bool = False
    lost: bool = False

    @property
    def open(self) -> bool:
        return self.batch.finished is None


@dataclass(kw_only=True)
class Collected:
    """What one command has fetched from a teacher's batches. `failed`: the requests that got no reply."""

    counts: ElicitationCounts = field(default_factory=ElicitationCounts)
    failed: set[RequestId] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True)
class Collector:
    """Collects the batches of the teacher called `name`."""

    store: Store
    name: str
    batches: Batches
    budget: Budget
    collected: Collected = field(default_factory=Collected)

    def look(self) -> list[BatchStatus]:
        """The state of all open batches, after collecting those that are over.

        Raises TeacherError when the endpoint can't be reached."""
        self.store.elicitations.mark_killed()
        return [self._look_at(batch) for batch in self.store.batches.open_ones(self.name)]

    def closed(self, status: BatchStatus) -> BatchStatus:
        """How a batch ended that another process has closed."""
        batch = self.store.batches.find(status.batch.number)
        return BatchStatus(batch=batch, done=batch.requests, note=batch.error or "")

    def _look_at(self, batch: Batch) -> BatchStatus:
        if batch.url != self.batches.url:
            note = f"it is at {batch.url}, which is not the base_url of {self.name} now"
            return BatchStatus(batch=batch, note=note, stuck=True)
        if batch.id is None:
            return self._search(batch)
        state = self.batches.state(batch.id)
        if state is None:
            return self._forgotten(batch)
        return self._follow(batch, state)

    def _search(self, batch: Batch) -> BatchStatus:
        """A batch that may or may not have been submitted."""
        with self.store.elicitations.dead(batch.elicitation) as alone:
            if not alone:
                return BatchStatus(batch=batch, note="another process is submitting it")
            batch = self.store.batches.find(batch.number)  # another process may have closed it
            if batch.id is not None or batch.finished is not None:
                return BatchStatus(batch=batch, note=batch.error or "")
            try:
                state = self.batches.find(batch.token)
            except LookupError:
                return self._close(batch, "failed", f"{batch.url} lists no batches, {_MAYBE_PAID}", alone=True)
            if state is None:
                if _age(batch) < _UNDER_WAY:
                    return BatchStatus(batch=batch, note="it may still appear at the endpoint")
                closed = self._close(batch, "failed", "it never reached the endpoint", alone=True)
                return replace(closed, lost=True)
        return self._follow(batch, state)

    def _forgotten(self, batch: Batch) -> BatchStatus:
        if _age(batch) < _REMEMBERED:
            note = f"{batch.url} knows no such batch; is it the account that submitted it?"
            return BatchStatus(batch=batch, note=note, stuck=True)
        with self.store.elicitations.dead(batch.elicitation) as alone:
            return self._close(batch, "failed", "the endpoint no longer has it", alone=alone)

    def _follow(self, batch: Batch, state: BatchState) -> BatchStatus:
        self.store.batches.seen(batch.number, state.id, state.status)
        if state.over:
            return self._collect(batch, state)
        return BatchStatus(batch=self.store.batches.find(batch.number), done=state.done)

    def _collect(self, batch: Batch, state: BatchState) -> BatchStatus:
        with self.store.batches.collecting(batch) as mine:
            batch = self.store.batches.find(batch.number)
            if not mine:
                return BatchStatus(batch=batch, done=state.done, note="another process is collecting it")
            if batch.finished is not None:
                return BatchStatus(batch=batch, done=batch.requests)
            try:
                irregularities = self._keep(batch, state)
            except LookupError:
                if _age(batch) < _REMEMBERED:
                    return BatchStatus(batch=batch, note=f"its results are not at {batch.url} now", stuck=True)
                irregularities = ["the endpoint no longer has its results"]
            with self.store.elicitations.dead(batch.elicitation) as alone:
                return self._close(
                    batch, state.status, "; ".join(filter(None, [state.trouble, *irregularities])), alone=alone
                )

    def _keep(self, batch: Batch, state: BatchState) -> list[str]:
        """Store the outcomes of the batch's requests; the irregularities, in words."""
        config = self.store.batches.asking_of(batch)
        before = batch.requests - sum(1 for _ in self.store.batches.left(batch))
        unreadable = unknown = again = 0
        for page in batched(self.batches.answers(state, config.sampling), _PAGE):
            readable = [answer for answer in page if answer is not None]
            processed = [(answer.name, answer.outcome) for answer in readable if answer.outcome is not None]
            known = [(request_id, outcome) for name, outcome in processed if (request_id := parse_request_id(name))]
            kept = self._store_page(batch, config, known)
            unreadable += len(page) - len(readable)
            unknown += len(processed) - len(known) + kept.unknown
            again += kept.again
        missing = sum(1 for _ in self.store.batches.left(batch))
        counts = [
            (unreadable, "lines can't be read"),
            (unknown, "answers belong to none of its requests"),
            (max(0, again - before), "answers arrived twice"),
            (missing, "requests have no answer and are asked again next time"),
        ]
        return [f"{count} {words}" for count, words in counts if count]

    def _store_page(
        self, batch: Batch, config: ElicitationConfig, answers: list[tuple[RequestId, Outcome]]
    ) -> stored_batches.Kept:
        kept = self.store.batches.settle(batch, config, answers)
        for one in kept.settled:
            request_id, outcome = (one.prompt.hash, one.sample), one.outcome
            failed = isinstance(outcome, Failure)
            if failed:
                self.collected.failed.add(request_id)
            key = self.store.batches.key(batch, one.prompt.question) if failed else ""
            self.collected.counts.count(key, outcome)
            self._settle(batch, request_id, outcome)
        return kept

    def _settle(self, batch: Batch, request_id: RequestId, outcome: Outcome) -> None:
        """Requests that an earlier command submitted are not part of this one's budget."""
        reserved = (batch.teacher, batch.sampling, request_id)
        if self.budget.holds(reserved):
            self.budget.settle(reserved, outcome)

    def _close(self, batch: Batch, state: str, trouble: str, *, alone: bool) -> BatchStatus:
        if self.budget.bounded:
            for request_id in self.store.batches.left(batch):
                self._settle(batch, request_id, Failure(reason="not asked"))
        self.store.batches.close(batch, state, trouble or None, alone=alone)
        closed = self.store.batches.find(batch.number)
        return BatchStatus(batch=closed, done=batch.requests, note=trouble)


def _age(batch: Batch) -> timedelta:
    return datetime.now(UTC) - datetime.fromisoformat(batch.submitted)
