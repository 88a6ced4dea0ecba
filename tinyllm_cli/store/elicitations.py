"""Elicitations: one row for each process that requests replies for a split, and its claims on single replies.

A process that elicits holds a lock on a file beside the database, which the system releases however the process ends.
So two processes share the work, and the claims of a killed one are released. The claims of a submitted batch outlive
their process: `batches` releases them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from backends.base import Completion, PaceChange
from tinyllm_cli.records.activity import ElicitationProgress
from tinyllm_cli.records.elicitation import Elicitation, ElicitationConfig, Recipe
from tinyllm_cli.signals import signals_deferred
from tinyllm_cli.store.currency import CurrencyQueries
from tinyllm_cli.store.database import Database, now
from tinyllm_cli.store.locks import claiming
from tinyllm_cli.store.rationale_rows import Settled, add_recipes
from tinyllm_cli.store.rationales import RationaleQueries

_NO_BATCH = "NOT EXISTS (SELECT 1 FROM batches b WHERE b.elicitation = elicitations.id AND b.finished IS NULL)"

RequestId = tuple[str, int]
"""(prompt hash, sample number): identifies a reply among those with one configuration."""


class Worker:
    """One elicitation, in the process that carries it out."""

    def __init__(self, store: Database, number: int, asking: ElicitationConfig) -> None:
        self.store, self.number, self.asking = store, number, asking

    def claim(self, wanted: Sequence[RequestId]) -> list[RequestId]:
        """Claim those of `wanted` that no other process has claimed, and return them. Call it in the transaction that
        found them missing."""
        asking = self.asking
        taken = []
        for prompt, sample in wanted:
            cursor = self.store.execute(
                "INSERT INTO claims (prompt, teacher, sampling, sample, elicitation) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET elicitation = excluded.elicitation"
                " WHERE elicitation = excluded.elicitation AND batch IS NULL",
                (prompt, asking.teacher, asking.hash, sample, self.number),
            )
            if cursor.rowcount:
                taken.append((prompt, sample))
        return taken

    def settle(self, settled: Sequence[Settled]) -> None:
        """Keep outcomes and release their claims; committed when this returns, also on Ctrl-C."""
        with signals_deferred(), self.store.writing():
            self.keep(settled)

    def keep(self, settled: Sequence[Settled]) -> None:
        """The same, inside the caller's transaction."""
        asking, store = self.asking, self.store
        RationaleQueries(store).add(asking, settled)
        store.executemany(
            "DELETE FROM claims WHERE prompt = ? AND teacher = ? AND sampling = ? AND sample = ?",
            [(one.prompt.hash, asking.teacher, asking.hash, one.sample) for one in settled],
        )
        self._count(settled)

    def finish(self, state: str, concurrency: Iterable[PaceChange], error: str | None = None) -> None:
        """Close the row and release its claims. With an open batch the row stays open, and the batch keeps its
        claims."""
        history = [[change.seconds, change.endpoint, change.in_flight, change.why] for change in concurrency]
        with self.store.writing():
            ElicitationQueries(self.store)._free(self.number)
            self.store.execute(
                "UPDATE elicitations SET state = ?, finished = ?, concurrency = ?, error = ?"
                f" WHERE id = ? AND {_NO_BATCH}",
                (state, now(), json.dumps(history), error, self.number),
            )

    def note_progress(self, progress: ElicitationProgress) -> None:
        """Say how far the elicitation is, for those who watch it, unless another process is writing."""
        endpoints = json.dumps([[name, limit] for name, limit in progress.endpoints.items()])
        self.store.execute_if_free(
            "INSERT OR REPLACE INTO elicitation_progress (elicitation, requests_left, in_flight, rate, endpoints, at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (self.number, progress.requests_left, progress.in_flight, progress.rate, endpoints, now()),
        )

    def _count(self, settled: Sequence[Settled]) -> None:
        outcomes = [one.outcome for one in settled]
        replies = sum(isinstance(outcome, Completion) for outcome in outcomes)
        sums = [
            _sum([outcome.prompt_tokens for outcome in outcomes]),
            _sum([outcome.completion_tokens for outcome in outcomes]),
            _sum([outcome.cost for outcome in outcomes]),
        ]
        self.store.execute(
            "UPDATE elicitations SET replies = replies + ?, failures = failures + ?, calls = calls + ?,"
            " prompt_tokens = coalesce(prompt_tokens + ?, prompt_tokens, ?),"
            " completion_tokens = coalesce(completion_tokens + ?, completion_tokens, ?),"
            " cost = coalesce(cost + ?, cost, ?) WHERE id = ?",
            (replies, len(outcomes) - replies, sum(outcome.attempts for outcome in outcomes),
             *(value for value in sums for _ in range(2)), self.number),
        )  # fmt: skip


def _sum(values: Sequence[float | None]) -> float | None:
    """None when no value is known."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _elicitation(db: Database, row: dict[str, Any]) -> Elicitation:
    changes = [
        PaceChange(seconds=seconds, endpoint=endpoint, in_flight=in_flight, why=why)
        for seconds, endpoint, in_flight, why in db.decoded(row["concurrency"], list, "elicitations.concurrency")
    ]
    return Elicitation(**{**row, "concurrency": tuple(changes)})


class ElicitationQueries:
    """Queries of `store.elicitations`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @contextmanager
    def working(
        self, asking: ElicitationConfig, dataset: str, split: str, recipe: Recipe, currency: str | None = None
    ) -> Iterator[Worker]:
        """A new elicitation, with its lock; `currency` is that of its cost, None where nothing is charged. Releases the
        claims of killed ones. The caller closes it with `finish`.

        Raises UsageProblem when the database's costs are in another currency."""
        with ExitStack() as held:
            with self._db.writing():
                if currency is not None:
                    CurrencyQueries(self._db).use(currency)
                add_recipes(self._db, [recipe])
                number = self._db.execute(
                    "INSERT INTO elicitations (teacher, sampling, dataset, split, recipe, state, started)"
                    " VALUES (?, ?, ?, ?, ?, 'running', ?)",
                    (asking.teacher, asking.hash, dataset, split, recipe.name, now()),
                ).lastrowid
                assert number is not None
                held.enter_context(claiming(self._db, str(number)))
            self.mark_killed(but=number)
            yield Worker(self._db, number, asking)

    def everything(self) -> list[Elicitation]:
        """All elicitations, the oldest first; without those of recorded rationales, which request nothing."""
        rows = self._db.rows(
            "SELECT e.*, s.model, s.backend FROM elicitations e JOIN samplings s ON s.hash = e.sampling"
            " WHERE s.backend <> 'recorded' ORDER BY e.id"
        )
        return [_elicitation(self._db, row) for row in rows]

    def mark_killed(self, but: int | None = None) -> None:
        """Set the state of 'running' elicitations whose lock is free to 'killed', except of those that wait for a
        batch. A batch that was not uploaded yet failed with them. In a read-only database this does nothing."""
        if self._db.read_only:
            return
        for row in list(self._db.rows("SELECT id FROM elicitations WHERE state = 'running' AND id IS NOT ?", (but,))):
            with self.dead(row["id"]) as is_dead:
                if not is_dead:
                    continue
                with self._db.writing():
                    self._db.execute(
                        "UPDATE batches SET state = 'failed', finished = ?, error = 'killed before it was submitted'"
                        " WHERE elicitation = ? AND state = 'uploading' AND finished IS NULL",
                        (now(), row["id"]),
                    )
                    self._free(row["id"])
                    self._db.execute(
                        f"UPDATE elicitations SET state = 'killed' WHERE id = ? AND state = 'running' AND {_NO_BATCH}",
                        (row["id"],),
                    )

    def close_waiting(self, number: int, state: str, error: str | None) -> None:
        """Close an elicitation that waited for its last batch, inside the caller's transaction."""
        self._db.execute(
            "UPDATE elicitations SET state = ?, finished = ?, error = ? WHERE id = ? AND state = 'running'"
            f" AND {_NO_BATCH}",
            (state, now(), error, number),
        )

    def dead(self, number: int) -> AbstractContextManager[bool]:
        """Whether the process of an elicitation has ended; in the block no other process gets the same answer."""
        return claiming(self._db, str(number))

    def _free(self, number: int) -> None:
        """Release an elicitation's claims, except those of its open batches."""
        self._db.execute(
            "DELETE FROM claims WHERE elicitation = ? AND (batch IS NULL"
            " OR batch IN (SELECT number FROM batches WHERE elicitation = ? AND finished IS NOT NULL))",
            (number, number),
        )
