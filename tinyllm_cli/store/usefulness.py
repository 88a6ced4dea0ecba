"""Scores of rationales by models: usefulness and learnability, each in a table of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinyllm_cli.iteration import batched
from tinyllm_cli.records.usefulness import Scorer, ScorerCount, TextScore
from tinyllm_cli.store.database import Database, now

_PAGE = 500


class ScoreQueries:
    """Queries of `store.usefulness` and `store.learnability`. `column` of `table` holds the score."""

    def __init__(self, db: Database, table: str, column: str) -> None:
        self._db, self._table, self._column = db, table, column

    def stored(self, scorer: Scorer, texts: Mapping[int, str]) -> dict[int, TextScore]:
        """The stored scores of rationales, by ID. `texts` has the hash of each one's text, by ID: a score of another
        text does not count."""
        found: dict[int, TextScore] = {}
        for page in batched(texts, _PAGE):
            rows = self._db.rows(
                f"SELECT rationale, text_hash, {self._column} AS value, input_truncated FROM {self._table}"
                f" WHERE model = ? AND model_fingerprint = ? AND rationale IN ({','.join('?' * len(page))})",
                (scorer.model, scorer.fingerprint, *page),
            )
            found |= {row["rationale"]: _score(row) for row in rows if texts[row["rationale"]] == row["text_hash"]}
        return found

    def of(self, rationales: Sequence[int]) -> dict[Scorer, list[TextScore]]:
        """Every stored score of these rationales, by model; one for each text of a rationale that was scored."""
        found: dict[Scorer, list[TextScore]] = {}
        for page in batched(rationales, _PAGE):
            rows = self._db.rows(
                f"SELECT model, model_fingerprint, rationale, text_hash, {self._column} AS value, input_truncated"
                f" FROM {self._table} WHERE rationale IN ({','.join('?' * len(page))})",
                page,
            )
            for row in rows:
                scorer = Scorer(model=row.pop("model"), fingerprint=row.pop("model_fingerprint"))
                found.setdefault(scorer, []).append(_score(row))
        return found

    def add(self, scorer: Scorer, scores: Sequence[TextScore]) -> None:
        """Keep scores; committed when this returns."""
        moment = now()
        with self._db.atomic():
            self._db.executemany(
                f"INSERT OR REPLACE INTO {self._table} (rationale, text_hash, model, model_fingerprint, {self._column},"
                " created, input_truncated) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (one.rationale, one.text_hash, scorer.model, scorer.fingerprint, one.value, moment,
                     one.input_truncated)
                    for one in scores
                ],
            )  # fmt: skip

    def scored(self, dataset: str) -> list[ScorerCount]:
        """The models that scored rationales for a data set, by name."""
        rows = self._db.rows(
            "SELECT u.model, u.model_fingerprint, count(*) AS rationales, max(u.created) AS latest"
            f" FROM {self._table} u JOIN rationales r ON r.id = u.rationale"
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


def _score(row: dict[str, Any]) -> TextScore:
    return TextScore(**{**row, "input_truncated": bool(row["input_truncated"])})
