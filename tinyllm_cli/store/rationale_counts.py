"""The counts of each rationale set in each split, which triggers keep up to date.

What triggers can't subtract, such as deleted rationales, makes a split uncounted. It is counted at the next request,
and its counts are kept unless another process is writing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tinyllm_cli.records.elicitation import RationaleSet
from tinyllm_cli.store.database import Database
from tinyllm_cli.store.rationale_rows import rationale_set_of
from tinyllm_cli.store.rationale_stats import ONLY_RECIPE, RECIPE

_SET = ("teacher", "sampling", "recipe")
_COLUMNS = f"dataset, split, {', '.join(_SET)}, rationales, questions, samples, latest"
_COUNT = (
    f"SELECT dq.dataset, dq.split, r.teacher, r.sampling, {RECIPE} AS recipe, count(*) AS rationales,"
    " count(DISTINCT dq.position) AS questions, max(r.sample) + 1 AS samples, max(r.id) AS latest"
    f" FROM dataset_questions dq CROSS JOIN rationales r ON r.question = dq.question {ONLY_RECIPE}"
    " WHERE dq.dataset = ? AND dq.split = ? GROUP BY 3, 4, 5"
)
_UNCOUNTED = "EXISTS (SELECT 1 FROM uncounted_splits u WHERE u.dataset = c.dataset AND u.split = c.split)"

_Row = dict[str, Any]


def rationale_sets(db: Database, dataset: str, split: str | None) -> list[RationaleSet]:
    """Every set of rationales for a split, or for all splits of a data set, the newest first."""
    within = "c.dataset = ?" if split is None else "c.dataset = ? AND c.split = ?"
    place = (dataset,) if split is None else (dataset, split)
    with db.snapshot():
        rows = list(db.rows(f"SELECT {_COLUMNS} FROM rationale_counts c WHERE {within} AND NOT {_UNCOUNTED}", place))
        uncounted = [row["split"] for row in db.rows(f"SELECT c.split FROM uncounted_splits c WHERE {within}", place)]
        if uncounted:
            counted = [row for one in uncounted for row in db.rows(_COUNT, (dataset, one))]
            rows += counted
            if not db.read_only:
                _keep(db, dataset, uncounted, counted)
        found = [_described(db, row) for row in _summed(rows)]
    return sorted(found, key=lambda one: -one.latest)


def _keep(db: Database, dataset: str, splits: list[str], counted: list[_Row]) -> None:
    """Replace what is kept of these splits. Nothing happens while another process is writing, or when one has written
    since they were counted."""
    these = "WHERE dataset = ? AND split IN (SELECT value FROM json_each(?))"
    place = (dataset, json.dumps(splits))
    if not db.execute_if_free(f"DELETE FROM uncounted_splits {these}", place):
        return
    db.execute(f"DELETE FROM rationale_counts {these}", place)
    db.executemany(
        f"INSERT INTO rationale_counts ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [tuple(row.values()) for row in counted],
    )


def _summed(rows: Iterable[_Row]) -> Iterable[_Row]:
    """One row for each set, from those of its splits."""
    found: dict[tuple[str, ...], _Row] = {}
    for row in rows:
        names = {name: row[name] for name in _SET}
        empty = {**names, "rationales": 0, "questions": 0, "samples": 0, "latest": 0}
        one = found.setdefault(tuple(names.values()), empty)
        for name in ("rationales", "questions"):
            one[name] += row[name]
        for name in ("samples", "latest"):
            one[name] = max(one[name], row[name])
    return found.values()


def _described(db: Database, row: _Row) -> RationaleSet:
    """A row with its model and the columns of its recipe."""
    described = db.one(
        "SELECT s.model, s.revision, c.template, c.icl, c.seed, c.teacher_forcing FROM samplings s, recipes c"
        " WHERE s.hash = ? AND c.name = ?",
        (row["sampling"], row["recipe"]),
    )
    assert described is not None
    return rationale_set_of({**row, **described})
