"""What runs and what ended last: elicitations with their progress, trainings, plans. Reads small tables alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tinyllm_cli.store.database import Database

_LATEST = "({0}.state = 'running' OR {0}.id IN (SELECT id FROM {0} ORDER BY id DESC LIMIT ?))"


class ActivityQueries:
    """Queries of `store.activity`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def elicitations(self, recent: int) -> list[dict[str, Any]]:
        """Rows of the running elicitations and the `recent` latest ones, the newest first, each with the last note of
        its progress and the number of its open batches. Without those of recorded rationales, which request nothing."""
        rows = self._db.rows(
            "SELECT id, teacher, s.model, dataset, split, state, replies, failures, prompt_tokens, completion_tokens,"
            " cost, started, finished, error, p.requests_left, p.in_flight, p.rate, p.endpoints,"
            " (SELECT count(*) FROM batches b WHERE b.elicitation = elicitations.id AND b.finished IS NULL) AS batches"
            " FROM elicitations JOIN samplings s ON s.hash = sampling LEFT JOIN elicitation_progress p ON"
            f" p.elicitation = id WHERE s.backend <> 'recorded' AND {_LATEST.format('elicitations')} ORDER BY id DESC",
            (recent,),
        )
        return [{**row, "endpoints": self._endpoints(row["endpoints"])} for row in rows]

    def trainings(self, recent: int) -> Iterator[dict[str, Any]]:
        """Rows of the running trainings and the `recent` latest ones, the newest first."""
        for row in self._db.rows(
            "SELECT id, method, student, dataset, alpha, seed, state, metrics, started, finished, error FROM runs WHERE"
            f" {_LATEST.format('runs')} ORDER BY id DESC",
            (recent,),
        ):
            decoded = {name: self._db.decoded(row[name], dict, f"runs.{name}") for name in ("alpha", "metrics")}
            yield {**row, **decoded}

    def plans(self, recent: int) -> list[int]:
        """The numbers of the experiments with running cells and of the `recent` latest ones, the newest first."""
        rows = self._db.rows(
            "SELECT id FROM experiments WHERE id IN (SELECT experiment FROM cells WHERE state = 'running') OR id IN"
            " (SELECT id FROM experiments ORDER BY id DESC LIMIT ?) ORDER BY id DESC",
            (recent,),
        )
        return [row["id"] for row in rows]

    def _endpoints(self, text: str | None) -> dict[str, int]:
        if text is None:
            return {}
        return dict(self._db.decoded(text, list, "elicitation_progress.endpoints"))
