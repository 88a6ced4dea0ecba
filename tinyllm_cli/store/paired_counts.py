"""Paired outcomes of evaluations on the same questions, counted by SQLite."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from tinyllm_cli.store.database import Database


class PairedQueries:
    """Queries of `store.paired`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def outcomes(self, pairs: Sequence[tuple[int, int]]) -> Counter[tuple[Fraction, Fraction]]:
        """The number of questions by (mean difference of correctness, first minus second; share of the pairs with
        exactly one correct answer), over pairs of evaluations, one for each seed. Only questions that all of them
        answered count, each once."""
        rows = self._db.rows(
            "SELECT difference, discordant, count(*) AS questions FROM ("
            " SELECT sum(a.correct - b.correct) AS difference, sum(a.correct <> b.correct) AS discordant"
            f" FROM (VALUES {', '.join(['(?, ?)'] * len(pairs))}) AS pair"
            " CROSS JOIN predictions a ON a.evaluation = pair.column1"
            " CROSS JOIN predictions b ON b.evaluation = pair.column2 AND b.key = a.key AND b.question = a.question"
            " GROUP BY a.key HAVING count(*) = ?) GROUP BY 1, 2",
            [*(evaluation for pair in pairs for evaluation in pair), len(pairs)],
        )
        seeds = len(pairs)
        return Counter(
            {(Fraction(row["difference"], seeds), Fraction(row["discordant"], seeds)): row["questions"] for row in rows}
        )
