"""Merging runs, evaluations with their predictions, and experiments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tinyllm_cli.store.merge_tables import Incoming
from tinyllm_cli.store.runs import RunQueries

_SUBJECT = (
    "kind", "dataset", "split", "scoring", "questions", "step", "model", "model_fingerprint", "revision", "max_input",
    "sampling", "recipe", "extra_context", "explain_as", "votes",
)  # fmt: skip
"""What distinguishes evaluations, beside the subject's name, which has the number of its run."""

_NAME = "CASE o.kind WHEN 'run' THEN 'run ' || r.new ELSE o.subject END"
_OF_RUN = "LEFT JOIN temp.runs_map r ON r.old = o.run"
_ENDED = "('done', 'pruned')"


@dataclass(frozen=True, kw_only=True)
class ComingRun:
    """A run that comes in. `change`: it is new here, a later state of a run here, or not newer. `number` is its number
    here, `was` that in the other database; `folder` and `was_folder` are their folders as stored."""

    number: int
    was: int
    started: str
    change: Literal["new", "later", "none"]
    folder: str
    was_folder: str


PlaceRun = Callable[[ComingRun], str]
"""Bring the folder of a new or later run, and return its path."""


def coming_runs(found: Incoming) -> list[ComingRun]:
    """Fill `runs_map`, and say what each incoming run is here. The same training has the same start."""
    db = found.db
    same = " AND ".join(f"m.{name} = o.{name}" for name in ("started", "method", "student", "dataset", "alpha", "seed"))
    db.execute(
        "INSERT INTO temp.runs_map SELECT o.id, min(m.id), 0 FROM temp.incoming_runs o JOIN main.runs m"
        f" ON {same} GROUP BY o.id"
    )
    found.number_new("runs", "o.id")
    later = (
        "(o.state = 'done' AND m.state <> 'done') OR (o.state <> 'done' AND m.state IN ('stopped', 'failed')"
        " AND coalesce(o.finished, '') > coalesce(m.finished, ''))"
    )
    rows = db.rows(
        f"SELECT n.new AS number, o.id AS was, o.started, CASE WHEN n.is_new THEN 'new' WHEN {later} THEN 'later'"
        " ELSE 'none' END AS change, coalesce(m.folder, '') AS folder, o.folder AS was_folder"
        " FROM temp.incoming_runs o JOIN temp.runs_map n ON n.old = o.id LEFT JOIN main.runs m ON m.id = n.new"
        " AND NOT n.is_new ORDER BY o.id"
    )
    return [ComingRun(**row) for row in list(rows)]


def add_runs(found: Incoming, place: PlaceRun) -> list[ComingRun]:
    """Add runs, and replace the rows of those that have a later state. One that was being trained is 'stopped' here:
    its process does not know of this database."""
    runs = coming_runs(found)
    join = "JOIN temp.runs_map n ON n.old = o.id"
    stopped: Mapping[str, str] = {
        "state": "CASE o.state WHEN 'running' THEN 'stopped' ELSE o.state END",
        "error": "CASE o.state WHEN 'running' THEN 'merged while it was being trained' ELSE o.error END",
    }
    found.add("runs", {**stopped, "id": "n.new"}, join, "n.is_new")
    for run in runs:
        if run.change == "later":
            _replace(found, "runs", run.was, run.number, stopped)
            found.updated("runs", 1)
        if run.change != "none":
            RunQueries(found.db).locate(run.number, place(run))
    return runs


def _replace(found: Incoming, table: str, was: int, number: int, replaced: Mapping[str, str] | None = None) -> None:
    """Give the row `number` the values of the incoming row `was`."""
    columns = [name for name in found.columns(table) if name not in ("id", "run", "subject")]
    values = ", ".join(f"{name} = {(replaced or {}).get(name, f'o.{name}')}" for name in columns)
    found.db.execute(
        f"UPDATE main.{table} AS m SET {values} FROM other.{table} o WHERE m.id = ? AND o.id = ?", (number, was)
    )


def add_evaluations(found: Incoming) -> None:
    """Evaluations and predictions. A complete evaluation replaces an interrupted one; two interrupted ones share their
    predictions; of two complete ones this database's stays."""
    db = found.db
    same = " AND ".join(f"m.{name} IS o.{name}" for name in _SUBJECT)
    db.execute(
        f"INSERT INTO temp.evaluations_map SELECT o.id, m.id, 0 FROM temp.incoming_evaluations o {_OF_RUN}"
        f" JOIN main.evaluations m ON m.subject = {_NAME} AND {same}"
    )
    found.number_new("evaluations", "o.id")
    found.add(
        "evaluations", {"id": "n.new", "run": "r.new", "subject": _NAME},
        f"JOIN temp.evaluations_map n ON n.old = o.id {_OF_RUN}", "n.is_new",
    )  # fmt: skip
    rows: list[dict[str, Any]] = list(
        db.rows(
            "SELECT o.id AS old, m.id AS new, o.correct IS NOT NULL AS complete FROM temp.incoming_evaluations o JOIN"
            " temp.evaluations_map n ON n.old = o.id JOIN main.evaluations m ON m.id = n.new"
            " WHERE NOT n.is_new AND m.correct IS NULL"
        )
    )
    db.execute("CREATE TEMP TABLE open_map (old INTEGER PRIMARY KEY)")
    for row in rows:
        db.execute("INSERT INTO temp.open_map VALUES (?)", (row["old"],))
        if row["complete"]:
            db.execute("DELETE FROM main.predictions WHERE evaluation = ?", (row["new"],))
            _replace(found, "evaluations", row["old"], row["new"])
            found.updated("evaluations", 1)
    found.add(
        "predictions", {"evaluation": "n.new"}, "JOIN temp.evaluations_map n ON n.old = o.evaluation",
        "n.is_new OR o.evaluation IN (SELECT old FROM temp.open_map)",
    )  # fmt: skip


def add_experiments(found: Incoming) -> None:
    """Experiments by their plans, with cells. Cells that ended in one of the databases have ended; a search, whose
    cells have no fixed places, gets the other one's trials at its end."""
    db = found.db
    db.execute(
        "INSERT INTO temp.experiments_map SELECT o.id, m.id, 0 FROM temp.incoming_experiments o JOIN main.experiments m"
        " ON m.plan = o.plan"
    )
    found.number_new("experiments", "o.id")
    found.add("experiments", {"id": "n.new"}, "JOIN temp.experiments_map n ON n.old = o.id", "n.is_new")
    numbered = {
        "experiment": "n.new", "run": "r.new",
        "evaluation": "(SELECT new FROM temp.evaluations_map WHERE old = o.evaluation)",
        "state": "CASE o.state WHEN 'running' THEN 'planned' ELSE o.state END",
    }  # fmt: skip
    join = f"JOIN temp.experiments_map n ON n.old = o.experiment {_OF_RUN}"
    known = "SELECT 1 FROM main.cells m WHERE m.experiment = n.new AND m.label = o.label AND m.run IS r.new"
    last = "SELECT coalesce(max(position), -1) FROM main.cells WHERE experiment = n.new"
    new = found.add("cells", numbered, join, "n.is_new OR o.identity IS NOT NULL")
    free = {**numbered, "position": f"({last}) + row_number() OVER (PARTITION BY n.new ORDER BY o.position)"}
    new += found.add(
        "cells", free, join,
        f"NOT n.is_new AND o.identity IS NULL AND o.state IN ('done', 'pruned', 'failed') AND NOT EXISTS ({known})",
    )  # fmt: skip
    found.counts["cells"].new = new
    found.counts["cells"].known = found.number("SELECT count(*) FROM temp.incoming_cells") - new
    values = ", ".join(f"{name} = {numbered.get(name, f'o.{name}')}" for name in ("run", "evaluation", "state"))
    later = db.execute(
        f"UPDATE main.cells AS m SET {values}, seconds = o.seconds, error = o.error FROM temp.incoming_cells o {join}"
        " WHERE m.experiment = n.new AND m.position = o.position AND o.identity IS NOT NULL AND m.identity = o.identity"
        f" AND NOT n.is_new AND o.state IN {_ENDED} AND m.state NOT IN {_ENDED}"
    ).rowcount
    found.updated("cells", later)
