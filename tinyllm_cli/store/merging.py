"""Merging: take rows of another database into this one, by content, in one transaction.

What is identical is stored once; numbered rows get another number where theirs is taken.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tinyllm_cli.store.database import Database
from tinyllm_cli.store.merge_conflicts import Differences, differences
from tinyllm_cli.store.merge_replies import add_currency, add_elicitations, add_questions, add_replies
from tinyllm_cli.store.merge_results import (
    ComingRun,
    PlaceRun,
    add_evaluations,
    add_experiments,
    add_runs,
    coming_runs,
)
from tinyllm_cli.store.merge_tables import (
    EVERYTHING,
    Incoming,
    Portion,
    TableCounts,
    attached,
    close_portion,
    open_portion,
)

__all__ = ["ComingRun", "Differences", "MergeQueries", "Portion", "TableCounts"]


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What was taken: counts by table, the runs, the evaluations' numbers there and here, and how many rationales
    became further `samples`."""

    tables: dict[str, TableCounts]
    runs: tuple[ComingRun, ...]
    evaluations: dict[int, int]
    samples: int


class _RolledBackError(Exception):
    """The transaction of a trial ends."""


class MergeQueries:
    """Queries of `store.merging`. `path` is always a database of this version that nobody migrates meanwhile."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def differences(self, path: Path) -> Differences:
        """What both databases have under one name although it differs, and costs in another currency."""
        with attached(self._db, path), self._incoming(EVERYTHING, trial=True):
            return differences(self._db)

    def coming_runs(self, path: Path, portion: Portion = EVERYTHING) -> list[ComingRun]:
        """The runs that `take` would bring."""
        with attached(self._db, path), self._incoming(portion, trial=True) as found:
            return coming_runs(found)

    def take(self, path: Path, place: PlaceRun, *, portion: Portion = EVERYTHING, trial: bool = False) -> Merged:
        """Take rows of the database `path`; committed when this returns. `place` brings the folders of runs. With
        `trial`, only count: `place` is not called for what is rolled back."""
        with attached(self._db, path), self._incoming(portion, trial=trial) as found:
            add_currency(found)
            add_questions(found)
            samples = add_replies(found)
            add_elicitations(found)
            runs = add_runs(found, (lambda run: run.folder) if trial else place)
            add_evaluations(found)
            add_experiments(found)
            numbers = {row["old"]: row["new"] for row in self._db.rows("SELECT old, new FROM temp.evaluations_map")}
            return Merged(tables=found.counts, runs=tuple(runs), evaluations=numbers, samples=samples)

    def split_questions(self) -> Iterator[str]:
        """The hashes of the questions that this database asks about, by their first place in a data set."""
        rows = self._db.rows(
            "SELECT q.hash FROM questions q LEFT JOIN (SELECT question, min(dataset || char(0) || split || char(0) ||"
            " printf('%012d', position)) AS place FROM dataset_questions GROUP BY question) p ON p.question = q.hash"
            " WHERE q.hash NOT IN (SELECT question FROM other_shards) ORDER BY p.place IS NULL, p.place, q.hash"
        )
        return (row["hash"] for row in rows)

    def being_asked(self) -> str | None:
        """What is in progress at teachers, in words; None when nothing is. Mark killed processes first."""
        row = self._db.one(
            "SELECT 'A batch of ' || teacher || ' is not collected yet' AS text FROM batches WHERE finished IS NULL"
            " UNION ALL SELECT teacher || ' is being asked about ' || dataset FROM elicitations WHERE state = 'running'"
        )
        return row["text"] if row else None

    def rationales(self) -> int:
        """The number of rationales, of all data sets and teachers."""
        row = self._db.one("SELECT count(*) AS n FROM rationales")
        return int(row["n"]) if row else 0

    def unasked_here(self) -> list[str]:
        """The hashes of the questions that other shards ask about."""
        return [row["question"] for row in self._db.rows("SELECT question FROM other_shards ORDER BY 1")]

    def leave_to_others(self, questions: Sequence[str]) -> None:
        """Another shard asks about these questions (hashes)."""
        self._db.execute(
            "INSERT INTO other_shards (question) SELECT value FROM json_each(?) WHERE 1 ON CONFLICT DO NOTHING",
            (json.dumps(list(questions)),),
        )

    @contextmanager
    def _incoming(self, portion: Portion, *, trial: bool) -> Iterator[Incoming]:
        try:
            with self._db.writing():
                open_portion(self._db, portion)
                yield Incoming(self._db)
                close_portion(self._db)
                if trial:
                    raise _RolledBackError
        except _RolledBackError:
            pass
