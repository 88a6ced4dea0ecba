"""Batches: what lies at an endpoint until its answers come, and the claims that wait for them.

A batch's claims are there before its file is uploaded, and go one by one as answers are stored. An answer counts only
while its claim is there: so a batch may be collected again after a kill, or by two processes, and nothing doubles.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from backends.base import Message, Outcome, Sampling
from tinyllm_cli.records.elicitation import Batch, ElicitationConfig, Prompt, RationaleSet
from tinyllm_cli.signals import signals_deferred
from tinyllm_cli.store.database import Database, now
from tinyllm_cli.store.elicitations import ElicitationQueries, RequestId, Worker
from tinyllm_cli.store.locks import holding
from tinyllm_cli.store.rationales import RationaleQueries, Settled

_OURS = "c.prompt = ? AND c.teacher = ? AND c.sampling = ? AND c.sample = ?"


@dataclass(kw_only=True)
class Kept:
    """What became of some answers: kept, of a request that has its answer already, of none that we made."""

    settled: list[Settled] = field(default_factory=list)
    again: int = 0
    unknown: int = 0


def _prompt(row: dict[str, Any]) -> Prompt:
    prompt = Prompt(
        question=row["question"],
        recipe=row["recipe"],
        messages=tuple(Message(role=role, content=content) for role, content in json.loads(row["messages"])),
        teacher_forcing=bool(row["teacher_forcing"]),
        examples=tuple(json.loads(row["examples"])),
    )
    vars(prompt)["hash"] = row["hash"]  # the cached property, known already
    return prompt


class BatchQueries:
    """Queries of `store.batches`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def begin(self, worker: Worker, url: str, token: str) -> int:
        """A batch whose file is being written; its number."""
        number = self._db.execute(
            "INSERT INTO batches (token, elicitation, teacher, sampling, url, state, submitted)"
            " VALUES (?, ?, ?, ?, ?, 'uploading', ?)",
            (token, worker.number, worker.asking.teacher, worker.asking.hash, url, now()),
        ).lastrowid
        assert number is not None
        return number

    def fill(self, number: int, worker: Worker, requests: Sequence[tuple[Prompt, int]]) -> None:
        """Put requests, which `worker` has claimed, into the batch."""
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
        """From now on the endpoint may have it, and no power cut may make us forget that."""
        with self._db.lasting():
            self._db.execute("UPDATE batches SET state = 'submitting', submitted = ? WHERE number = ?", (now(), number))

    def seen(self, number: int, name: str, state: str) -> None:
        """The endpoint knows it as `name`, and says its state."""
        self._db.execute(
            "UPDATE batches SET id = ?, state = ? WHERE number = ? AND finished IS NULL AND (id, state) IS NOT (?, ?)",
            (name, state, number, name, state),
        )

    def abandon(self, number: int) -> None:
        """Close it if it was not submitted yet."""
        self._db.execute(
            "UPDATE batches SET state = 'failed', finished = ?, error = 'stopped before it was submitted'"
            " WHERE number = ? AND state = 'uploading'",
            (now(), number),
        )

    def close(self, batch: Batch, state: str, error: str | None, *, alone: bool) -> None:
        """Nothing more comes of it; what it still holds is free again. `alone`: the process that submitted it is
        gone."""
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
        """The oldest first."""
        rows = self._db.rows("SELECT * FROM batches WHERE teacher = ? AND finished IS NULL ORDER BY number", (teacher,))
        return [Batch(**row) for row in rows]

    def find(self, number: int) -> Batch:
        row = self._db.one("SELECT * FROM batches WHERE number = ?", (number,))
        assert row is not None
        return Batch(**row)

    def asking_of(self, batch: Batch | RationaleSet) -> ElicitationConfig:
        """How the requests of a batch, or the rationales of a set, were asked for."""
        row = self._db.one("SELECT * FROM samplings WHERE hash = ?", (batch.sampling,))
        assert row is not None
        names = ("temperature", "top_p", "max_tokens", "seed")
        sampling = Sampling(**{name: row[name] for name in names}, stop=tuple(json.loads(row["stop"])))
        return ElicitationConfig(
            teacher=batch.teacher,
            backend=row["backend"],
            model=row["model"],
            revision=row["revision"],
            sampling=sampling,
        )

    def held(self, asking: ElicitationConfig, prompts: Sequence[str]) -> set[RequestId]:
        """Those replies to `prompts` that an open batch is to bring."""
        marks = ",".join("?" * len(prompts))
        rows = self._db.rows(
            "SELECT c.prompt, c.sample FROM claims c JOIN batches b ON b.number = c.batch"
            f" WHERE c.prompt IN ({marks}) AND c.teacher = ? AND c.sampling = ? AND b.finished IS NULL",
            (*prompts, asking.teacher, asking.hash),
        )
        return {(row["prompt"], row["sample"]) for row in rows}

    def left(self, batch: Batch) -> Iterator[RequestId]:
        """What a batch is still to bring."""
        rows = self._db.rows("SELECT prompt, sample FROM claims WHERE batch = ?", (batch.number,))
        return ((row["prompt"], row["sample"]) for row in rows)

    def settle(self, batch: Batch, asking: ElicitationConfig, answers: Sequence[tuple[RequestId, Outcome]]) -> Kept:
        """Keep what came back; committed when this returns, Ctrl-C or not."""
        kept, taken = Kept(), set()
        with signals_deferred(), self._db.writing():
            for address, outcome in answers:
                prompt = None if address in taken else self._claimed(batch, asking, address)
                if prompt is not None:
                    taken.add(address)
                    kept.settled.append(Settled(prompt=prompt, sample=address[1], outcome=outcome, failed_before=True))
                elif address in taken or self._answered(asking, address):
                    kept.again += 1
                else:
                    kept.unknown += 1
            Worker(self._db, batch.elicitation, asking).keep(kept.settled)
        return kept

    def key(self, batch: Batch, question: str) -> str:
        """The data set's name for one of a batch's questions."""
        row = self._db.one(
            "SELECT dq.key FROM elicitations e JOIN dataset_questions dq ON dq.question = ? AND dq.dataset = e.dataset"
            " AND dq.split = e.split WHERE e.id = ? LIMIT 1",
            (question, batch.elicitation),
        )
        return str(row["key"]) if row else question

    def collecting(self, batch: Batch) -> AbstractContextManager[bool]:
        """Whether nobody else is collecting this batch just now."""
        return holding(self._db, f"batch-{batch.number}")

    def _claimed(self, batch: Batch, asking: ElicitationConfig, address: RequestId) -> Prompt | None:
        prompt, sample = address
        row = self._db.one(
            f"SELECT p.* FROM claims c JOIN prompts p ON p.hash = c.prompt WHERE {_OURS} AND c.batch = ?",
            (prompt, asking.teacher, asking.hash, sample, batch.number),
        )
        return _prompt(row) if row else None

    def _answered(self, asking: ElicitationConfig, address: RequestId) -> bool:
        same = "c.question = p.question AND c.prompt = p.hash AND c.teacher = ? AND c.sampling = ? AND c.sample = ?"
        known = (asking.teacher, asking.hash, address[1])
        row = self._db.one(
            f"SELECT 1 FROM prompts p WHERE p.hash = ? AND (EXISTS (SELECT 1 FROM rationales c WHERE {same})"
            f" OR EXISTS (SELECT 1 FROM failures c WHERE {same}))",
            (address[0], *known, *known),
        )
        return row is not None
