"""Experiments and their cells: what a plan holds, and how far it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

from tinyllm_cli.store.database import Database, now
from tinyllm_cli.store.locks import holding

CellState = Literal["planned", "running", "done", "pruned", "failed"]


@dataclass(frozen=True, kw_only=True)
class StoredCell:
    """One training and evaluation of an experiment. `run` and `evaluation` are None until there are any; `seconds`
    is what it took."""

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
    """What a cell that is done came to."""

    run: int | None
    evaluation: int | None
    seconds: float | None


class ExperimentQueries:
    """Queries of `store.experiments`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def done_cells(self) -> dict[str, DoneCell]:
        """Of every cell that is done, of whatever experiment, by the identity that its plan gives it; the newest
        last."""
        rows = self._db.rows(
            "SELECT json_extract(e.plan, '$.cells[' || c.position || '].identity') AS identity, c.run, c.evaluation,"
            " c.seconds FROM cells c JOIN experiments e ON e.id = c.experiment"
            " WHERE c.state = 'done' AND identity IS NOT NULL ORDER BY c.experiment, c.position"
        )
        return {row.pop("identity"): DoneCell(**row) for row in rows}

    def open_experiment(self, name: str, plan: Mapping[str, Any], command: str) -> int:
        """The experiment of this plan, begun before or now. A plan is the same one when its JSON is; `cells` of it,
        where there are any, hold a label and an identity each. Those that were done before, wherever, are done."""
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
                "INSERT INTO cells (experiment, position, label, state) VALUES (?, ?, ?, 'planned') ON CONFLICT DO"
                " NOTHING",
                [(number, place, json.dumps(cell["label"], ensure_ascii=False)) for place, cell in enumerate(planned)],
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
        """Hold the lock that shows that an experiment's process lives; False where another process has it."""
        return holding(self._db, f"experiment-{experiment}")

    def mark_killed(self) -> None:
        """Cells that say 'running' while nobody holds their experiment's lock were cut off by a kill."""
        for row in list(self._db.rows("SELECT DISTINCT experiment FROM cells WHERE state = 'running'")):
            with self.claiming(row["experiment"]) as held:
                if held:
                    self._db.execute(
                        "UPDATE cells SET state = 'planned' WHERE experiment = ? AND state = 'running'",
                        (row["experiment"],),
                    )

    def drop_unfinished(self, experiment: int) -> None:
        """Forget cells that came to nothing, where a plan that grows as it goes makes others in their place."""
        self._db.execute("DELETE FROM cells WHERE experiment = ? AND state NOT IN ('done', 'pruned')", (experiment,))

    def cells(self, experiment: int) -> list[StoredCell]:
        rows = self._db.rows("SELECT * FROM cells WHERE experiment = ? ORDER BY position", (experiment,))
        return [StoredCell(**{**row, "label": json.loads(row["label"])}) for row in rows]

    def note(self, experiment: int, position: int, state: CellState, *, run: int | None = None,
        evaluation: int | None = None, seconds: float | None = None, error: str | None = None,
    ) -> None:  # fmt: skip
        """Say how a cell stands; committed when this returns. A run once known stays known."""
        with self._db.writing():
            self._db.execute(
                "UPDATE cells SET state = ?, run = coalesce(?, run), evaluation = ?, seconds = ?, error = ?"
                " WHERE experiment = ? AND position = ?",
                (state, run, evaluation, seconds, error, experiment, position),
            )

    def add_cell(self, experiment: int, label: Mapping[str, Any]) -> int:
        """One more cell at the end, for plans that grow as they go; its position."""
        row = self._db.one(
            "INSERT INTO cells (experiment, position, label, state) SELECT ?, coalesce(max(position) + 1, 0), ?,"
            " 'running'"
            " FROM cells WHERE experiment = ? RETURNING position",
            (experiment, json.dumps(label, ensure_ascii=False), experiment),
        )
        assert row is not None
        return int(row["position"])

    def trials(self) -> list[dict[str, Any]]:
        """data_set, state, n: how many trainings the searches tried, by how they ended."""
        return list(
            self._db.rows(
                "SELECT json_extract(c.label, '$.dataset') AS data_set, c.state, count(*) AS n FROM cells c"
                " JOIN experiments e ON e.id = c.experiment WHERE e.name LIKE '%-search'"
                " AND json_extract(c.label, '$.trial') IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2"
            )
        )

    def attach_run(self, experiment: int, position: int, run: int) -> None:
        """Say which run a cell that only evaluated spoke of."""
        self._db.execute("UPDATE cells SET run = ? WHERE experiment = ? AND position = ?", (run, experiment, position))
