"""Delete data sets, teachers and runs with everything that depends on them, in one transaction.

Rows that something else needs stay: a question of another data set with its rationales, a prompt of another teacher,
the runs that learned from a teacher. Foreign keys are checked once at the end: checking each row would read whole
tables, since their columns have no index.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tinyllm_cli.errors import Busy, WorldProblem, command_text
from tinyllm_cli.store.database import Database

_SELECTED = (
    "CREATE TEMP TABLE gone_runs AS SELECT id FROM runs WHERE dataset IN gone_datasets OR id IN gone_numbers",
    "CREATE TEMP TABLE gone_questions AS SELECT question FROM dataset_questions WHERE dataset IN gone_datasets"
    " EXCEPT SELECT question FROM dataset_questions WHERE dataset NOT IN gone_datasets",
    "CREATE TEMP TABLE gone_rationales AS SELECT id FROM rationales WHERE question IN gone_questions"
    " OR teacher IN gone_teachers",
    "CREATE TEMP TABLE gone_elicitations AS SELECT id FROM elicitations WHERE dataset IN gone_datasets"
    " OR teacher IN gone_teachers",
    "CREATE TEMP TABLE gone_evaluations AS SELECT id FROM evaluations WHERE dataset IN gone_datasets"
    " OR run IN gone_runs OR (kind = 'teacher' AND subject IN gone_teachers)",
    "CREATE TEMP TABLE gone_prompts AS SELECT prompt FROM rationales WHERE id IN gone_rationales"
    " UNION SELECT prompt FROM failures WHERE teacher IN gone_teachers"
    " UNION SELECT hash FROM prompts WHERE question IN gone_questions",
    "CREATE TEMP TABLE gone_experiments AS SELECT experiment FROM cells GROUP BY experiment"
    " HAVING min(json_extract(label, '$.dataset') IN gone_datasets) = 1",
)
_TABLES = ("runs", "questions", "rationales", "elicitations", "evaluations", "prompts", "experiments")

_DELETED = (
    ("rationales", "id IN gone_rationales"),
    ("rationale_sets", "teacher NOT IN (SELECT teacher FROM rationales)"),
    ("failures", "question IN gone_questions OR teacher IN gone_teachers"),
    ("claims", "elicitation IN gone_elicitations"),
    ("elicitation_progress", "elicitation IN gone_elicitations"),
    ("batches", "elicitation IN gone_elicitations"),
    ("elicitations", "id IN gone_elicitations"),
    ("prompts", "hash IN gone_prompts AND hash NOT IN (SELECT prompt FROM rationales)"
     " AND hash NOT IN (SELECT prompt FROM failures) AND hash NOT IN (SELECT prompt FROM claims)"),
    ("cells", "experiment IN gone_experiments"),
    ("experiments", "id IN gone_experiments"),
    ("predictions", "evaluation IN gone_evaluations"),
    ("evaluations", "id IN gone_evaluations"),
    ("runs", "id IN gone_runs"),
    ("dataset_questions", "dataset IN gone_datasets"),
    ("other_shards", "question IN gone_questions"),
    ("datasets", "name IN gone_datasets"),
    ("questions", "hash IN gone_questions AND hash NOT IN (SELECT question FROM prompts)"
     " AND hash NOT IN (SELECT question FROM predictions)"),
    ("samplings", "hash NOT IN (SELECT sampling FROM rationales UNION SELECT sampling FROM failures UNION SELECT"
     " sampling FROM elicitations UNION SELECT sampling FROM batches UNION SELECT sampling FROM evaluations WHERE"
     " sampling IS NOT NULL)"),
)  # fmt: skip
"""(table, condition), in this order: a later condition may read what an earlier deletion left. Before them come the
tables that refer to rationales, such as verdicts."""

_UNCOUNTED = frozenset({"samplings", "rationale_sets"})

_IN_USE = (
    ("SELECT 'run ' || id FROM runs WHERE id IN gone_runs AND state = 'running'", "is being trained"),
    ("SELECT teacher || ' on ' || dataset FROM elicitations WHERE id IN gone_elicitations AND state = 'running'"
     " AND id NOT IN (SELECT elicitation FROM batches WHERE finished IS NULL)", "is being elicited"),
    ("SELECT 'a batch of ' || teacher FROM batches WHERE elicitation IN gone_elicitations AND finished IS NULL",
     "is not collected yet; collect it first with the elicit --batch that submitted it"),
    ("SELECT 'experiment ' || experiment FROM cells WHERE state = 'running' AND (run IN gone_runs OR"
     " json_extract(label, '$.dataset') IN gone_datasets)", "is running"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Selected:
    """What to delete, by exact name or number."""

    datasets: Sequence[str] = ()
    teachers: Sequence[str] = ()
    runs: Sequence[int] = ()


@dataclass(frozen=True, kw_only=True)
class Removed:
    """Deleted rows by table; `repeated` cells of experiments are planned again, since their run or evaluation is gone.
    `cost` is what the deleted rationales cost; None when unknown."""

    rows: dict[str, int]
    runs: tuple[int, ...]
    repeated: int
    cost: float | None


class _RolledBackError(Exception):
    """The transaction of a trial ends."""


class RemovalQueries:
    """Queries of `store.removal`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def remove(self, selected: Selected, *, trial: bool) -> Removed:
        """Delete rows; with `trial`, only count what would be deleted.

        Raises Busy when a process uses some of it: mark killed processes first. Raises WorldProblem when a row would
        refer to a deleted one."""
        removed: list[Removed] = []
        try:
            with self._unchecked():
                removed.append(self._remove(selected))
                if trial:
                    raise _RolledBackError
        except _RolledBackError:
            pass
        return removed[0]

    def runs_of(self, selected: Selected) -> list[int]:
        """The runs that would be deleted."""
        rows = self._db.rows(
            "SELECT id FROM runs WHERE dataset IN (SELECT value FROM json_each(?)) OR id IN (SELECT value FROM"
            " json_each(?)) ORDER BY id",
            (json.dumps(list(selected.datasets)), json.dumps(list(selected.runs))),
        )
        return [row["id"] for row in rows]

    @contextmanager
    def _unchecked(self) -> Iterator[None]:
        self._db.execute("PRAGMA foreign_keys = OFF")  # without effect inside a transaction
        try:
            with self._db.writing():
                yield
                broken = self._db.one("PRAGMA foreign_key_check")
                if broken is not None:
                    raise WorldProblem(
                        f"A row of {broken['table']} refers to one of {broken['parent']} that does not exist.",
                        f"Nothing was deleted. See: {command_text('check')}",
                    )
        finally:
            self._db.execute("PRAGMA foreign_keys = ON")

    def _remove(self, selected: Selected) -> Removed:
        lists = {"datasets": selected.datasets, "teachers": selected.teachers, "numbers": selected.runs}
        for name in (*lists, *_TABLES):
            self._db.execute(f"DROP TABLE IF EXISTS temp.gone_{name}")
        for name, values in lists.items():
            self._db.execute(
                f"CREATE TEMP TABLE gone_{name} AS SELECT value FROM json_each(?)", (json.dumps(list(values)),)
            )
        for statement in _SELECTED:
            self._db.execute(statement)
        self._refuse_used()
        spent = self._db.one("SELECT sum(cost) AS cost FROM rationales WHERE id IN gone_rationales")
        runs = tuple(row["id"] for row in self._db.rows("SELECT id FROM gone_runs ORDER BY id"))
        repeated = self._db.execute(
            "UPDATE cells SET state = 'planned', run = NULL, evaluation = NULL, seconds = NULL, error = NULL"
            " WHERE (run IN gone_runs OR evaluation IN gone_evaluations) AND experiment NOT IN gone_experiments"
        ).rowcount
        rows = {
            table: self._db.execute(f"DELETE FROM {table} WHERE {condition}").rowcount
            for table, condition in (*self._of_rationales(), *_DELETED)
        }
        return Removed(
            rows={table: count for table, count in rows.items() if count and table not in _UNCOUNTED},
            runs=runs, repeated=repeated, cost=spent["cost"] if spent else None,
        )  # fmt: skip

    def _of_rationales(self) -> list[tuple[str, str]]:
        """The tables that refer to rationales, with the condition for their rows."""
        rows = self._db.rows(
            'SELECT m.name AS name, f."from" AS own FROM sqlite_master m, pragma_foreign_key_list(m.name) f'
            " WHERE m.type = 'table' AND f.\"table\" = 'rationales' ORDER BY 1"
        )
        return [(row["name"], f"{row['own']} IN gone_rationales") for row in rows]

    def _refuse_used(self) -> None:
        for query, what in _IN_USE:
            found = self._db.one(query)
            if found is not None:
                raise Busy(f"{next(iter(found.values()))} {what}.", "Nothing was deleted.")
