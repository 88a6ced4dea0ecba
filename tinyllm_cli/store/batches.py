"""Batches: requests at an endpoint's batch API, and the claims that wait for their replies.

The claims of a batch exist before its file is uploaded, and are released one by one as replies are stored. A reply
counts only while its claim exists, so a batch may be collected again after a kill, or by two processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from backends.base import Outcome, Sampling
from tinyllm_cli.records.elicitation import Batch, ElicitationConfig, Prompt, RationaleSet
from tinyllm_cli.signals import signals_deferred
from tinyllm_cli.store.database import Database, now
from tinyllm_cli.store.elicitations import ElicitationQueries, RequestId, Worker
from tinyllm_cli.store.locks import claiming
from tinyllm_cli.store.rationale_rows import Settled, messages_of, recipe_of
from tinyllm_cli.store.rationales import RationaleQueries

_OURS = "c.prompt = ? AND c.teacher = ? AND c.sampling = ? AND c.sample = ?"


@dataclass(kw_only=True)
class Kept:
    """How many replies of a batch were stored; `again` counts those of requests that had one already, `unknown` those
    of requests that are not ours."""

    settled: list[Settled] = field(default_factory=list)
    again: int = 0
    unknown: int = 0


def _prompt(db: Database, row: dict[str, Any]) -> Prompt:
    prompt = Prompt(
        question=row["question"],
        recipe=recipe_of(row),
        messages=messages_of(db, row["messages"]),
        examples=tuple(db.decoded(row["examples"], list, "prompts.examples")),
    )
    vars(prompt)["hash"] = row["hash"]  # the cached property
    return prompt


class BatchQueries:
    """Queries of `store.batches`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def begin(self, worker: Worker, url: str, token: str) -> int:
        """A new batch, whose file is being written; returns its number."""
        number = self._db.execute(
            "INSERT INTO batches (token, elicitation, teacher, sampling, url, state, submitted)"
            " VALUES (?, ?, ?, ?, ?, 'uploading', ?)",
            (token, worker.number, worker.asking.teacher, worker.asking.hash, url, now()),
        ).lastrowid
        assert number is not None
        return number

    def fill(self, number: int, worker: Worker, requests: Sequence[tuple[Prompt, int]]) -> None:
        """Add requests, which `worker` has claimed, to the batch."""
        asking = worker.asking
        with self._db.writing():
            RationaleQueries(self._db).add_prompts([prompt for prompt, _ in requests])
            self._db.executemany(
                "UPDATE claims SET batch = ? WHERE prompt = ? AND teacher = ? AND sampling = ? AND sample = ?"
                " AND elicitation = ?",
                [
                    (number, prompt.hash, asking.teacher, asking.hash, sample, worker.number)
                    for prompt, sample in requests
                ],
            )
            self._db.execute("UPDATE batches SET requests = requests + ? WHERE number = ?", (len(requests), number))

    def submitting(self, number: int) -> None:
        """The endpoint may have the batch from now on; this survives a power failure."""
        with self._db.lasting():
            self._db.execute("UPDATE batches SET state = 'submitting', submitted = ? WHERE number = ?", (now(), number))

    def seen(self, number: int, name: str, state: str) -> None:
        """Keep the endpoint's ID and state of a batch."""
        self._db.execute(
            "UPDATE batches SET id = ?, state = ? WHERE number = ? AND finished IS NULL AND (id, state) IS NOT (?, ?)",
            (name, state, number, name, state),
        )

    def abandon(self, number: int) -> None:
        """Close a batch that was not submitted yet."""
        self._db.execute(
            "UPDATE batches SET state = 'failed', finished = ?, error = 'stopped before it was submitted'"
            " WHERE number = ? AND state = 'uploading'",
            (now(), number),
        )

    def close(self, batch: Batch, state: str, error: str | None, *, alone: bool) -> None:
        """Close a batch and release its claims. `alone`: the process that submitted it has ended."""
        with self._db.writing():
            self._db.execute(
                "UPDATE batches SET state = ?, finished = ?, error = ? WHERE number = ?",
                (state, now(), error, batch.number),
            )
            self._db.execute("DELETE FROM claims WHERE batch = ?", (batch.number,))
            if alone:
                ElicitationQueries(self._db).close_waiting(
                    batch.elicitation, "failed" if state == "failed" else "done", error
                )

    def open_ones(self, teacher: str) -> list[Batch]:
        """The open batches of a teacher, the oldest first."""
        rows = self._db.rows("SELECT * FROM batches WHERE teacher = ? AND finished IS NULL ORDER BY number", (teacher,))
        return [Batch(**row) for row in rows]

    def find(self, number: int) -> Batch:
        """The batch of this number, which exists."""
        row = self._db.one("SELECT * FROM batches WHERE number = ?", (number,))
        assert row is not None
        return Batch(**row)

    def asking_of(self, batch: Batch | RationaleSet) -> ElicitationConfig:
        """The configuration of a batch's requests, or of a set of rationales."""
        row = self._db.one("SELECT * FROM samplings WHERE hash = ?", (batch.sampling,))
        assert row is not None
        names = ("temperature", "top_p", "max_tokens", "seed")
        sampling = Sampling(
            **{name: row[name] for name in names}, stop=tuple(self._db.decoded(row["stop"], list, "samplings.stop"))
        )
        return ElicitationConfig(
            teacher=batch.teacher,
            backend=row["backend"],
            model=row["model"],
            revision=row["revision"],
            sampling=sampling,
        )

    def held(self, asking: ElicitationConfig, prompts: Sequence[str]) -> set[RequestId]:
        """The requests with these prompt hashes that are in an open batch."""
        marks = ",".join("?" * len(prompts))
        rows = self._db.rows(
            "SELECT c.prompt, c.sample FROM claims c JOIN batches b ON b.number = c.batch"
            f" WHERE c.prompt IN ({marks}) AND c.teacher = ? AND c.sampling = ? AND b.finished IS NULL",
            (*prompts, asking.teacher, asking.hash),
        )
        return {(row["prompt"], row["sample"]) for row in rows}

    def left(self, batch: Batch) -> Iterator[RequestId]:
        """The requests of a batch without a reply."""
        rows = self._db.rows("SELECT prompt, sample FROM claims WHERE batch = ?", (batch.number,))
        return ((row["prompt"], row["sample"]) for row in rows)

    def settle(self, batch: Batch, asking: ElicitationConfig, answers: Sequence[tuple[RequestId, Outcome]]) -> Kept:
        """Keep a batch's replies; committed when this returns, also on Ctrl-C."""
        kept, taken = Kept(), set()
        with signals_deferred(), self._db.writing():
            for request, outcome in answers:
                prompt = None if request in taken else self._claimed(batch, asking, request)
                if prompt is not None:
                    taken.add(request)
                    kept.settled.append(Settled(prompt=prompt, sample=request[1], outcome=outcome, failed_before=True))
                elif request in taken or self._answered(asking, request):
                    kept.again += 1
                else:
                    kept.unknown += 1
            Worker(self._db, batch.elicitation, asking).keep(kept.settled)
        return kept

    def key(self, batch: Batch, question: str) -> str:
        """The key of one of a batch's questions, by its hash; the hash when the data set no longer has it."""
        row = self._db.one(
            "SELECT dq.key FROM elicitations e JOIN dataset_questions dq ON dq.question = ? AND dq.dataset = e.dataset"
            " AND dq.split = e.split WHERE e.id = ? LIMIT 1",
            (question, batch.elicitation),
        )
        return str(row["key"]) if row else question

    def collecting(self, batch: Batch) -> AbstractContextManager[bool]:
        """Hold the lock of collecting this batch; False when another process has it."""
        return claiming(self._db, f"batch-{batch.number}")

    def _claimed(self, batch: Batch, asking: ElicitationConfig, request: RequestId) -> Prompt | None:
        prompt, sample = request
        row = self._db.one(
            "SELECT p.*, k.template, k.icl, k.seed, k.teacher_forcing FROM claims c JOIN prompts p ON p.hash = c.prompt"
            f" JOIN recipes k ON k.name = p.recipe WHERE {_OURS} AND c.batch = ?",
            (prompt, asking.teacher, asking.hash, sample, batch.number),
        )
        return _prompt(self._db, row) if row else None

    def _answered(self, asking: ElicitationConfig, request: RequestId) -> bool:
        same = "c.question = p.question AND c.prompt = p.hash AND c.teacher = ? AND c.sampling = ? AND c.sample = ?"
        known = (asking.teacher, asking.hash, request[1])
        row = self._db.one(
            f"SELECT 1 FROM prompts p WHERE p.hash = ? AND (EXISTS (SELECT 1 FROM rationales c WHERE {same})"
            f" OR EXISTS (SELECT 1 FROM failures c WHERE {same}))",
            (request[0], *known, *known),
        )
        return row is not None
