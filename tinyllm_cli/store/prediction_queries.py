"""Predictions for single questions, and the questions that distinguish evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinyllm_cli.store.database import Database

_DIFFERING = (
    " FROM predictions p JOIN evaluations e ON e.id = p.evaluation WHERE p.evaluation IN ({marks}) GROUP BY p.key,"
    " p.question HAVING count(*) = ? AND sum(p.correct) BETWEEN 1 AND ?"
)


@dataclass(frozen=True, kw_only=True)
class DifferingQuestion:
    """A question that not all evaluations answer equally well. `correct` is in the order of the evaluations."""

    dataset: str
    split: str
    key: str
    text: str
    correct: tuple[bool, ...]


class PredictionQueries:
    """Queries of `store.predictions`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def disagreements(self, better: Sequence[int], worse: Sequence[int], count: int) -> list[str]:
        """The keys of up to `count` questions that all evaluations `better` answer correctly and all of `worse` do not;
        those with rationales first, then in the order of their hashes. Questions that are no longer in the data set are
        left out."""
        right, wrong = ",".join("?" * len(better)), ",".join("?" * len(worse))
        rows = self._db.rows(
            "SELECT p.key FROM predictions p JOIN evaluations e ON e.id = p.evaluation JOIN dataset_questions dq"
            " ON dq.dataset = e.dataset AND dq.split = e.split AND dq.key = p.key AND dq.question = p.question"
            f" WHERE p.evaluation IN ({right},{wrong})"
            f" GROUP BY p.key, p.question HAVING count(*) = ? AND sum(p.correct) = ?"
            f" AND sum(p.correct AND p.evaluation IN ({right})) = ?"
            " ORDER BY EXISTS (SELECT 1 FROM rationales r WHERE r.question = p.question) DESC, p.question LIMIT ?",
            (*better, *worse, len(better) + len(worse), len(better), *better, len(better), count),
        )
        return [row["key"] for row in rows]

    def explained(self, dataset: str, split: str) -> list[str]:
        """The keys of up to two questions that a student explained before it answered: one that it got right, and one
        that it got wrong."""
        rows = self._db.rows(
            "SELECT p.correct, min(p.key) AS key FROM predictions p JOIN evaluations e ON e.id = p.evaluation"
            " JOIN dataset_questions dq ON dq.dataset = e.dataset AND dq.split = e.split AND dq.key = p.key"
            " AND dq.question = p.question WHERE e.dataset = ? AND e.split = ? AND e.scoring = 'explain'"
            " AND e.kind = 'run' AND p.text IS NOT NULL GROUP BY p.correct ORDER BY p.correct DESC",
            (dataset, split),
        )
        return list(dict.fromkeys(row["key"] for row in rows))

    def answers_to(self, evaluations: Sequence[int], key: str) -> list[tuple[int | None, bool]]:
        """(option, whether it is correct) of a question by key, in the order of the evaluations; None: unparseable."""
        found = {
            row["evaluation"]: (row["option"], bool(row["correct"]))
            for row in self._db.rows(
                f"SELECT evaluation, option, correct FROM predictions WHERE key = ?"
                f" AND evaluation IN ({','.join('?' * len(evaluations))})",
                (key, *evaluations),
            )
        }
        return [found[number] for number in evaluations if number in found]

    def count_differing(self, evaluations: Sequence[int]) -> int:
        """How many questions some of these evaluations answer correctly and others do not."""
        inner = _DIFFERING.format(marks=",".join("?" * len(evaluations)))
        row = self._db.one(
            f"SELECT count(*) AS n FROM (SELECT p.key{inner})", (*evaluations, len(evaluations), len(evaluations) - 1)
        )
        assert row is not None
        return int(row["n"])

    def differing(self, evaluations: Sequence[int], count: int) -> list[DifferingQuestion]:
        """Up to `count` of these questions, in the order of their keys."""
        inner = _DIFFERING.format(marks=",".join("?" * len(evaluations)))
        rows = self._db.rows(
            "SELECT found.dataset, found.split, found.key, q.text FROM (SELECT e.dataset, e.split, p.key, p.question"
            f"{inner}) found JOIN questions q ON q.hash = found.question ORDER BY found.key LIMIT ?",
            (*evaluations, len(evaluations), len(evaluations) - 1, max(0, count)),
        )
        return [
            DifferingQuestion(**row, correct=tuple(right for _, right in self.answers_to(evaluations, row["key"])))
            for row in list(rows)
        ]
