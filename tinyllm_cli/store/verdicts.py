"""Verdicts: what the gates made of rationales, kept by the settings that they ran with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinyllm_cli.store.database import Database, now


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredVerdict:
    """`text` is None where the rationale was kept as it is; `findings` are [gate, reason, repaired]."""

    rationale: int
    verdict: str
    text: str | None
    findings: Sequence[Sequence[Any]]


class VerdictQueries:
    """Queries of `store.verdicts`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add_gates(self, hash: str, settings: Mapping[str, Any]) -> None:
        """Say what a hash of gate settings stands for; asked for again, they are the newest."""
        self._db.execute(
            "INSERT INTO gates VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET created = excluded.created",
            (hash, json.dumps(settings), now()),
        )

    def stored(self, gates: str, rationales: Sequence[int]) -> dict[int, StoredVerdict]:
        """The verdicts on these rationales, by their ids, as far as there are any."""
        marks = ",".join("?" * len(rationales))
        rows = self._db.rows(
            f"SELECT rationale, verdict, text, findings FROM verdicts WHERE gates = ? AND rationale IN ({marks})",
            (gates, *rationales),
        )
        return {row["rationale"]: StoredVerdict(**{**row, "findings": json.loads(row["findings"])}) for row in rows}

    def add(self, gates: str, verdicts: Sequence[StoredVerdict]) -> None:
        """Keep verdicts; committed when this returns, unless the caller holds a transaction."""
        with self._db.atomic():
            self._db.executemany(
                "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?)",
                [(one.rationale, gates, one.verdict, one.text, json.dumps(one.findings)) for one in verdicts],
            )
