"""Evaluations and their predictions, which an interrupted evaluation resumes from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from tinyllm_cli.records.evaluations import Evaluation, Prediction, Scoring, Subject
from tinyllm_cli.store.database import Database, now


def _evaluation(row: dict[str, Any]) -> Evaluation:
    subject = Subject(kind=row["kind"], name=row["subject"], fingerprint=row["fingerprint"], run=row["run"])
    rest = {key: row[key] for key in row if key not in ("kind", "subject", "fingerprint", "run")}
    return Evaluation(subject=subject, **rest)


class EvaluationQueries:
    """Queries of `store.evaluations`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def open(
        self,
        subject: Subject,
        dataset: str,
        split: str,
        scoring: Scoring,
        *,
        questions: int,
        chance: float,
        majority: float,
    ) -> Evaluation:
        """The evaluation of this subject on these questions: the stored one, complete or begun, or a new one."""
        self._db.execute(
            "INSERT INTO evaluations (kind, subject, fingerprint, run, dataset, split, scoring, questions, chance,"
            " majority, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " chance = excluded.chance, majority = excluded.majority",
            (subject.kind, subject.name, subject.fingerprint, subject.run, dataset, split, scoring, questions, chance,
             majority, now()),
        )  # fmt: skip
        row = self._db.one(
            "SELECT * FROM evaluations WHERE kind = ? AND subject = ? AND fingerprint = ? AND dataset = ? AND split = ?"
            " AND scoring = ? AND questions = ?",
            (subject.kind, subject.name, subject.fingerprint, dataset, split, scoring, questions),
        )
        assert row is not None
        return _evaluation(row)

    def forget_stale(self, evaluation: Evaluation) -> None:
        """Drop predictions of questions that are no longer among those asked as they were answered; the evaluation is
        open again then."""
        with self._db.writing():
            dropped = self._db.execute(
                "DELETE FROM predictions WHERE evaluation = ? AND NOT EXISTS (SELECT 1 FROM dataset_questions dq WHERE"
                " dq.dataset = ? AND dq.split = ? AND dq.position < ?"
                " AND dq.key = predictions.key AND dq.question = predictions.question)",
                (evaluation.id, evaluation.dataset, evaluation.split, evaluation.questions),
            ).rowcount
            if dropped:
                self._db.execute("UPDATE evaluations SET correct = NULL WHERE id = ?", (evaluation.id,))

    def predicted_keys(self, evaluation: int) -> set[str]:
        return {row["key"] for row in self._db.rows("SELECT key FROM predictions WHERE evaluation = ?", (evaluation,))}

    def add_predictions(self, evaluation: int, predictions: Iterable[Prediction]) -> None:
        """Keep predictions; committed when this returns."""
        with self._db.atomic():
            self._db.executemany(
                "INSERT OR REPLACE INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        evaluation,
                        p.key,
                        p.question,
                        p.option,
                        p.correct,
                        json.dumps(p.scores) if p.scores else None,
                        p.text,
                        p.input_cut,
                    )
                    for p in predictions
                ],
            )

    def complete(self, evaluation: int, seconds: float) -> Evaluation:
        """Count the predictions and mark the evaluation complete. `seconds` adds to those of earlier, broken-off
        runs."""
        row = self._db.one(
            "UPDATE evaluations SET seconds = coalesce(seconds, 0) + ?,"
            " correct = (SELECT coalesce(sum(correct), 0) FROM predictions WHERE evaluation = evaluations.id),"
            " unparseable = (SELECT count(*) FROM predictions WHERE evaluation = evaluations.id AND option IS NULL),"
            " inputs_cut = (SELECT coalesce(sum(input_cut), 0) FROM predictions WHERE evaluation = evaluations.id)"
            " WHERE id = ? RETURNING *",
            (seconds, evaluation),
        )
        assert row is not None
        return _evaluation(row)

    def everything(self) -> list[Evaluation]:
        """Every complete evaluation, in the order in which they were begun."""
        return [
            _evaluation(row) for row in self._db.rows("SELECT * FROM evaluations WHERE correct IS NOT NULL ORDER BY id")
        ]

    def outdated(self) -> set[int]:
        """The complete evaluations that answered a question which their split, or as much of it as they were limited
        to, no longer holds as it was."""
        rows = self._db.rows(
            "SELECT id FROM evaluations e WHERE correct IS NOT NULL AND EXISTS ("
            " SELECT 1 FROM predictions p LEFT JOIN dataset_questions dq ON dq.dataset = e.dataset AND dq.split ="
            " e.split"
            " AND dq.key = p.key AND dq.question = p.question AND dq.position < e.questions"
            " WHERE p.evaluation = e.id AND dq.key IS NULL)"
        )
        return {row["id"] for row in rows}

    def predictions(self, evaluation: int) -> Iterator[Prediction]:
        for row in self._db.rows("SELECT * FROM predictions WHERE evaluation = ? ORDER BY key", (evaluation,)):
            yield Prediction(
                key=row["key"],
                question=row["question"],
                option=row["option"],
                correct=bool(row["correct"]),
                scores=tuple(json.loads(row["scores"])) if row["scores"] else None,
                text=row["text"],
                input_cut=bool(row["input_cut"]),
            )
