"""Prompts, samplings, rationales and failures: what teachers were asked and what they wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from backends.base import Completion, Failure, Message, Outcome
from tinyllm_cli.records.elicitation import ElicitationConfig, Prompt, Rationale, RationaleSet, TeacherCosts
from tinyllm_cli.store.database import Database, now
from tinyllm_cli.store.rationale_stats import OUTSTANDING, StatsQueries

# A content that stands in two places of a split was asked, and paid, once.
_CONTENTS = "(SELECT DISTINCT dataset, split, question FROM dataset_questions) dq"
_encode = json.JSONEncoder(ensure_ascii=False).encode  # made once: `dumps` makes one for each call
_PAGE = 500  # questions
_SAME_VARIANT = "r.teacher = ? AND r.sampling = ? AND p.recipe = ?"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """What became of one prompt. `failed_before`: an earlier run left a failure, which a reply removes."""

    prompt: Prompt
    sample: int
    outcome: Outcome
    failed_before: bool = False


def _address(asking: ElicitationConfig, one: Settled) -> tuple[str, str, str, str, int]:
    return one.prompt.question, asking.teacher, one.prompt.hash, asking.hash, one.sample


def _prompt_row(prompt: Prompt) -> tuple[Any, ...]:
    messages = [[message.role, message.content] for message in prompt.messages]
    return (prompt.hash, prompt.question, prompt.recipe, prompt.teacher_forcing, json.dumps(prompt.examples),
            _encode(messages))  # fmt: skip


def _rationale_row(asking: ElicitationConfig, one: Settled, reply: Completion, moment: str) -> tuple[Any, ...]:
    return (*_address(asking, one), reply.text, reply.finish_reason, reply.answer, reply.prompt_tokens,
            reply.completion_tokens, reply.seconds, reply.cost, moment, reply.reasoning, reply.attempts,
            reply.last_error, reply.cap)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the replies so far to one way of asking tell of the next ones: how many, and tokens on average."""

    replies: int
    prompt_tokens: float | None
    completion_tokens: float | None


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A prompt as it was sent, and the raw reply."""

    messages: tuple[Message, ...]
    text: str


_MADE_BY = " JOIN prompts p ON p.hash = r.prompt JOIN samplings s ON s.hash = r.sampling"
_PLACES = f"FROM dataset_questions dq JOIN rationales r ON r.question = dq.question{_MADE_BY}"


class RationaleQueries:
    """Queries of `store.rationales`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add_asking(self, asking: ElicitationConfig) -> None:
        s = asking.sampling
        self._db.execute(
            "INSERT INTO samplings (hash, backend, model, revision, temperature, top_p, max_tokens, stop, seed)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (asking.hash, asking.backend, asking.model, asking.revision, s.temperature, s.top_p, s.max_tokens,
             json.dumps(s.stop, ensure_ascii=False), s.seed),
        )  # fmt: skip

    def describe_engine(self, asking: ElicitationConfig, engine: Mapping[str, Any]) -> None:
        """Keep what the adapter said of its engine once it was running."""
        self._db.execute("UPDATE samplings SET engine = ? WHERE hash = ?", (json.dumps(engine), asking.hash))

    def answered(self, asking: ElicitationConfig, questions: Sequence[str]) -> set[tuple[str, int]]:
        """(prompt hash, sample) of every stored reply of this teacher, asked so, to any of these question hashes."""
        marks = ",".join("?" * len(questions))
        rows = self._db.rows(
            f"SELECT prompt, sample FROM rationales WHERE question IN ({marks}) AND teacher = ? AND sampling = ?",
            (*questions, asking.teacher, asking.hash),
        )
        return {(row["prompt"], row["sample"]) for row in rows}

    def answered_by_recipe(
        self, asking: ElicitationConfig, questions: Sequence[str], recipe: str
    ) -> set[tuple[str, int]]:
        """(question hash, sample) of every stored reply of this teacher to a prompt of this recipe."""
        marks = ",".join("?" * len(questions))
        rows = self._db.rows(
            "SELECT r.question, r.sample FROM rationales r JOIN prompts p ON p.hash = r.prompt"
            f" WHERE r.question IN ({marks}) AND r.teacher = ? AND r.sampling = ? AND p.recipe = ?",
            (*questions, asking.teacher, asking.hash, recipe),
        )
        return {(row["question"], row["sample"]) for row in rows}

    def add(self, asking: ElicitationConfig, settled: Sequence[Settled]) -> None:
        """Keep replies and failures, inside the caller's transaction. A second reply with one identity is dropped."""
        self.add_prompts([one.prompt for one in settled])
        moment = now()
        self._db.executemany(
            "INSERT INTO rationales (question, teacher, prompt, sampling, sample, text, finish_reason, answer,"
            " prompt_tokens, completion_tokens, seconds, cost, created, reasoning, attempts, last_error, cap)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [
                _rationale_row(asking, one, one.outcome, moment)
                for one in settled
                if isinstance(one.outcome, Completion)
            ],
        )
        self._db.executemany(
            "DELETE FROM failures WHERE question = ? AND teacher = ? AND prompt = ? AND sampling = ? AND sample = ?",
            [_address(asking, one) for one in settled if one.failed_before and isinstance(one.outcome, Completion)],
        )
        self._db.executemany(
            "INSERT INTO failures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " reason = excluded.reason, attempts = attempts + excluded.attempts, at = excluded.at,"
            " prompt_tokens = coalesce(prompt_tokens + excluded.prompt_tokens, prompt_tokens, excluded.prompt_tokens),"
            " completion_tokens = coalesce(completion_tokens + excluded.completion_tokens, completion_tokens,"
            " excluded.completion_tokens), cost = coalesce(cost + excluded.cost, cost, excluded.cost)",
            [
                (*_address(asking, one), one.outcome.reason, one.outcome.attempts, moment, one.outcome.prompt_tokens,
                 one.outcome.completion_tokens, one.outcome.cost)
                for one in settled if isinstance(one.outcome, Failure)
            ],
        )  # fmt: skip

    def add_prompts(self, prompts: Sequence[Prompt]) -> None:
        self._db.executemany(
            "INSERT INTO prompts VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [_prompt_row(one) for one in prompts],
        )

    def failed(self, asking: ElicitationConfig, questions: Sequence[str]) -> set[tuple[str, int]]:
        """(prompt hash, sample) of every failure of this teacher, asked so, on any of these question hashes."""
        marks = ",".join("?" * len(questions))
        rows = self._db.rows(
            f"SELECT prompt, sample FROM failures WHERE question IN ({marks}) AND teacher = ? AND sampling = ?",
            (*questions, asking.teacher, asking.hash),
        )
        return {(row["prompt"], row["sample"]) for row in rows}

    def seen(self, asking: ElicitationConfig, dataset: str, split: str, recipe: str) -> Seen:
        """Over the replies for one split whose prompts were made by `recipe`."""
        row = self._db.one(
            "SELECT count(*) AS replies, avg(r.prompt_tokens) AS prompt_tokens,"
            f" avg(r.completion_tokens) AS completion_tokens FROM {_CONTENTS}"
            " JOIN rationales r ON r.question = dq.question JOIN prompts p ON p.hash = r.prompt"
            " WHERE dq.dataset = ? AND dq.split = ? AND r.teacher = ? AND r.sampling = ? AND p.recipe = ?",
            (dataset, split, asking.teacher, asking.hash, recipe),
        )
        assert row is not None
        return Seen(**row)

    def newest(self, asking: ElicitationConfig) -> Exchange | None:
        """The last exchange with a teacher that was asked so."""
        row = self._db.one(
            "SELECT p.messages, r.text FROM rationales r JOIN prompts p ON p.hash = r.prompt"
            " WHERE r.teacher = ? AND r.sampling = ? ORDER BY r.id DESC LIMIT 1",
            (asking.teacher, asking.hash),
        )
        if row is None:
            return None
        messages = tuple(Message(role=role, content=content) for role, content in json.loads(row["messages"]))
        return Exchange(messages=messages, text=row["text"])

    def variants(self, dataset: str, split: str | None = None) -> list[RationaleSet]:
        """Every way in which rationales for this data set were made, the newest first."""
        rows = self._db.rows(
            "SELECT r.teacher, r.sampling, p.recipe, s.model, s.revision, max(p.teacher_forcing) AS teacher_forcing,"
            " count(*) AS rationales, count(DISTINCT dq.split || '/' || dq.key) AS questions, max(r.id) AS latest"
            f" {_PLACES}"
            " WHERE dq.dataset = ? AND (? IS NULL OR dq.split = ?)"
            " GROUP BY r.teacher, r.sampling, p.recipe ORDER BY latest DESC",
            (dataset, split, split),
        )
        return [RationaleSet(**{**row, "teacher_forcing": bool(row["teacher_forcing"])}) for row in rows]

    def count(self, dataset: str, split: str, teacher: str) -> int:
        """How many rationales of `teacher` there are for a split, however they were made."""
        row = self._db.one(
            "SELECT count(*) AS n FROM dataset_questions dq JOIN rationales r ON r.question = dq.question"
            " WHERE dq.dataset = ? AND dq.split = ? AND r.teacher = ?",
            (dataset, split, teacher),
        )
        return int(row["n"]) if row else 0

    def datasets_with_rationales(self, split: str = "train") -> dict[str, set[str]]:
        """Data set -> the teachers that have rationales for the questions of its `split`."""
        found: dict[str, set[str]] = {}
        rows = self._db.rows(
            "SELECT DISTINCT dq.dataset, r.teacher FROM dataset_questions dq JOIN rationales r ON r.question ="
            " dq.question"
            " WHERE dq.split = ?",
            (split,),
        )
        for row in rows:
            found.setdefault(row["dataset"], set()).add(row["teacher"])
        return found

    def iterate(self, dataset: str, split: str, variant: RationaleSet) -> Iterator[Rationale]:
        """One variant's rationales for a split, in the order of its questions and samples; of several that differ in
        the prompt alone (other in-context examples, an edited recording) the newest. A page of questions at a time,
        so that the store may be written to meanwhile: a query that is still open would hold on to an old state of the
        database, from which SQLite lets nobody write once another process has."""
        last = self._db.one(
            "SELECT max(position) AS position FROM dataset_questions WHERE dataset = ? AND split = ?", (dataset, split)
        )
        for first in range(0, (-1 if last is None or last["position"] is None else last["position"]) + 1, _PAGE):
            page = self._db.rows(
                "SELECT max(r.id) AS id, dq.position, dq.key, r.question, r.sample, r.text, r.finish_reason, r.answer"
                f" {_PLACES} WHERE dq.dataset = ? AND dq.split = ? AND dq.position BETWEEN ? AND ? AND {_SAME_VARIANT}"
                " GROUP BY dq.position, r.sample ORDER BY dq.position, r.sample",
                (dataset, split, first, first + _PAGE - 1, variant.teacher, variant.sampling, variant.recipe),
            )
            yield from [Rationale(**row) for row in page]

    def failed_keys(self, dataset: str, split: str, variant: RationaleSet) -> set[str]:
        """Questions that were asked in this way and got no usable reply yet."""
        rows = self._db.rows(
            "SELECT dq.key FROM dataset_questions dq JOIN failures f ON f.question = dq.question"
            " JOIN prompts p ON p.hash = f.prompt"
            " WHERE dq.dataset = ? AND dq.split = ? AND f.teacher = ? AND f.sampling = ? AND p.recipe = ?"
            f" AND {OUTSTANDING}",
            (dataset, split, variant.teacher, variant.sampling, variant.recipe),
        )
        return {row["key"] for row in rows}

    def costs(self) -> list[TeacherCosts]:
        """What each teacher wrote for each split and what it came to, summed in the database."""
        rows = self._db.rows(
            "SELECT r.teacher, s.model, dq.dataset, dq.split, p.recipe,"
            " count(DISTINCT r.question || ' ' || r.sample) AS rationales,"
            " avg(length(r.text)) AS mean_characters, sum(CASE r.finish_reason WHEN 'recorded' THEN NULL ELSE"
            " r.finish_reason = 'length' END) AS cut_off,"
            f" sum(r.seconds) AS seconds, r.sampling FROM {_CONTENTS}"
            f" JOIN rationales r ON r.question = dq.question{_MADE_BY}"
            " GROUP BY dq.dataset, dq.split, r.teacher, r.sampling, p.recipe"
            " ORDER BY dq.dataset, r.teacher, dq.split DESC, max(r.id)"
        )
        failures = {
            (row["dataset"], row["split"], row["teacher"], row["sampling"], row["recipe"]): row["n"]
            for row in self._db.rows(
                "SELECT dq.dataset, dq.split, f.teacher, f.sampling, p.recipe, count(*) AS n FROM failures f"
                f" JOIN {_CONTENTS} ON dq.question = f.question JOIN prompts p ON p.hash = f.prompt"
                f" WHERE {OUTSTANDING} GROUP BY 1, 2, 3, 4, 5"
            )
        }
        result = []
        for row in rows:
            sampling = row.pop("sampling")
            address = (row["dataset"], row["split"], row["teacher"], sampling, row["recipe"])
            taken = StatsQueries(self._db).spent(
                row["dataset"], row["split"], (row["teacher"], sampling, row["recipe"])
            )
            result.append(TeacherCosts(**row, **asdict(taken), failures=failures.get(address, 0)))
        return result

    def explained(self, dataset: str, count: int) -> list[str]:
        """The keys of up to `count` training questions that have rationales, spread evenly."""
        rows = self._db.rows(
            "WITH numbered AS (SELECT position, key, row_number() OVER (ORDER BY position) - 1 AS number,"
            " count(*) OVER () AS total FROM dataset_questions dq WHERE dataset = ? AND split = 'train'"
            " AND EXISTS (SELECT 1 FROM rationales r WHERE r.question = dq.question))"
            " SELECT key FROM numbered WHERE number % max(1, total / ?) = 0 ORDER BY position LIMIT ?",
            (dataset, count, count),
        )
        return [row["key"] for row in rows]
