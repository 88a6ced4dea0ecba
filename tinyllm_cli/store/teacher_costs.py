"""What the rationales of each teacher cost, and how long they are: one row for each set of a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from tinyllm_cli.records.elicitation import RationaleSet, TeacherCosts
from tinyllm_cli.store.database import Database
from tinyllm_cli.store.question_samples import SampleQueries
from tinyllm_cli.store.rationale_stats import IN_SET, OUTSTANDING, StatsQueries, contents


class CostQueries:
    """Queries of `store.costs`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._stats = StatsQueries(db)
        self._samples = SampleQueries(db)

    def of(
        self, dataset: str, split: str, sets: Sequence[RationaleSet], sample: int | None = None
    ) -> list[TeacherCosts]:
        """For each of the `sets` of a split. Texts and times are those of a sample of so many questions; counts, tokens
        and costs of all."""
        bound = self._samples.bound(dataset, split, sample)
        return [self._of(dataset, split, one, bound) for one in sorted(sets, key=lambda one: (one.teacher, one.latest))]

    def _of(self, dataset: str, split: str, own: RationaleSet, bound: str | None) -> TeacherCosts:
        measured = self._db.one(
            "SELECT count(DISTINCT r.question || ' ' || r.sample) AS read, avg(length(r.text)) AS mean_characters,"
            " sum(CASE r.finish_reason WHEN 'recorded' THEN NULL ELSE r.finish_reason = 'length' END) AS cut_off,"
            f" sum(r.seconds) AS seconds FROM {contents(bound)} {IN_SET}",
            (dataset, split, *(() if bound is None else (bound,)), *own.address),
        )
        assert measured is not None
        replies = measured["read"]
        if bound is not None:
            replies = self._stats.replies(dataset, split, own)
        failures = self._db.one(
            "SELECT count(*) AS n FROM failures f JOIN prompts p ON p.hash = f.prompt WHERE f.teacher = ?"
            " AND f.sampling = ? AND p.recipe = ? AND EXISTS (SELECT 1 FROM dataset_questions dq WHERE dq.dataset = ?"
            f" AND dq.split = ? AND dq.question = f.question) AND {OUTSTANDING}",
            (*own.address, dataset, split),
        )
        assert failures is not None
        usage = self._stats.spent(dataset, split, own.address, bound)
        return TeacherCosts(
            teacher=own.teacher, model=own.model, dataset=dataset, split=split, recipe=own.recipe.name,
            rationales=replies, failures=failures["n"], **measured, **asdict(usage),
        )  # fmt: skip
