"""The rationales of a split in the order in which people review them."""

from __future__ import annotations

from dataclasses import dataclass

from tinyllm_cli.store.database import Database
from tinyllm_cli.store.question_search import SearchVerdict

_COUNT_SECONDS = 0.3
_FROM = (
    " FROM dataset_questions dq JOIN rationales r ON r.question = dq.question"
    " LEFT JOIN verdicts v ON v.rationale = r.id AND v.gates = ?"
)
_FIRST_PLACE = (
    "NOT EXISTS (SELECT 1 FROM dataset_questions same WHERE same.dataset = dq.dataset AND same.split = dq.split AND"
    " same.question = dq.question AND same.position < dq.position)"
)
_NEWEST = (
    "NOT EXISTS (SELECT 1 FROM rationales newer JOIN prompts np ON np.hash = newer.prompt JOIN prompts op ON op.hash ="
    " r.prompt WHERE newer.question = r.question AND newer.teacher = r.teacher AND newer.sampling = r.sampling AND"
    " newer.sample = r.sample AND newer.id > r.id AND np.recipe = op.recipe)"
)


@dataclass(frozen=True, kw_only=True)
class QueueFilter:
    """Which rationales. The verdict is that of the gates with the hash `gates`: what people decided has no influence,
    so that every reviewer gets the same. Without `again`, those that `reviewer` decided about are left out."""

    gates: str
    dataset: str
    split: str
    teacher: str | None = None
    verdict: SearchVerdict | None = None
    gate: str | None = None
    reviewer: str | None = None
    again: bool = False
    rationale: int | None = None


@dataclass(frozen=True, kw_only=True)
class QueueCounts:
    """How many rationales there are to review, and how many of them the reviewer has decided about; None where
    counting takes too long."""

    rationales: int | None
    reviewed: int | None


class ReviewQueries:
    """Queries of `store.reviews`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def datasets(self, split: str) -> list[str]:
        """The data sets with a rationale for the split."""
        rows = self._db.rows(
            "SELECT name FROM datasets WHERE EXISTS (SELECT 1 FROM dataset_questions dq JOIN rationales r ON r.question"
            " = dq.question WHERE dq.dataset = name AND dq.split = ?) ORDER BY name",
            (split,),
        )
        return [row["name"] for row in rows]

    def page(self, wanted: QueueFilter, count: int, after: int | None) -> list[tuple[int, str]]:
        """(rationale, hash of its question) of up to `count` rationales, in the order of the hashes, which is a random
        one; those that follow the rationale `after`."""
        if wanted.rationale is not None:
            row = self._db.one("SELECT id, question FROM rationales WHERE id = ?", (wanted.rationale,))
            return [] if row is None or after is not None else [(row["id"], row["question"])]
        condition, values = _conditions(wanted)
        if not wanted.again and wanted.reviewer:
            condition += " AND NOT EXISTS (SELECT 1 FROM human_verdicts h WHERE h.rationale = r.id AND h.reviewer = ?)"
            values.append(wanted.reviewer)
        if after is not None:
            condition += " AND (dq.question, r.id) > (SELECT question, id FROM rationales WHERE id = ?)"
            values.append(after)
        rows = self._db.rows(
            f"SELECT r.id, dq.question{_FROM} WHERE {condition} ORDER BY dq.question, r.id LIMIT ?",
            (*values, count),
        )
        return [(row["id"], row["question"]) for row in rows]

    def counts(self, wanted: QueueFilter) -> QueueCounts:
        """How many rationales these conditions leave, and how many of them `reviewer` has decided about."""
        condition, values = _conditions(wanted)
        try:
            with self._db.at_most(_COUNT_SECONDS):
                row = self._db.one(
                    "SELECT count(*) AS n, coalesce(sum(EXISTS (SELECT 1 FROM human_verdicts h WHERE h.rationale = r.id"
                    f" AND h.reviewer = ?)), 0) AS reviewed{_FROM} WHERE {condition}",
                    (wanted.reviewer or "", *values),
                )
        except TimeoutError:
            return QueueCounts(rationales=None, reviewed=None)
        assert row is not None
        return QueueCounts(rationales=row["n"], reviewed=row["reviewed"])


def _conditions(wanted: QueueFilter) -> tuple[str, list[str | int]]:
    """The condition with its parameters, from that of the joined verdict on."""
    parts = ["dq.dataset = ?", "dq.split = ?", _FIRST_PLACE, _NEWEST]
    values: list[str | int] = [wanted.gates, wanted.dataset, wanted.split]
    if wanted.teacher is not None:
        parts.append("r.teacher = ?")
        values.append(wanted.teacher)
    if wanted.verdict is not None:
        parts.append("coalesce(v.verdict, 'not judged') = ?")
        values.append(wanted.verdict)
    if wanted.gate is not None:
        parts.append("EXISTS (SELECT 1 FROM json_each(v.findings) f WHERE json_extract(f.value, '$[0]') = ?)")
        values.append(wanted.gate)
    return " AND ".join(parts), values
