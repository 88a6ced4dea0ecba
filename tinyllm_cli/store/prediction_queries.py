"""Single answers of evaluations: what was answered to a question, and the questions that tell answerers apart."""

from __future__ import annotations

from collections.abc import Sequence

from tinyllm_cli.store.database import Database


class PredictionQueries:
    """Queries of `store.predictions`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def told_apart(self, better: Sequence[int], worse: Sequence[int], count: int) -> list[str]:
        """The keys of up to `count` questions that all the evaluations `better` got right and all of `worse` got wrong;
        those that teachers wrote about first, else spread by their hash. What has left the data set since is left
        out."""
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

    def answers_to(self, evaluations: Sequence[int], key: str) -> list[tuple[int | None, bool]]:
        """(option, whether it is right) in the order of the evaluations; None: the text names no option."""
        found = {
            row["evaluation"]: (row["option"], bool(row["correct"]))
            for row in self._db.rows(
                f"SELECT evaluation, option, correct FROM predictions WHERE key = ?"
                f" AND evaluation IN ({','.join('?' * len(evaluations))})",
                (key, *evaluations),
            )
        }
        return [found[number] for number in evaluations if number in found]
