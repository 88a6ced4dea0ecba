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
from tinyllm_cli.records.elicitation import Batch, ElicitationConfig, Prompt
from tinyllm_cli.signals import signals_deferred
from tinyllm_cli.store.database import Store, now
from tinyllm_cli.store.elicitations import RequestId, Worker, close_waiting
from tinyllm_cli.store.locks import holding
from tinyllm_cli.store.rationales import Settled, add_prompts

_OURS = "c.prompt = ? AND c.teacher = ? AND c.sampling = ? AND c.sample = ?"


def begin(store: Store, worker: Worker, url: str, token: str) -> int:
    """A batch whose file is being written; its number."""
    number = store.execute(
        "INSERT INTO batches (token, elicitation, teacher, sampling, url, state, submitted)"
        " VALUES (?, ?, ?, ?, ?, 'uploading', ?)",
        (token, worker.number, worker.asking.teacher, worker.asking.hash, url, now()),
    ).lastrowid
    assert number is not None
    return number


def fill(store: Store, number: int, worker: Worker, requests: Sequence[tuple[Prompt, int]]) -> None:
    """Put requests, which `worker` has claimed, into the batch."""
    asking = worker.asking
    with store.writing():
        add_prompts(store, [prompt for prompt, _ in requests])
        store.executemany(
            "UPDATE claims SET batch = ? WHERE prompt = ? AND teacher = ? AND sampling = ? AND sample = ?"
            " AND elicitation = ?",
            [(number, prompt.hash, asking.teacher, asking.hash, sample, worker.number) for prompt, sample in requests],
        )
        store.execute("UPDATE batches SET requests = requests + ? WHERE number = ?", (len(requests), number))


def submitting(store: Store, number: int) -> None:
    """From now on the endpoint may have it, and no power cut may make us forget that."""
    with store.lasting():
        store.execute("UPDATE batches SET state = 'submitting', submitted = ? WHERE number = ?", (now(), number))


def seen(store: Store, number: int, name: str, state: str) -> None:
    """The endpoint knows it as `name`, and says its state."""
    store.execute(
        "UPDATE batches SET id = ?, state = ? WHERE number = ? AND finished IS NULL AND (id, state) IS NOT (?, ?)",
        (name, state, number, name, state),
    )


def abandon(store: Store, number: int) -> None:
    """Close it if it was not submitted yet."""
    store.execute(
        "UPDATE batches SET state = 'failed', finished = ?, error = 'stopped before it was submitted'"
        " WHERE number = ? AND state = 'uploading'",
        (now(), number),
    )


def close(store: Store, batch: Batch, state: str, error: str | None, *, alone: bool) -> None:
    """Nothing more comes of it; what it still holds is free again. `alone`: the process that submitted it is gone."""
    with store.writing():
        store.execute(
            "UPDATE batches SET state = ?, finished = ?, error = ? WHERE number = ?",
            (state, now(), error, batch.number),
        )
        store.execute("DELETE FROM claims WHERE batch = ?", (batch.number,))
        if alone:
            close_waiting(store, batch.elicitation, "failed" if state == "failed" else "done", error)


def open_ones(store: Store, teacher: str) -> list[Batch]:
    """The oldest first."""
    rows = store.rows("SELECT * FROM batches WHERE teacher = ? AND finished IS NULL ORDER BY number", (teacher,))
    return [Batch(**row) for row in rows]


def find(store: Store, number: int) -> Batch:
    row = store.one("SELECT * FROM batches WHERE number = ?", (number,))
    assert row is not None
    return Batch(**row)


def asking_of(store: Store, batch: Batch) -> ElicitationConfig:
    """How the requests of a batch are asked."""
    row = store.one("SELECT * FROM samplings WHERE hash = ?", (batch.sampling,))
    assert row is not None
    names = ("temperature", "top_p", "max_tokens", "seed")
    sampling = Sampling(**{name: row[name] for name in names}, stop=tuple(json.loads(row["stop"])))
    return ElicitationConfig(
        teacher=batch.teacher, backend=row["backend"], model=row["model"], revision=row["revision"], sampling=sampling
    )


def held(store: Store, asking: ElicitationConfig, prompts: Sequence[str]) -> set[RequestId]:
    """Those replies to `prompts` that an open batch is to bring."""
    marks = ",".join("?" * len(prompts))
    rows = store.rows(
        "SELECT c.prompt, c.sample FROM claims c JOIN batches b ON b.number = c.batch"
        f" WHERE c.prompt IN ({marks}) AND c.teacher = ? AND c.sampling = ? AND b.finished IS NULL",
        (*prompts, asking.teacher, asking.hash),
    )
    return {(row["prompt"], row["sample"]) for row in rows}


def left(store: Store, batch: Batch) -> Iterator[RequestId]:
    """What a batch is still to bring."""
    rows = store.rows("SELECT prompt, sample FROM claims WHERE batch = ?", (batch.number,))
    return ((row["prompt"], row["sample"]) for row in rows)


@dataclass(kw_only=True)
class Kept:
    """What became of some answers: kept, of a request that has its answer already, of none that we made."""

    settled: list[Settled] = field(default_factory=list)
    again: int = 0
    unknown: int = 0


def settle(store: Store, batch: Batch, asking: ElicitationConfig, answers: Sequence[tuple[RequestId, Outcome]]) -> Kept:
    """Keep what came back; committed when this returns, Ctrl-C or not."""
    kept, taken = Kept(), set()
    with signals_deferred(), store.writing():
        for address, outcome in answers:
            prompt = None if address in taken else _claimed(store, batch, asking, address)
            if prompt is not None:
                taken.add(address)
                kept.settled.append(Settled(prompt=prompt, sample=address[1], outcome=outcome, failed_before=True))
            elif address in taken or _answered(store, asking, address):
                kept.again += 1
            else:
                kept.unknown += 1
        Worker(store, batch.elicitation, asking).keep(kept.settled)
    return kept


def key(store: Store, batch: Batch, question: str) -> str:
    """The data set's name for one of a batch's questions."""
    row = store.one(
        "SELECT dq.key FROM elicitations e JOIN dataset_questions dq ON dq.question = ? AND dq.dataset = e.dataset"
        " AND dq.split = e.split WHERE e.id = ? LIMIT 1",
        (question, batch.elicitation),
    )
    return str(row["key"]) if row else question


def collecting(store: Store, batch: Batch) -> AbstractContextManager[bool]:
    """Whether nobody else is collecting this batch just now."""
    return holding(store, f"batch-{batch.number}")


def _claimed(store: Store, batch: Batch, asking: ElicitationConfig, address: RequestId) -> Prompt | None:
    prompt, sample = address
    row = store.one(
        f"SELECT p.* FROM claims c JOIN prompts p ON p.hash = c.prompt WHERE {_OURS} AND c.batch = ?",
        (prompt, asking.teacher, asking.hash, sample, batch.number),
    )
    return _prompt(row) if row else None


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


def _answered(store: Store, asking: ElicitationConfig, address: RequestId) -> bool:
    same = "c.question = p.question AND c.prompt = p.hash AND c.teacher = ? AND c.sampling = ? AND c.sample = ?"
    known = (asking.teacher, asking.hash, address[1])
    row = store.one(
        f"SELECT 1 FROM prompts p WHERE p.hash = ? AND (EXISTS (SELECT 1 FROM rationales c WHERE {same})"
        f" OR EXISTS (SELECT 1 FROM failures c WHERE {same}))",
        (address[0], *known, *known),
    )
    return row is not None
