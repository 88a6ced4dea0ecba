"""Predictions for single questions, and the questions that distinguish evaluations."""

from __future__ import annotations

from collections.abc import Sequence

from tinyllm_cli.store.database import Database


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
