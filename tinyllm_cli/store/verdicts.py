"""Verdicts: results of the gates for rationales, by the settings that they ran with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinyllm_cli.records.elicitation import RationaleSet
from tinyllm_cli.store.database import Database, now
from tinyllm_cli.store.rationale_stats import ONLY_RECIPE, RECIPE


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredVerdict:
    """`text` is None when the rationale was kept unchanged; `findings` are [gate, reason, repaired]."""

    rationale: int
    verdict: str
    text: str | None
    findings: Sequence[Sequence[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredOutcome(StoredVerdict):
    """A stored verdict with the place of its rationale; `verdict` is None without one. `raw` is the teacher's text if a
    person has judged it as well. Never has a `text`."""

    verdict: str | None  # type: ignore[assignment]
    position: int
    sample: int
    created: str
    raw: str | None


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

    def outcomes(self, gates: str, dataset: str, split: str, variant: RationaleSet) -> Iterator[StoredOutcome]:
        """What gates with this hash decided on every rationale of a set for a split, streamed. The rationales of a
        question follow each other."""
        rows = self._db.rows(
            "SELECT r.id AS rationale, dq.position, r.sample, r.created, v.verdict, v.findings, NULL AS text,"
            " CASE WHEN EXISTS (SELECT 1 FROM human_verdicts h WHERE h.rationale = r.id) THEN r.text END AS raw"
            " FROM dataset_questions dq CROSS JOIN rationales r ON r.question = dq.question AND r.teacher = ?"
            f" AND r.sampling = ? {ONLY_RECIPE} LEFT JOIN verdicts v ON v.rationale = r.id AND v.gates = ?"
            f" WHERE {RECIPE} = ? AND dq.dataset = ? AND dq.split = ?",
            (variant.teacher, variant.sampling, gates, variant.recipe.name, dataset, split),
        )
        for row in rows:
            found = row.pop("findings")
            findings = [] if found is None or found == "[]" else self._db.decoded(found, list, "verdicts.findings")
            yield StoredOutcome(**row, findings=findings)

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
