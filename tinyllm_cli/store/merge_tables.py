"""What comes in from an attached database: which of its rows, and how they are added.

The attached database is called `other`. Every table of it has a temporary view `incoming_TABLE` with the rows that come
in. Numbered rows get temporary tables `TABLE_map` (old number, new number).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tinyllm_cli.store.database import Database

OF_RATIONALES = ("verdicts", "usefulness", "learnability", "human_verdicts")
NOT_MERGED = frozenset({"elicitation_progress", "rationale_sets"})
"""Tables of processes that run now, and those that triggers keep."""

_NO = "0"
_OF_CHOSEN = "rationale IN (SELECT id FROM temp.incoming_rationales)"


@dataclass(frozen=True, kw_only=True)
class Portion:
    """The rows of a database that are taken: a condition by table; tables without one are taken whole. `lists` are the
    values that conditions name, as `(SELECT value FROM temp.chosen_NAME)`."""

    conditions: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, Sequence[str | int]] = field(default_factory=dict)


EVERYTHING = Portion()


def shard(questions: Sequence[str]) -> Portion:
    """What a machine needs to ask teachers about these questions (hashes): all data sets, since in-context examples are
    drawn from all training questions, and what is known of these questions. Runs and results stay out."""
    ours = "question IN (SELECT value FROM temp.chosen_questions)"
    nothing = ("claims", "batches", "runs", "evaluations", "predictions", "experiments", "cells", "other_shards")
    return Portion(
        conditions={
            **dict.fromkeys(("prompts", "rationales", "failures"), ours),
            **dict.fromkeys(OF_RATIONALES, _OF_CHOSEN),
            **dict.fromkeys(nothing, _NO),
        },
        lists={"questions": questions},
    )


def training(dataset: str, runs: Sequence[int]) -> Portion:
    """What trainings and evaluations on a data set read: its questions, all that teachers wrote about them, and these
    runs with their evaluations."""
    own = "IN (SELECT question FROM other.dataset_questions WHERE dataset IN (SELECT value FROM temp.chosen_datasets))"
    nothing = ("elicitations", "claims", "batches", "experiments", "cells", "other_shards")
    return Portion(
        conditions={
            "datasets": "name IN (SELECT value FROM temp.chosen_datasets)",
            "dataset_questions": "dataset IN (SELECT value FROM temp.chosen_datasets)",
            "questions": f"hash {own}",
            **dict.fromkeys(("prompts", "rationales", "failures"), f"question {own}"),
            **dict.fromkeys(OF_RATIONALES, _OF_CHOSEN),
            "runs": "id IN (SELECT value FROM temp.chosen_runs)",
            "evaluations": "run IN (SELECT value FROM temp.chosen_runs)",
            "predictions": "evaluation IN (SELECT id FROM temp.incoming_evaluations)",
            **dict.fromkeys(nothing, _NO),
        },
        lists={"datasets": [dataset], "runs": runs},
    )


@dataclass(kw_only=True)
class TableCounts:
    """Rows of one table: `new` here, `known` already, and `updated` by a later state."""

    new: int = 0
    known: int = 0
    updated: int = 0


class Incoming:
    """The rows of the attached database, and the counts of what became of them."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.counts: dict[str, TableCounts] = {}

    def columns(self, table: str) -> list[str]:
        return [row["name"] for row in self.db.rows(f"SELECT name FROM pragma_table_info('{table}')")]

    def number(self, query: str) -> int:
        row = self.db.one(f"SELECT ({query}) AS n")
        return int(row["n"]) if row else 0

    def add(self, table: str, replaced: Mapping[str, str] | None = None, joins: str = "", where: str = "1") -> int:
        """Add the incoming rows `o` that are not here yet, with expressions in place of columns; counts them."""
        columns = self.columns(table)
        values = [(replaced or {}).get(name, f"o.{name}") for name in columns]
        new = self.db.execute(
            f"INSERT INTO main.{table} ({', '.join(columns)}) SELECT {', '.join(values)}"
            f" FROM temp.incoming_{table} o {joins} WHERE {where} ON CONFLICT DO NOTHING"
        ).rowcount
        known = self.number(f"SELECT count(*) FROM temp.incoming_{table}") - new
        self.counts[table] = TableCounts(new=new, known=known)
        return new

    def updated(self, table: str, rows: int) -> None:
        """Record that rows, which count as known, got a later state."""
        self.counts[table].updated += rows

    def number_new(self, table: str, order: str, column: str = "id") -> None:
        """Complete `TABLE_map`, which has the rows that are here: new rows keep their number where it is free."""
        self.db.execute(
            f"INSERT INTO temp.{table}_map (old, new, is_new) SELECT o.{column},"
            f" CASE WHEN EXISTS (SELECT 1 FROM main.{table} m WHERE m.{column} = o.{column}) THEN"
            f" (SELECT max(coalesce((SELECT max({column}) FROM main.{table}), 0),"
            f" (SELECT max({column}) FROM other.{table}))) + row_number() OVER (ORDER BY {order})"
            f" ELSE o.{column} END, 1"
            f" FROM temp.incoming_{table} o WHERE o.{column} NOT IN (SELECT old FROM temp.{table}_map)"
        )


MAPPED = ("rationales", "elicitations", "batches", "runs", "evaluations", "experiments")


@contextmanager
def attached(db: Database, path: Path) -> Iterator[None]:
    """Attach a database of this version as `other`. Call it outside a transaction."""
    db.execute("ATTACH DATABASE ? AS other", (str(path),))
    try:
        yield
    finally:
        db.execute("DETACH DATABASE other")


def open_portion(db: Database, portion: Portion) -> None:
    """Make the temporary views and tables of a portion, inside the caller's transaction."""
    for name, values in portion.lists.items():
        db.execute(
            f"CREATE TEMP TABLE chosen_{name} AS SELECT DISTINCT value FROM json_each(?)", (json.dumps(list(values)),)
        )
        db.execute(f"CREATE INDEX temp.chosen_{name}_values ON chosen_{name}(value)")
    tables = [row["name"] for row in db.rows("SELECT name FROM main.sqlite_master WHERE type = 'table'")]
    for table in tables:
        if not table.startswith(("sqlite_", "_sqlite")):
            condition = portion.conditions.get(table, "1")
            db.execute(f"CREATE TEMP VIEW incoming_{table} AS SELECT * FROM other.{table} WHERE {condition}")
    for table in MAPPED:
        db.execute(f"CREATE TEMP TABLE {table}_map (old INTEGER PRIMARY KEY, new INTEGER, is_new INTEGER)")


def close_portion(db: Database) -> None:
    """Drop what `open_portion` made."""
    made = list(db.rows("SELECT type, name FROM sqlite_temp_master WHERE type IN ('view', 'table')"))
    for row in made:
        if row["name"].startswith(("incoming_", "chosen_")) or row["name"].endswith("_map"):
            db.execute(f"DROP {row['type'].upper()} temp.{row['name']}")
