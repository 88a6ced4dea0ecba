"""Recipes, prompts, samplings, rationales and failures: what teachers were asked and what they wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from backends.base import Completion, Failure, Message
from tinyllm_cli.records.elicitation import ElicitationConfig, Prompt, Rationale, RationaleSet, TeacherCosts
from tinyllm_cli.store.database import Database, now
from tinyllm_cli.store.rationale_rows import (
    RATIONALE_COLUMNS,
    Settled,
    add_recipes,
    identity_of,
    messages_of,
    prompt_row,
    rationale_row,
    rationale_set_of,
)
from tinyllm_cli.store.rationale_stats import NEWEST, OUTSTANDING, StatsQueries

__all__ = ["Exchange", "RationaleQueries", "Seen", "Settled"]

# A question at two positions of a split was requested, and paid for, once.
_CONTENTS = "(SELECT DISTINCT dataset, split, question FROM dataset_questions) dq"
_PAGE = 500  # questions
_SAME_SET = "r.teacher = ? AND r.sampling = ? AND p.recipe = ?"
_MADE_BY = " JOIN prompts p ON p.hash = r.prompt JOIN samplings s ON s.hash = r.sampling"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The replies so far to one configuration: how many, and the mean number of tokens."""

    replies: int
    prompt_tokens: float | None
    completion_tokens: float | None


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A prompt as it was sent, and the raw reply."""

    messages: tuple[Message, ...]
    text: str


class RationaleQueries:
    """Queries of `store.rationales`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add_asking(self, config: ElicitationConfig) -> None:
        """Keep a teacher's model and sampling, to which rationales refer."""
        s = config.sampling
        self._db.execute(
            "INSERT INTO samplings (hash, backend, model, revision, temperature, top_p, max_tokens, stop, seed)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (config.hash, config.backend, config.model, config.revision, s.temperature, s.top_p, s.max_tokens,
             json.dumps(s.stop, ensure_ascii=False), s.seed),
        )  # fmt: skip

    def describe_engine(self, config: ElicitationConfig, engine: Mapping[str, Any]) -> None:
        """Keep the description of the engine that the adapter started."""
        self._db.execute("UPDATE samplings SET engine = ? WHERE hash = ?", (json.dumps(engine), config.hash))

    def answered(self, config: ElicitationConfig, questions: Sequence[str]) -> set[tuple[str, int]]:
        """(prompt hash, sample) of every stored reply with this configuration to any of these question hashes."""
        marks = ",".join("?" * len(questions))
        rows = self._db.rows(
            f"SELECT prompt, sample FROM rationales WHERE question IN ({marks}) AND teacher = ? AND sampling = ?",
            (*questions, config.teacher, config.hash),
        )
        return {(row["prompt"], row["sample"]) for row in rows}

    def answered_by_recipe(
        self, config: ElicitationConfig, questions: Sequence[str], recipe: str
    ) -> set[tuple[str, int]]:
        """(question hash, sample) of the stored replies with this configuration and the recipe of this name."""
        marks = ",".join("?" * len(questions))
        rows = self._db.rows(
            "SELECT r.question, r.sample FROM rationales r JOIN prompts p ON p.hash = r.prompt"
            f" WHERE r.question IN ({marks}) AND r.teacher = ? AND r.sampling = ? AND p.recipe = ?",
            (*questions, config.teacher, config.hash, recipe),
        )
        return {(row["question"], row["sample"]) for row in rows}

    def add(self, config: ElicitationConfig, settled: Sequence[Settled]) -> None:
        """Keep replies and failures, inside the caller's transaction. A second reply with the same identity is
        dropped."""
        self.add_prompts([one.prompt for one in settled])
        moment = now()
        self._db.executemany(
            f"INSERT INTO rationales ({RATIONALE_COLUMNS}) VALUES ({', '.join('?' * 18)}) ON CONFLICT DO NOTHING",
            [rationale_row(config, one, one.outcome, moment) for one in settled if isinstance(one.outcome, Completion)],
        )
        self._db.executemany(
            "DELETE FROM failures WHERE question = ? AND teacher = ? AND prompt = ? AND sampling = ? AND sample = ?",
            [identity_of(config, one) for one in settled if one.failed_before and isinstance(one.outcome, Completion)],
        )
        self._db.executemany(
            "INSERT INTO failures (question, teacher, prompt, sampling, sample, reason, attempts, at, prompt_tokens,"
            " completion_tokens, cost) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " reason = excluded.reason, attempts = attempts + excluded.attempts, at = excluded.at,"
            " prompt_tokens = coalesce(prompt_tokens + excluded.prompt_tokens, prompt_tokens, excluded.prompt_tokens),"
            " completion_tokens = coalesce(completion_tokens + excluded.completion_tokens, completion_tokens,"
            " excluded.completion_tokens), cost = coalesce(cost + excluded.cost, cost, excluded.cost)",
            [
                (*identity_of(config, one), one.outcome.reason, one.outcome.attempts, moment, one.outcome.prompt_tokens,
                 one.outcome.completion_tokens, one.outcome.cost)
                for one in settled if isinstance(one.outcome, Failure)
            ],
        )  # fmt: skip

    def add_prompts(self, prompts: Sequence[Prompt]) -> None:
        """Keep prompts and their recipes, inside the caller's transaction."""
        add_recipes(self._db, (one.recipe for one in prompts))
        self._db.executemany(
            "INSERT INTO prompts (hash, question, recipe, examples, messages) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            [prompt_row(one) for one in prompts],
        )

    def failed(self, config: ElicitationConfig, questions: Sequence[str]) -> set[tuple[str, int]]:
        """(prompt hash, sample) of every failure with this configuration for any of these question hashes."""
        marks = ",".join("?" * len(questions))
        rows = self._db.rows(
            f"SELECT prompt, sample FROM failures WHERE question IN ({marks}) AND teacher = ? AND sampling = ?",
            (*questions, config.teacher, config.hash),
        )
        return {(row["prompt"], row["sample"]) for row in rows}

    def seen(self, config: ElicitationConfig, dataset: str, split: str, recipe: str) -> Seen:
        """Means over the replies for one split whose prompts have the recipe of this name."""
        row = self._db.one(
            "SELECT count(*) AS replies, avg(r.prompt_tokens) AS prompt_tokens,"
            f" avg(r.completion_tokens) AS completion_tokens FROM {_CONTENTS}"
            " JOIN rationales r ON r.question = dq.question JOIN prompts p ON p.hash = r.prompt"
            " WHERE dq.dataset = ? AND dq.split = ? AND r.teacher = ? AND r.sampling = ? AND p.recipe = ?",
            (dataset, split, config.teacher, config.hash, recipe),
        )
        assert row is not None
        return Seen(**row)

    def newest(self, config: ElicitationConfig) -> Exchange | None:
        """The last prompt and reply with this configuration; None without one."""
        row = self._db.one(
            "SELECT p.messages, r.text FROM rationales r JOIN prompts p ON p.hash = r.prompt"
            " WHERE r.teacher = ? AND r.sampling = ? ORDER BY r.id DESC LIMIT 1",
            (config.teacher, config.hash),
        )
        if row is None:
            return None
        return Exchange(messages=messages_of(self._db, row["messages"]), text=row["text"])

    def variants(self, dataset: str, split: str | None = None) -> list[RationaleSet]:
        """Every set of rationales for this data set: one for each teacher, sampling and recipe, the newest first."""
        rows = self._db.rows(
            "SELECT found.*, s.model, s.revision, c.template, c.icl, c.seed, c.teacher_forcing FROM ("
            " SELECT r.teacher, r.sampling, p.recipe, count(*) AS rationales,"
            " count(DISTINCT dq.split || '/' || dq.key) AS questions, max(r.id) AS latest"
            " FROM dataset_questions dq JOIN rationales r ON r.question = dq.question"
            " JOIN prompts p ON p.hash = r.prompt WHERE dq.dataset = ? AND (? IS NULL OR dq.split = ?)"
            " GROUP BY r.teacher, r.sampling, p.recipe) found"
            " JOIN samplings s ON s.hash = found.sampling JOIN recipes c ON c.name = found.recipe ORDER BY latest DESC",
            (dataset, split, split),
        )
        return [rationale_set_of(row) for row in rows]

    def count(self, dataset: str, split: str, teacher: str) -> int:
        """The number of rationales of `teacher` for a split, with any configuration."""
        row = self._db.one(
            "SELECT count(*) AS n FROM dataset_questions dq JOIN rationales r ON r.question = dq.question"
            " WHERE dq.dataset = ? AND dq.split = ? AND r.teacher = ?",
            (dataset, split, teacher),
        )
        return int(row["n"]) if row else 0

    def datasets_with_rationales(self, split: str = "train") -> dict[str, set[str]]:
        """The teachers that have rationales for the questions of `split`, by data set."""
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
        """The rationales of one set for a split, in the order of its questions and samples; of several that differ only
        in the prompt (other in-context examples, an edited recording) the newest.

        It reads a page of questions at a time, so that the caller may write to the store in between: an open query
        would keep an old snapshot of the database, and SQLite refuses to write from it once another process has."""
        last = self._db.one(
            "SELECT max(position) AS position FROM dataset_questions WHERE dataset = ? AND split = ?", (dataset, split)
        )
        for first in range(0, (-1 if last is None or last["position"] is None else last["position"]) + 1, _PAGE):
            page = list(
                self._db.rows(
                    f"SELECT {NEWEST} AS newest, r.id, dq.position, dq.key, r.question, r.sample, r.text,"
                    " r.finish_reason, r.answer"
                    " FROM dataset_questions dq JOIN rationales r ON r.question = dq.question"
                    " JOIN prompts p ON p.hash = r.prompt WHERE dq.dataset = ? AND dq.split = ?"
                    f" AND dq.position BETWEEN ? AND ? AND {_SAME_SET}"
                    " GROUP BY dq.position, r.sample ORDER BY dq.position, r.sample",
                    (dataset, split, first, first + _PAGE - 1, variant.teacher, variant.sampling, variant.recipe.name),
                )
            )
            for row in page:
                del row["newest"]
                yield Rationale(**row)

    def failed_keys(self, dataset: str, split: str, variant: RationaleSet) -> set[str]:
        """The keys of the questions of a split whose request with this configuration failed."""
        rows = self._db.rows(
            "SELECT dq.key FROM dataset_questions dq JOIN failures f ON f.question = dq.question"
            " JOIN prompts p ON p.hash = f.prompt"
            " WHERE dq.dataset = ? AND dq.split = ? AND f.teacher = ? AND f.sampling = ? AND p.recipe = ?"
            f" AND {OUTSTANDING}",
            (dataset, split, variant.teacher, variant.sampling, variant.recipe.name),
        )
        return {row["key"] for row in rows}

    def costs(self) -> list[TeacherCosts]:
        """Counts, tokens and cost of each teacher's rationales for each split, summed in the database."""
        rows = self._db.rows(
            # Lengths first: SQLite would sort whole texts.
            "WITH measured AS MATERIALIZED (SELECT dq.dataset, dq.split, r.teacher, r.sampling, p.recipe, s.model,"
            " r.id, r.question, r.sample, length(r.text) AS characters, r.seconds,"
            " CASE r.finish_reason WHEN 'recorded' THEN NULL ELSE r.finish_reason = 'length' END AS cut_off"
            f" FROM {_CONTENTS} JOIN rationales r ON r.question = dq.question{_MADE_BY})"
            " SELECT teacher, model, dataset, split, recipe, count(DISTINCT question || ' ' || sample) AS rationales,"
            " avg(characters) AS mean_characters, sum(cut_off) AS cut_off, sum(seconds) AS seconds, sampling"
            " FROM measured GROUP BY dataset, split, teacher, sampling, recipe"
            " ORDER BY dataset, teacher, split DESC, max(id)"
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
        """The keys of up to `count` training questions with rationales, evenly spaced."""
        rows = self._db.rows(
            "WITH numbered AS (SELECT position, key, row_number() OVER (ORDER BY position) - 1 AS number,"
            " count(*) OVER () AS total FROM dataset_questions dq WHERE dataset = ? AND split = 'train'"
            " AND EXISTS (SELECT 1 FROM rationales r WHERE r.question = dq.question))"
            " SELECT key FROM numbered WHERE number % max(1, total / ?) = 0 ORDER BY position LIMIT ?",
            (dataset, count, count),
        )
        return [row["key"] for row in rows]
