"""Random samples of a split's questions, drawn by an index: the questions with the smallest content hashes.

Hashes are as good as random, so such a sample represents the split. It is the same at each run, in every database that
holds these questions and in any order, and a smaller sample is part of a larger one.
"""

from __future__ import annotations

from collections.abc import Iterator

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.iteration import batched
from tinyllm_cli.store.database import Database
from tinyllm_cli.store.questions import QUESTION_COLUMNS, QUESTIONS, question_of, sample_bound

_PAGE = 500


class SampleQueries:
    """Queries of `store.samples`. `count` is the size of a sample; None, or one that is not smaller than the split,
    means all of its questions. Questions with the same content are in a sample together, which may exceed its size."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def bound(self, dataset: str, split: str, count: int | None) -> str | None:
        """The greatest hash in a sample; None when it is the whole split."""
        return sample_bound(self._db, dataset, split, count)

    def positions(self, dataset: str, split: str, count: int) -> list[int]:
        """The positions of a sample's questions."""
        bound = self.bound(dataset, split, count)
        rows = self._db.kept(
            "SELECT position FROM dataset_questions WHERE dataset = ? AND split = ?"
            f"{'' if bound is None else ' AND question <= ?'} ORDER BY position",
            (dataset, split) if bound is None else (dataset, split, bound),
        )
        return [row["position"] for row in rows]

    def iterate(self, dataset: str, split: str, count: int) -> Iterator[Question]:
        """A sample's questions in the order of the split. The caller may write to the store in between."""
        for page in batched(self.positions(dataset, split, count), _PAGE):
            rows = list(
                self._db.rows(
                    f"SELECT {QUESTION_COLUMNS} {QUESTIONS} WHERE dq.dataset = ? AND dq.split = ?"
                    f" AND dq.position IN ({', '.join('?' * len(page))}) ORDER BY dq.position",
                    (dataset, split, *page),
                )
            )
            yield from (question_of(self._db, row) for row in rows)
