"""Runs: trainings of students, their states and metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinyllm_cli.errors import WorldProblem
from tinyllm_cli.files import exclusive
from tinyllm_cli.records.runs import Run, RunIdentity, RunState
from tinyllm_cli.records.settings import RunSettings
from tinyllm_cli.store.database import Database, now
from tinyllm_cli.store.locks import claiming

_JSON_COLUMNS = ("alpha", "settings", "sources", "metrics", "versions")


class RunQueries:
    """Queries of `store.runs`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def start(self, identity: RunIdentity, *, command: str) -> Run:
        """A new run in state 'running'. Its folder is set by `locate`, since it is named by the run's number."""
        values = {
            **vars(identity), "settings": identity.settings.to_json(), "metrics": {}, "command": command,
            "started": now(), "state": "running", "folder": "",
        }  # fmt: skip
        encoded = [_encoded(value) if name in _JSON_COLUMNS else value for name, value in values.items()]
        row = self._db.one(
            f"INSERT INTO runs ({', '.join(values)}) VALUES ({', '.join('?' * len(values))}) RETURNING *", encoded
        )
        assert row is not None
        return self._run(row)

    def same(self, identity: RunIdentity) -> list[Run]:
        """The runs with this identity: those that are done first, then the newest first. One whose environment was not
        recorded may have any."""
        rows = self._db.rows(
            "SELECT * FROM runs WHERE method = ? AND student = ? AND dataset = ? AND seed = ?"
            " ORDER BY state = 'done' DESC, id DESC",
            (identity.method, identity.student, identity.dataset, identity.seed),
        )
        wanted = {name: json.loads(_encoded(getattr(identity, name))) for name in ("alpha", "sources", "versions")}
        settings = (identity.settings, replace(identity.settings, environment=None))
        return [
            run
            for run in map(self._run, rows)
            if run.settings in settings and {name: getattr(run, name) for name in wanted} == wanted
        ]

    def resume(self, run: int) -> Run:
        """Set the state of an interrupted run to 'running'."""
        row = self._db.one(
            "UPDATE runs SET state = 'running', error = NULL, finished = NULL WHERE id = ? RETURNING *", (run,)
        )
        assert row is not None
        return self._run(row)

    def mark_killed(self) -> None:
        """Set the state of 'running' runs whose lock is free to 'stopped'. In a read-only database this does
        nothing."""
        if self._db.read_only:
            return
        for row in list(self._db.rows("SELECT id FROM runs WHERE state = 'running'")):
            with self.claiming(row["id"]) as held:
                if held:
                    self._db.execute(
                        "UPDATE runs SET state = 'stopped', finished = ?, error = 'killed'"
                        " WHERE id = ? AND state = 'running'",
                        (now(), row["id"]),
                    )

    def claiming(self, run: int) -> AbstractContextManager[bool]:
        """Hold the lock of a run's process; False when another process has it. The lock protects the run's folder, and
        is beside it: two databases may share the folder."""
        row = self._db.one("SELECT folder FROM runs WHERE id = ?", (run,))
        if row is None or not row["folder"]:
            return claiming(self._db, f"run-{run}")
        folder = self._folder(row["folder"])
        return exclusive(folder)

    def locate(self, run: int, folder: str) -> None:
        """Set the folder of a run. One below the folder of the database is copied and moved with it, so it is stored
        relative to that."""
        place, home = Path(folder).absolute(), self._db.path.parent
        stored = place.relative_to(home) if place.is_relative_to(home) else place
        self._db.execute("UPDATE runs SET folder = ? WHERE id = ?", (stored.as_posix(), run))

    def note_metrics(self, run: int, metrics: Mapping[str, Any]) -> None:
        """Keep the metrics of a running run."""
        self._db.execute("UPDATE runs SET metrics = ? WHERE id = ?", (json.dumps(metrics, allow_nan=False), run))

    def note_metrics_if_free(self, run: int, metrics: Mapping[str, Any]) -> bool:
        """The same, unless another process is writing: a note that the next one replaces is not worth a wait."""
        text = json.dumps(metrics, allow_nan=False)
        return self._db.execute_if_free("UPDATE runs SET metrics = ? WHERE id = ?", (text, run))

    def in_work(self, student: str, dataset: str, alpha: Mapping[str, float], seed: int) -> list[Run]:
        """The running runs of this student with these weights, the newest first."""
        rows = self._db.rows(
            "SELECT * FROM runs WHERE state = 'running' AND student = ? AND dataset = ? AND seed = ? ORDER BY id DESC",
            (student, dataset, seed),
        )
        return [run for run in map(self._run, rows) if run.alpha == alpha]

    def finish(self, run: int, state: RunState, metrics: Mapping[str, Any], error: str | None = None) -> None:
        """Set the final state and the metrics of a run."""
        self._db.execute(
            "UPDATE runs SET state = ?, metrics = ?, error = ?, finished = ? WHERE id = ?",
            (state, json.dumps(metrics, allow_nan=False), error, now(), run),
        )

    def rename_student(self, old: str, new: str) -> None:
        """Give a student another name in runs, their commands and evaluations: its files are elsewhere."""
        with self._db.writing():
            self._db.execute(
                "UPDATE runs SET student = ?1, command = replace(command, ?2, ?1) WHERE student = ?2", (new, old)
            )
            self._db.execute(
                "UPDATE evaluations SET model = ?1, subject = CASE subject WHEN ?2 THEN ?1 ELSE subject END"
                " WHERE model = ?2",
                (new, old),
            )

    def find(self, run: int) -> Run | None:
        """The run of this number; None without one."""
        row = self._db.one("SELECT * FROM runs WHERE id = ?", (run,))
        return self._run(row) if row else None

    def latest(self) -> Run | None:
        """The newest run that is done; None without one."""
        row = self._db.one("SELECT * FROM runs WHERE state = 'done' ORDER BY id DESC LIMIT 1")
        return self._run(row) if row else None

    def everything(self) -> list[Run]:
        """All runs, the oldest first."""
        return [self._run(row) for row in self._db.rows("SELECT * FROM runs ORDER BY id")]

    def _run(self, row: dict[str, Any]) -> Run:
        decoded = {name: self._db.decoded(row[name], dict, f"runs.{name}") for name in _JSON_COLUMNS}
        folder = str(self._folder(row["folder"])) if row["folder"] else ""
        try:
            settings = RunSettings.from_json(decoded["settings"])
        except ValueError as error:
            raise WorldProblem(
                f"{self._db.path} is damaged: in runs.settings of run {row['id']}, {error}.",
                "Restore a copy, or give another file with --db.",
            ) from error
        return Run(**{**row, **decoded, "settings": settings, "folder": folder})

    def _folder(self, relative: str) -> Path:
        return self._db.path.parent / relative


def _encoded(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
