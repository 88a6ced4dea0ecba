"""Human verdicts: what people decided about rationales. All are kept; of one rationale the latest counts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from tinyllm_cli.datasets.question import Question
from tinyllm_cli.records.human_verdicts import HumanVerdict, ReviewableRationale
from tinyllm_cli.store.database import Database, now

_COLUMNS = "rationale, reviewer, at, verdict, text, reason, sheet"
_SAME = "rationale = ? AND reviewer = ? AND sheet IS ?"
_LATEST = (
    "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY rationale ORDER BY at DESC, id DESC) AS place FROM"
    " human_verdicts {condition}) WHERE place = 1"
)
_PAGE = 500


class HumanVerdictQueries:
    """Queries of `store.human_verdicts`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, verdicts: Sequence[HumanVerdict]) -> int:
        """Keep verdicts beside the earlier ones; committed when this returns. Returns how many are new.

        A verdict that repeats the one that counts, by the same person, is not new. Nor is one of a sheet whose reader
        said the same in it before: a sheet may be imported again, also an older state of it."""
        with self._db.writing():
            return sum(self._add(one) for one in verdicts)

    def _add(self, one: HumanVerdict) -> bool:
        said = (one.verdict, one.text, one.reason)
        counting = self._db.one(
            "SELECT reviewer, verdict, text, reason FROM human_verdicts WHERE rationale = ? ORDER BY at DESC, id DESC"
            " LIMIT 1",
            (one.rationale,),
        )
        if counting and tuple(counting.values()) == (one.reviewer, *said):
            return False
        own = list(
            self._db.rows(
                f"SELECT at, verdict, text, reason FROM human_verdicts WHERE {_SAME} ORDER BY at DESC, id DESC",
                (one.rationale, one.reviewer, one.sheet),
            )
        )
        if one.sheet is not None and any(
            (row["verdict"], row["text"], row["reason"]) == said and (place == 0 or row["at"] >= one.at)
            for place, row in enumerate(own)
        ):
            return False
        self._db.execute(
            f"INSERT INTO human_verdicts ({_COLUMNS}, stored) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (one.rationale, one.reviewer, one.at, one.verdict, one.text, one.reason, one.sheet, now()),
        )
        return True

    def latest(self, rationales: Sequence[int]) -> dict[int, HumanVerdict]:
        """The verdicts that count on these rationales, by ID; those without one are missing."""
        marks = ",".join("?" * len(rationales))
        rows = self._db.rows(_LATEST.format(condition=f"WHERE rationale IN ({marks})"), rationales)
        return {row["rationale"]: _verdict(row) for row in rows}

    def history(self, rationale: int) -> list[HumanVerdict]:
        """All verdicts on a rationale, the one that counts last."""
        rows = self._db.rows("SELECT * FROM human_verdicts WHERE rationale = ? ORDER BY at, id", (rationale,))
        return [_verdict(row) for row in rows]

    def everything(self, dataset: str | None = None) -> Iterator[list[HumanVerdict]]:
        """The history of each reviewed rationale, of one data set or of all, the verdict that counts last."""
        history: list[HumanVerdict] = []
        for row in self._db.rows(
            "SELECT * FROM human_verdicts h WHERE ? IS NULL OR EXISTS (SELECT 1 FROM rationales r JOIN"
            " dataset_questions dq ON dq.question = r.question WHERE r.id = h.rationale AND dq.dataset = ?)"
            " ORDER BY rationale, at, id",
            (dataset, dataset),
        ):
            if history and history[0].rationale != row["rationale"]:
                yield history
                history = []
            history.append(_verdict(row))
        if history:
            yield history

    def digest(self, dataset: str) -> str | None:
        """Changes with the verdicts that count on rationales for a data set; None without any."""
        counting = [history[-1] for history in self.everything(dataset)]
        if not counting:
            return None
        content = [(one.rationale, one.verdict, one.text) for one in counting]
        return hashlib.sha256(repr(content).encode()).hexdigest()[:16]

    def reviewable(self, rationales: Sequence[int]) -> dict[int, ReviewableRationale]:
        """These rationales with their questions, by ID; those that do not exist are missing. A question at several
        places comes with the first one, one at no place (its data set was imported anew) without any."""
        found: dict[int, ReviewableRationale] = {}
        for first in range(0, len(rationales), _PAGE):
            page = rationales[first : first + _PAGE]
            marks = ",".join("?" * len(page))
            rows = self._db.rows(
                "SELECT r.id, r.teacher, r.text AS reply, q.*, dq.dataset, dq.split, dq.key FROM rationales r"
                " JOIN questions q ON q.hash = r.question LEFT JOIN dataset_questions dq ON (dq.dataset, dq.split,"
                " dq.position) = (SELECT dataset, split, position FROM dataset_questions WHERE question = q.hash"
                f" ORDER BY 1, 2, 3 LIMIT 1) WHERE r.id IN ({marks})",
                page,
            )
            found |= {row["id"]: self._reviewable(row) for row in rows}
        return found

    def replaced_by(self, rationale: int) -> int | None:
        """The newer rationale that commands read instead of this one, such as an imported correction; None without."""
        row = self._db.one(
            "SELECT newer.id FROM rationales r JOIN prompts p ON p.hash = r.prompt JOIN rationales newer ON"
            " newer.question = r.question AND newer.teacher = r.teacher AND newer.sampling = r.sampling"
            " AND newer.sample = r.sample AND (newer.created, newer.id) > (r.created, r.id)"
            " JOIN prompts q ON q.hash = newer.prompt AND q.recipe = p.recipe WHERE r.id = ?"
            " ORDER BY newer.created DESC, newer.id DESC LIMIT 1",
            (rationale,),
        )
        return row["id"] if row else None

    def _reviewable(self, row: dict[str, Any]) -> ReviewableRationale:
        question = Question(
            dataset=row["dataset"] or "", split=row["split"] or "", key=row["key"] or "", text=row["text"],
            options=tuple(self._db.decoded(row["options"], list, "questions.options")), answer=row["answer"],
            context=row["context"],
        )  # fmt: skip
        return ReviewableRationale(id=row["id"], question=question, teacher=row["teacher"], text=row["reply"])


def _verdict(row: dict[str, Any]) -> HumanVerdict:
    return HumanVerdict(**{name: row[name] for name in _COLUMNS.split(", ")})
