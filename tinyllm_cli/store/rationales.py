"""Recipes, prompts, samplings, rationales and failures: what teachers were asked and what they wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backends.base import Completion, Failure, Message
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.records.elicitation import ElicitationConfig, Prompt, Rationale, RationaleSet
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
from tinyllm_cli.store.rationale_stats import NEWEST, OUTSTANDING

__all__ = ["AnsweredRequest", "Exchange", "RationaleQueries", "Seen", "Settled"]

# A question at two positions of a split was requested, and paid for, once.
_CONTENTS = "(SELECT DISTINCT dataset, split, question FROM dataset_questions) dq"
_SAME_SET = "r.teacher = ? AND r.sampling = ? AND p.recipe = ?"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The replies so far to one configuration: how many, and the mean number of tokens."""

    replies: int
    prompt_tokens: float | None
    completion_tokens: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class AnsweredRequest:
    """A request with a stored reply. `question`, `prompt` and `examples` are hashes."""

    question: str
    prompt: str
    sample: int
    examples: tuple[str, ...]


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

    def replies_by_recipe(
        self, config: ElicitationConfig, questions: Sequence[str], recipe: str
    ) -> Iterator[AnsweredRequest]:
        """The stored replies with this configuration and the recipe of this name to any of these question hashes."""
        marks = ",".join("?" * len(questions))
        rows = self._db.rows(
            "SELECT r.question, r.sample, r.prompt, p.examples FROM rationales r JOIN prompts p ON p.hash = r.prompt"
            f" WHERE r.question IN ({marks}) AND r.teacher = ? AND r.sampling = ? AND p.recipe = ?",
            (*questions, config.teacher, config.hash, recipe),
        )
        for row in rows:
            examples = tuple(self._db.decoded(row["examples"], list, "prompts.examples"))
            yield AnsweredRequest(
                question=row["question"], sample=row["sample"], prompt=row["prompt"], examples=examples
            )

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
        """Every set of rationales for this data set: one for each teacher, sampling and recipe, the newest first.

        It reads indexes alone, but for the prompts of teachers that had several recipes with one sampling."""
        sets = self._db.rows(
            "SELECT t.teacher, t.sampling, t.recipe AS name, s.model, s.revision, c.template, c.icl, c.seed,"
            " c.teacher_forcing, count(*) OVER (PARTITION BY t.teacher, t.sampling) > 1 AS several"
            " FROM rationale_sets t JOIN samplings s ON s.hash = t.sampling JOIN recipes c ON c.name = t.recipe"
        )
        place = (dataset,) if split is None else (dataset, split)
        found = [self._counted(row, place) for row in list(sets)]
        return sorted((one for one in found if one is not None), key=lambda one: -one.latest)

    def _counted(self, row: dict[str, Any], place: tuple[str, ...]) -> RationaleSet | None:
        """A set with its counts in a data set, or in a split of one; None where it has no rationale there. Grouping all
        rationales by their set would sort them."""
        within = "dq.dataset = ?" if len(place) == 1 else "dq.dataset = ? AND dq.split = ?"
        own = "r.question = dq.question AND r.teacher = ? AND r.sampling = ?"
        name, several = row.pop("name"), row.pop("several")
        address: tuple[str, ...] = (row["teacher"], row["sampling"])
        if several:
            own += " AND EXISTS (SELECT 1 FROM prompts p WHERE p.hash = r.prompt AND p.recipe = ?)"
            address += (name,)
        (counts,) = self._db.kept(
            "SELECT count(*) AS rationales, max(r.sample) + 1 AS samples, max(r.id) AS latest"
            f" FROM dataset_questions dq CROSS JOIN rationales r ON {own} WHERE {within}",
            (*address, *place),
        )
        if not counts["rationales"]:
            return None
        (covered,) = self._db.kept(
            "SELECT count(*) AS questions FROM dataset_questions dq"
            f" WHERE {within} AND EXISTS (SELECT 1 FROM rationales r WHERE {own})",
            (*place, *address),
        )
        return rationale_set_of({**row, **counts, **covered})

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
            "SELECT d.name AS dataset, t.teacher FROM datasets d"
            " CROSS JOIN (SELECT DISTINCT teacher FROM rationale_sets) t"
            " WHERE EXISTS (SELECT 1 FROM dataset_questions dq CROSS JOIN rationales r ON r.question = dq.question"
            " AND r.teacher = t.teacher WHERE dq.dataset = d.name AND dq.split = ?)",
            (split,),
        )
        for row in rows:
            found.setdefault(row["dataset"], set()).add(row["teacher"])
        return found

    def of(self, questions: Sequence[Question], variant: RationaleSet) -> list[Rationale]:
        """The rationales of one set for some questions of one split, in the order of their positions and samples; of
        several that differ only in the prompt (other in-context examples, an edited recording) the newest.

        Few questions at a time: the caller may write to the store in between. An open query would keep an old snapshot
        of the database, and SQLite refuses to write from it once another process has."""
        if not questions:
            return []
        keys = dict.fromkeys(one.key for one in questions)
        # Two queries: in one of both tables SQLite reads the whole split, or makes an index of all rationales.
        places = self._db.rows(
            f"SELECT dq.position, dq.key, dq.question FROM (VALUES {', '.join(['(?)'] * len(keys))}) asked"
            " CROSS JOIN dataset_questions dq ON dq.key = asked.column1 AND dq.dataset = ? AND dq.split = ?",
            (*keys, questions[0].dataset, questions[0].split),
        )
        positions: dict[str, list[dict[str, Any]]] = {}
        for place in places:
            positions.setdefault(place["question"], []).append(place)
        rows = self._db.rows(
            f"SELECT {NEWEST} AS newest, r.id, r.question, r.sample, r.text, r.finish_reason, r.answer"
            " FROM rationales r CROSS JOIN prompts p ON p.hash = r.prompt"
            f" WHERE r.question IN ({', '.join('?' * len(positions))}) AND {_SAME_SET} GROUP BY r.question, r.sample",
            (*positions, *variant.address),
        )
        found = [{**row, **place} for row in rows for place in positions[row["question"]]]
        found.sort(key=lambda row: (row["position"], row["sample"]))
        return [Rationale(**{name: value for name, value in row.items() if name != "newest"}) for row in found]

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

    def explained(self, dataset: str, count: int, bound: str | None = None) -> list[str]:
        """The keys of up to `count` training questions with rationales, evenly spaced; with `bound`, among those with a
        hash up to it."""
        rows = self._db.rows(
            "WITH numbered AS (SELECT position, key, row_number() OVER (ORDER BY position) - 1 AS number,"
            " count(*) OVER () AS total FROM dataset_questions dq WHERE dataset = ? AND split = 'train'"
            f"{'' if bound is None else ' AND dq.question <= ?'}"
            " AND EXISTS (SELECT 1 FROM rationales r WHERE r.question = dq.question))"
            " SELECT key FROM numbered WHERE number % max(1, total / ?) = 0 ORDER BY position LIMIT ?",
            (dataset, *(() if bound is None else (bound,)), count, count),
        )
        return [row["key"] for row in rows]
