"""Evaluations and their predictions. An interrupted evaluation resumes from these."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tinyllm_cli.records.evaluations import Evaluation, Prediction, Scoring, Subject
from tinyllm_cli.store.database import Database, now

_SUBJECT = (
    "kind", "subject", "run", "step", "model", "model_fingerprint", "revision", "max_input", "sampling", "recipe",
    "extra_context", "explain_as", "votes",
)  # fmt: skip
_SAME = " AND ".join(f"{name} IS ?" for name in (*_SUBJECT, "dataset", "split", "scoring", "questions"))


@dataclass(frozen=True, kw_only=True)
class EvaluatedQuestions:
    """The first `count` questions of a split. `chance` is the expected accuracy of guessing, `majority` that of always
    choosing the most frequent position."""

    dataset: str
    split: str
    count: int
    chance: float
    majority: float


def _subject_values(subject: Subject) -> tuple[Any, ...]:
    return tuple(getattr(subject, "name" if column == "subject" else column) for column in _SUBJECT)


def _evaluation(row: dict[str, Any]) -> Evaluation:
    subject = Subject(**{"name" if name == "subject" else name: row[name] for name in _SUBJECT})
    return Evaluation(subject=subject, **{name: row[name] for name in row if name not in _SUBJECT})


class EvaluationQueries:
    """Queries of `store.evaluations`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def open(self, subject: Subject, scoring: Scoring, questions: EvaluatedQuestions) -> Evaluation:
        """The evaluation of this subject on these questions: the stored one, complete or not, or a new one."""
        key = (*_subject_values(subject), questions.dataset, questions.split, scoring, questions.count)
        with self._db.writing():
            self._db.execute(
                f"UPDATE evaluations SET chance = ?, majority = ? WHERE {_SAME}",
                (questions.chance, questions.majority, *key),
            )
            row = self._db.one(f"SELECT * FROM evaluations WHERE {_SAME}", key)
            if row is None:
                columns = (*_SUBJECT, "dataset", "split", "scoring", "questions", "chance", "majority", "created")
                row = self._db.one(
                    f"INSERT INTO evaluations ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
                    " RETURNING *",
                    (*key, questions.chance, questions.majority, now()),
                )
        assert row is not None
        return _evaluation(row)

    def forget_stale(self, evaluation: Evaluation) -> None:
        """Delete predictions of questions that the split no longer has, or has with other content. If there are any,
        the evaluation is incomplete again."""
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
        """The keys of the questions that have a prediction."""
        return {row["key"] for row in self._db.rows("SELECT key FROM predictions WHERE evaluation = ?", (evaluation,))}

    def add_predictions(self, evaluation: int, predictions: Iterable[Prediction]) -> None:
        """Keep predictions; committed when this returns."""
        with self._db.atomic():
            self._db.executemany(
                "INSERT OR REPLACE INTO predictions (evaluation, key, question, option, correct, scores, text,"
                " written_tokens, input_truncated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        evaluation,
                        p.key,
                        p.question,
                        p.option,
                        p.correct,
                        json.dumps(p.scores) if p.scores else None,
                        p.text,
                        p.written_tokens,
                        p.input_truncated,
                    )
                    for p in predictions
                ],
            )

    def complete(self, evaluation: int, seconds: float) -> Evaluation:
        """Count the predictions and mark the evaluation complete. `seconds` adds to those of interrupted processes."""
        row = self._db.one(
            "UPDATE evaluations SET seconds = coalesce(seconds, 0) + ?,"
            " correct = (SELECT coalesce(sum(correct), 0) FROM predictions WHERE evaluation = evaluations.id),"
            " unparseable = (SELECT count(*) FROM predictions WHERE evaluation = evaluations.id AND option IS NULL),"
            " written_tokens = (SELECT sum(written_tokens) FROM predictions WHERE evaluation = evaluations.id),"
            " truncated_inputs = (SELECT coalesce(sum(input_truncated), 0) FROM predictions"
            " WHERE evaluation = evaluations.id)"
            " WHERE id = ? RETURNING *",
            (seconds, evaluation),
        )
        assert row is not None
        return _evaluation(row)

    def everything(self) -> list[Evaluation]:
        """Every complete evaluation, the oldest first."""
        return [
            _evaluation(row) for row in self._db.rows("SELECT * FROM evaluations WHERE correct IS NOT NULL ORDER BY id")
        ]

    def outdated(self) -> set[int]:
        """The IDs of complete evaluations with a prediction for a question that their split, up to their limit, no
        longer has, or has with other content."""
        rows = self._db.rows(
            "SELECT id FROM evaluations e WHERE correct IS NOT NULL AND EXISTS ("
            " SELECT 1 FROM predictions p LEFT JOIN dataset_questions dq ON dq.dataset = e.dataset AND dq.split ="
            " e.split"
            " AND dq.key = p.key AND dq.question = p.question AND dq.position < e.questions"
            " WHERE p.evaluation = e.id AND dq.key IS NULL)"
        )
        return {row["id"] for row in rows}

    def predictions(self, evaluation: int) -> Iterator[Prediction]:
        """The predictions of an evaluation, by key."""
        for row in self._db.rows("SELECT * FROM predictions WHERE evaluation = ? ORDER BY key", (evaluation,)):
            yield Prediction(
                key=row["key"],
                question=row["question"],
                option=row["option"],
                correct=bool(row["correct"]),
                scores=tuple(self._db.decoded(row["scores"], list, "predictions.scores")) if row["scores"] else None,
                text=row["text"],
                input_truncated=bool(row["input_truncated"]),
            )
