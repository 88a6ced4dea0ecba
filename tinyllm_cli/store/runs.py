"""Runs, evaluations and predictions: what was trained and what it answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from tinyllm_cli.records.runs import Run, RunState
from tinyllm_cli.records.settings import RunSettings
from tinyllm_cli.store.database import Database, now
from tinyllm_cli.store.locks import holding

_JSON_COLUMNS = ("alpha", "settings", "lineage", "figures", "versions")


def _run(row: dict[str, Any]) -> Run:
    parsed = {name: json.loads(row[name]) for name in _JSON_COLUMNS}
    return Run(**{**row, **parsed, "settings": RunSettings.from_json(parsed["settings"])})


class RunQueries:
    """Queries of `store.runs`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def start(
        self,
        *,
        method: str,
        student: str,
        dataset: str,
        alpha: Mapping[str, float],
        seed: int,
        settings: RunSettings,
        lineage: Mapping[str, Any],
        command: str,
        versions: Mapping[str, str],
    ) -> Run:
        """A new run in state 'running'. Its folder is set by `locate`, since it is named by the run's number."""
        texts = [json.dumps(value, ensure_ascii=False) for value in (alpha, settings.to_json(), lineage, {}, versions)]
        row = self._db.one(
            "INSERT INTO runs (method, student, dataset, seed, state, folder, command, started,"
            " alpha, settings, lineage, figures, versions)"
            " VALUES (?, ?, ?, ?, 'running', '', ?, ?, ?, ?, ?, ?, ?) RETURNING *",
            (method, student, dataset, seed, command, now(), *texts),
        )
        assert row is not None
        return _run(row)

    def same(self, wanted: Mapping[str, Any]) -> list[Run]:
        """The runs of exactly this (method, student, dataset, alpha, seed, settings, lineage, versions): those that are
        done first, then the newest first."""
        values = (wanted["alpha"], wanted["settings"].to_json(), wanted["lineage"], wanted["versions"])
        texts = [json.dumps(value, ensure_ascii=False) for value in values]
        rows = self._db.rows(
            "SELECT * FROM runs WHERE method = ? AND student = ? AND dataset = ? AND seed = ?"
            " AND alpha = ? AND settings = ? AND lineage = ? AND versions = ? ORDER BY state = 'done' DESC, id DESC",
            (wanted["method"], wanted["student"], wanted["dataset"], wanted["seed"], *texts),
        )
        return list(map(_run, rows))

    def resume(self, run: int) -> Run:
        """Go on with a run that was broken off."""
        row = self._db.one(
            "UPDATE runs SET state = 'running', error = NULL, finished = NULL WHERE id = ? RETURNING *", (run,)
        )
        assert row is not None
        return _run(row)

    def mark_killed(self) -> None:
        """Runs that say 'running' while nobody holds their lock were killed."""
        for row in list(self._db.rows("SELECT id FROM runs WHERE state = 'running'")):
            with self.claiming(row["id"]) as held:
                if held:
                    self._db.execute(
                        "UPDATE runs SET state = 'stopped', finished = ?, error = 'killed'"
                        " WHERE id = ? AND state = 'running'",
                        (now(), row["id"]),
                    )

    def claiming(self, run: int) -> AbstractContextManager[bool]:
        """Hold the lock that shows that a run's process lives; False where another process has it."""
        return holding(self._db, f"run-{run}")

    def locate(self, run: int, folder: str) -> None:
        self._db.execute("UPDATE runs SET folder = ? WHERE id = ?", (folder, run))

    def note_figures(self, run: int, figures: Mapping[str, Any]) -> None:
        """Keep the figures of a run that goes on."""
        self._db.execute("UPDATE runs SET figures = ? WHERE id = ?", (json.dumps(figures, allow_nan=False), run))

    def in_work(self, student: str, dataset: str, alpha: Mapping[str, float], seed: int) -> list[Run]:
        """The runs of this student with these alphas that are in work, the newest first."""
        rows = self._db.rows(
            "SELECT * FROM runs WHERE state = 'running' AND student = ? AND dataset = ? AND alpha = ? AND seed = ?"
            " ORDER BY id DESC",
            (student, dataset, json.dumps(alpha, ensure_ascii=False), seed),
        )
        return list(map(_run, rows))

    def finish(self, run: int, state: RunState, figures: Mapping[str, Any], error: str | None = None) -> None:
        self._db.execute(
            "UPDATE runs SET state = ?, figures = ?, error = ?, finished = ? WHERE id = ?",
            (state, json.dumps(figures, allow_nan=False), error, now(), run),
        )

    def find(self, run: int) -> Run | None:
        row = self._db.one("SELECT * FROM runs WHERE id = ?", (run,))
        return _run(row) if row else None

    def latest(self) -> Run | None:
        """The newest one that is done."""
        row = self._db.one("SELECT * FROM runs WHERE state = 'done' ORDER BY id DESC LIMIT 1")
        return _run(row) if row else None

    def everything(self) -> list[Run]:
        return [_run(row) for row in self._db.rows("SELECT * FROM runs ORDER BY id")]
