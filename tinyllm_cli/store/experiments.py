"""Experiments and the states of their cells."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

from tinyllm_cli.store.database import Database, now
from tinyllm_cli.store.locks import claiming

CellState = Literal["planned", "running", "done", "pruned", "failed"]


@dataclass(frozen=True, kw_only=True)
class CellOutcome:
    """What became of a cell: the rows of its run and evaluation, its seconds, and why it failed."""

    run: int | None = None
    evaluation: int | None = None
    seconds: float | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class StoredCell:
    """One training and evaluation of an experiment. `run` and `evaluation` are None until they exist."""

    experiment: int
    position: int
    label: Mapping[str, Any]
    run: int | None
    evaluation: int | None
    state: CellState
    seconds: float | None
    error: str | None


@dataclass(frozen=True, kw_only=True)
class DoneCell:
    """The results of a cell that is done."""

    run: int | None
    evaluation: int | None
    seconds: float | None


class ExperimentQueries:
    """Queries of `store.experiments`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def done_cells(self) -> dict[str, DoneCell]:
        """The results of all cells that are done, in any experiment, by identity; of several the newest one's."""
        rows = self._db.rows(
            "SELECT identity, run, evaluation, seconds FROM cells WHERE state = 'done' AND identity IS NOT NULL"
            " ORDER BY experiment, position"
        )
        return {row.pop("identity"): DoneCell(**row) for row in rows}

    def open_experiment(self, name: str, plan: Mapping[str, Any], command: str) -> int:
        """The number of the experiment with this plan, stored or new. Plans are equal when their JSON is. `cells` of a
        plan have a label and an identity each; those that are done in any experiment are done in this one."""
        text = json.dumps(plan, ensure_ascii=False, sort_keys=True)
        planned: Sequence[Mapping[str, Any]] = plan.get("cells", ())
        with self._db.writing():
            self._db.execute(
                "INSERT INTO experiments (name, plan, command, created) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (name, text, command, now()),
            )
            row = self._db.one("SELECT id FROM experiments WHERE plan = ?", (text,))
            assert row is not None
            number = int(row["id"])
            self._db.executemany(
                "INSERT INTO cells (experiment, position, identity, label, state) VALUES (?, ?, ?, ?, 'planned')"
                " ON CONFLICT DO NOTHING",
                [
                    (number, place, cell["identity"], json.dumps(cell["label"], ensure_ascii=False))
                    for place, cell in enumerate(planned)
                ],
            )
            known = self.done_cells()
            self._db.executemany(
                "UPDATE cells SET state = 'done', run = ?, evaluation = ?, seconds = ?, error = NULL"
                " WHERE experiment = ? AND position = ? AND state <> 'done'",
                [
                    (done.run, done.evaluation, done.seconds, number, place)
                    for place, cell in enumerate(planned) if (done := known.get(cell["identity"])) is not None
                ],
            )  # fmt: skip
        return number

    def claiming(self, experiment: int) -> AbstractContextManager[bool]:
        """Hold the lock of an experiment's process; False when another process has it."""
        return claiming(self._db, f"experiment-{experiment}")

    def mark_killed(self) -> None:
        """Set the state of 'running' cells whose experiment's lock is free to 'planned'. In a read-only database this
        does nothing."""
        if self._db.read_only:
            return
        for row in list(self._db.rows("SELECT DISTINCT experiment FROM cells WHERE state = 'running'")):
            with self.claiming(row["experiment"]) as held:
                if held:
                    self._db.execute(
                        "UPDATE cells SET state = 'planned' WHERE experiment = ? AND state = 'running'",
                        (row["experiment"],),
                    )

    def drop_unfinished(self, experiment: int) -> None:
        """Delete cells that are not finished, for searches, which add new ones."""
        self._db.execute("DELETE FROM cells WHERE experiment = ? AND state NOT IN ('done', 'pruned')", (experiment,))

    def cells(self, experiment: int) -> list[StoredCell]:
        """The cells of an experiment, by position."""
        rows = self._db.rows(
            "SELECT experiment, position, label, run, evaluation, state, seconds, error FROM cells WHERE experiment = ?"
            " ORDER BY position",
            (experiment,),
        )
        return [StoredCell(**{**row, "label": self._db.decoded(row["label"], dict, "cells.label")}) for row in rows]

    def note(self, experiment: int, position: int, state: CellState, outcome: CellOutcome = CellOutcome()) -> None:
        """Set the state and the results of a cell; committed when this returns. Without a run, its run stays."""
        with self._db.writing():
            self._db.execute(
                "UPDATE cells SET state = ?, run = coalesce(?, run), evaluation = ?, seconds = ?, error = ?"
                " WHERE experiment = ? AND position = ?",
                (state, outcome.run, outcome.evaluation, outcome.seconds, outcome.error, experiment, position),
            )

    def add_cell(self, experiment: int, label: Mapping[str, Any]) -> int:
        """Add a running cell at the end, for searches; returns its position."""
        row = self._db.one(
            "INSERT INTO cells (experiment, position, label, state) SELECT ?, coalesce(max(position) + 1, 0), ?,"
            " 'running'"
            " FROM cells WHERE experiment = ? RETURNING position",
            (experiment, json.dumps(label, ensure_ascii=False), experiment),
        )
        assert row is not None
        return int(row["position"])

    def trials(self) -> list[dict[str, Any]]:
        """Rows of data_set, state, n: the number of trials of the searches, by how they ended."""
        return list(
            self._db.rows(
                "SELECT json_extract(c.label, '$.dataset') AS data_set, c.state, count(*) AS n FROM cells c"
                " JOIN experiments e ON e.id = c.experiment WHERE e.name LIKE '%-search'"
                " AND json_extract(c.label, '$.trial') IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2"
            )
        )

    def attach_run(self, experiment: int, position: int, run: int) -> None:
        """Set the run of a cell that only evaluates."""
        self._db.execute("UPDATE cells SET run = ? WHERE experiment = ? AND position = ?", (run, experiment, position))
