"""The batch stage, second half: look after the open batches of a teacher, and keep what they bring before it counts.

Any process may do that at any time. What can't be read, or isn't ours, is counted and told, and stops nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from backends.base import Batches, BatchState, Failure, Outcome
from tinyllm_cli.elicitation.budget import Budget
from tinyllm_cli.elicitation.counts import ElicitationCounts
from tinyllm_cli.elicitation.requests import address_of
from tinyllm_cli.iteration import batched
from tinyllm_cli.records.elicitation import Batch, ElicitationConfig
from tinyllm_cli.store import Store
from tinyllm_cli.store import batches as stored_batches
from tinyllm_cli.store.elicitations import RequestId

_PAGE = 200
_UNDER_WAY = timedelta(seconds=120)
"""So long a batch may still turn up at its endpoint after the process that submitted it was killed."""

_REMEMBERED = timedelta(days=30)
"""After that no endpoint has an answer any more."""

_MAYBE_PAID = "so it can't be told whether it got there; if it did, asking its questions again pays for them twice"


@dataclass(frozen=True, kw_only=True)
class BatchStatus:
    """How a batch stands: `done` of its requests are through, `note` says what is the matter. No use waiting for one
    that is `stuck`; one that was `lost` never got there, so that its requests can be submitted again."""

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
    """What one command has fetched from a teacher's batches."""

    tally: ElicitationCounts = field(default_factory=ElicitationCounts)
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
        """Look once at all open batches, and collect those that are over.

        Raises TeacherError when the endpoint can't be asked."""
        self.store.elicitations.mark_killed()
        return [self._look_at(batch) for batch in self.store.batches.open_ones(self.name)]

    def closed(self, standing: BatchStatus) -> BatchStatus:
        """How a batch ended that another process has closed."""
        batch = self.store.batches.find(standing.batch.number)
        return BatchStatus(batch=batch, done=batch.requests, note=batch.error or "")

    def _look_at(self, batch: Batch) -> BatchStatus:
        if batch.url != self.batches.url:
            note = f"it lies at {batch.url}, which is not the base_url of {self.name} now"
            return BatchStatus(batch=batch, note=note, stuck=True)
        if batch.id is None:
            return self._search(batch)
        state = self.batches.state(batch.id)
        if state is None:
            return self._forgotten(batch)
        return self._follow(batch, state)

    def _search(self, batch: Batch) -> BatchStatus:
        """A batch of which it isn't known whether it was submitted."""
        with self.store.elicitations.dead(batch.elicitation) as alone:
            if not alone:
                return BatchStatus(batch=batch, note="another process is submitting it")
            batch = self.store.batches.find(batch.number)  # it may have come to an end with its submission
            if batch.id is not None or batch.finished is not None:
                return BatchStatus(batch=batch, note=batch.error or "")
            try:
                state = self.batches.find(batch.token)
            except LookupError:
                return self._close(batch, "failed", f"{batch.url} lists no batches, {_MAYBE_PAID}", alone=True)
            if state is None:
                if _age(batch) < _UNDER_WAY:
                    return BatchStatus(batch=batch, note="it may still turn up at the endpoint")
                closed = self._close(batch, "failed", "it never reached the endpoint", alone=True)
                return replace(closed, lost=True)
        return self._follow(batch, state)

    def _forgotten(self, batch: Batch) -> BatchStatus:
        if _age(batch) < _REMEMBERED:
            note = f"{batch.url} knows no such batch; is it the account that submitted it?"
            return BatchStatus(batch=batch, note=note, stuck=True)
        with self.store.elicitations.dead(batch.elicitation) as alone:
            return self._close(batch, "failed", "its endpoint has forgotten it", alone=alone)

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
                oddities = self._keep(batch, state)
            except LookupError:
                if _age(batch) < _REMEMBERED:
                    return BatchStatus(batch=batch, note=f"its results are not at {batch.url} now", stuck=True)
                oddities = ["its endpoint has forgotten the results"]
            with self.store.elicitations.dead(batch.elicitation) as alone:
                return self._close(
                    batch, state.status, "; ".join(filter(None, [state.trouble, *oddities])), alone=alone
                )

    def _keep(self, batch: Batch, state: BatchState) -> list[str]:
        """Store what came of the batch's requests; what was odd about it, in words."""
        config = self.store.batches.asking_of(batch)
        before = batch.requests - sum(1 for _ in self.store.batches.left(batch))
        unreadable = unknown = again = 0
        for page in batched(self.batches.answers(state, config.sampling), _PAGE):
            readable = [answer for answer in page if answer is not None]
            worked_on = [(answer.name, answer.outcome) for answer in readable if answer.outcome is not None]
            addressed = [(address, outcome) for name, outcome in worked_on if (address := address_of(name))]
            kept = self._store_page(batch, config, addressed)
            unreadable += len(page) - len(readable)
            unknown += len(worked_on) - len(addressed) + kept.unknown
            again += kept.again
        missing = sum(1 for _ in self.store.batches.left(batch))
        counts = [
            (unreadable, "lines can't be read"),
            (unknown, "answers are to no request of it"),
            (max(0, again - before), "answers came twice"),
            (missing, "requests have no answer and are asked again next time"),
        ]
        return [f"{count} {words}" for count, words in counts if count]

    def _store_page(
        self, batch: Batch, config: ElicitationConfig, answers: list[tuple[RequestId, Outcome]]
    ) -> stored_batches.Kept:
        kept = self.store.batches.settle(batch, config, answers)
        for one in kept.settled:
            address, outcome = (one.prompt.hash, one.sample), one.outcome
            failed = isinstance(outcome, Failure)
            if failed:
                self.collected.failed.add(address)
            key = self.store.batches.key(batch, one.prompt.question) if failed else ""
            self.collected.tally.count(key, outcome)
            self._settle(batch, address, outcome)
        return kept

    def _settle(self, batch: Batch, address: RequestId, outcome: Outcome) -> None:
        """What an earlier command submitted is none of this one's budget."""
        reserved = (batch.teacher, batch.sampling, address)
        if self.budget.holds(reserved):
            self.budget.settle(reserved, outcome)

    def _close(self, batch: Batch, state: str, trouble: str, *, alone: bool) -> BatchStatus:
        if self.budget.bounded:
            for address in self.store.batches.left(batch):
                self._settle(batch, address, Failure(reason="not asked"))
        self.store.batches.close(batch, state, trouble or None, alone=alone)
        closed = self.store.batches.find(batch.number)
        return BatchStatus(batch=closed, done=batch.requests, note=trouble)


def _age(batch: Batch) -> timedelta:
    return datetime.now(UTC) - datetime.fromisoformat(batch.submitted)
