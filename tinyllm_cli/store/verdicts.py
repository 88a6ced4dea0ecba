"""Verdicts: results of the gates for rationales, by the settings that they ran with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinyllm_cli.store.database import Database, now


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredVerdict:
    """`text` is None when the rationale was kept unchanged; `findings` are [gate, reason, repaired]."""

    rationale: int
    verdict: str
    text: str | None
    findings: Sequence[Sequence[Any]]


class VerdictQueries:
    """Queries of `store.verdicts`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add_gates(self, hash: str, settings: Mapping[str, Any]) -> None:
        """Keep the settings of a hash, and when they were last used. In a read-only database this does nothing."""
        if self._db.read_only:
            return
        self._db.execute(
            "INSERT INTO gates (hash, settings, created) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET created = excluded.created",
            (hash, json.dumps(settings), now()),
        )

    def gate_settings(self, hash: str) -> dict[str, Any] | None:
        """The settings of a hash; None where no gates with it judged anything here."""
        row = self._db.one("SELECT settings FROM gates WHERE hash = ?", (hash,))
        return None if row is None else dict(self._db.decoded(row["settings"], dict, "gates.settings"))

    def stored(self, gates: str, rationales: Sequence[int]) -> dict[int, StoredVerdict]:
        """The stored verdicts on these rationales, by ID."""
        marks = ",".join("?" * len(rationales))
        rows = self._db.rows(
            f"SELECT rationale, verdict, text, findings FROM verdicts WHERE gates = ? AND rationale IN ({marks})",
            (gates, *rationales),
        )
        return {
            row["rationale"]: StoredVerdict(
                **{**row, "findings": self._db.decoded(row["findings"], list, "verdicts.findings")}
            )
            for row in rows
        }

    def add(self, gates: str, verdicts: Sequence[StoredVerdict]) -> None:
        """Keep verdicts; committed when this returns, unless the caller holds a transaction. In a read-only database
        this does nothing: they are computed again."""
        if self._db.read_only:
            return
        with self._db.atomic():
            self._db.executemany(
                "INSERT OR REPLACE INTO verdicts (rationale, gates, verdict, text, findings) VALUES (?, ?, ?, ?, ?)",
                [(one.rationale, gates, one.verdict, one.text, json.dumps(one.findings)) for one in verdicts],
            )
