"""Usefulness: how much each rationale raises the log-probability of the gold option for a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinyllm_cli.iteration import batched
from tinyllm_cli.records.usefulness import Scorer, ScorerCount, UsefulnessGain
from tinyllm_cli.store.database import Database, now

_PAGE = 500


class UsefulnessQueries:
    """Queries of `store.usefulness`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def stored(self, scorer: Scorer, texts: Mapping[int, str]) -> dict[int, UsefulnessGain]:
        """The stored gains of rationales, by ID. `texts` has the hash of each one's text, by ID: a gain of another text
        does not count."""
        marks = ",".join("?" * len(texts))
        rows = self._db.rows(
            "SELECT rationale, text_hash, gain, input_truncated FROM usefulness WHERE model = ?"
            f" AND model_fingerprint = ? AND rationale IN ({marks})",
            (scorer.model, scorer.fingerprint, *texts),
        )
        return {
            row["rationale"]: UsefulnessGain(**{**row, "input_truncated": bool(row["input_truncated"])})
            for row in rows
            if texts[row["rationale"]] == row["text_hash"]
        }

    def of(self, rationales: Sequence[int]) -> dict[Scorer, list[UsefulnessGain]]:
        """Every stored gain of these rationales, by model; one for each text of a rationale that was scored."""
        found: dict[Scorer, list[UsefulnessGain]] = {}
        for page in batched(rationales, _PAGE):
            rows = self._db.rows(
                "SELECT model, model_fingerprint, rationale, text_hash, gain, input_truncated FROM usefulness"
                f" WHERE rationale IN ({','.join('?' * len(page))})",
                page,
            )
            for row in rows:
                scorer = Scorer(model=row.pop("model"), fingerprint=row.pop("model_fingerprint"))
                gain = UsefulnessGain(**{**row, "input_truncated": bool(row["input_truncated"])})
                found.setdefault(scorer, []).append(gain)
        return found

    def add(self, scorer: Scorer, gains: Sequence[UsefulnessGain]) -> None:
        """Keep gains; committed when this returns."""
        moment = now()
        with self._db.atomic():
            self._db.executemany(
                "INSERT OR REPLACE INTO usefulness (rationale, text_hash, model, model_fingerprint, gain, created,"
                " input_truncated) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (one.rationale, one.text_hash, scorer.model, scorer.fingerprint, one.gain, moment,
                     one.input_truncated)
                    for one in gains
                ],
            )  # fmt: skip

    def scored(self, dataset: str) -> list[ScorerCount]:
        """The models that scored rationales for a data set, by name."""
        rows = self._db.rows(
            "SELECT u.model, u.model_fingerprint, count(*) AS rationales, max(u.created) AS latest FROM usefulness u"
            " JOIN rationales r ON r.id = u.rationale"
            " WHERE r.question IN (SELECT question FROM dataset_questions WHERE dataset = ?)"
            " GROUP BY u.model, u.model_fingerprint ORDER BY u.model, u.model_fingerprint",
            (dataset,),
        )
        return [
            ScorerCount(
                scorer=Scorer(model=row["model"], fingerprint=row["model_fingerprint"]),
                rationales=row["rationales"],
                latest=row["latest"],
            )
            for row in rows
        ]

    def models(self, dataset: str) -> list[Scorer]:
        """The models that scored rationales for a data set, the latest first."""
        return [one.scorer for one in sorted(self.scored(dataset), key=lambda one: one.latest, reverse=True)]
