"""Rename a data set or a teacher in every row that names it, in one transaction.

Commands in rows stay as they were typed, and the folders of runs keep their names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tinyllm_cli.errors import Busy
from tinyllm_cli.records.experiments import CellEvaluation, CellTraining, ExperimentCell
from tinyllm_cli.store.database import Database

Named = Literal["dataset", "teacher"]
Editions = Mapping[str, str]
"""The editions of data sets, which are part of the identity of a cell: before -> after the renaming."""

_COLUMNS: Mapping[Named, tuple[tuple[str, str], ...]] = {
    "dataset": (
        ("datasets", "name"), ("dataset_questions", "dataset"), ("elicitations", "dataset"), ("runs", "dataset"),
        ("evaluations", "dataset"),
    ),
    "teacher": (
        ("rationale_sets", "teacher"), ("rationales", "teacher"), ("failures", "teacher"), ("elicitations", "teacher"),
        ("batches", "teacher"), ("claims", "teacher"),
    ),
}  # fmt: skip
_IN_USE: Mapping[Named, tuple[tuple[str, str], ...]] = {
    "dataset": (
        ("SELECT id FROM runs WHERE state = 'running' AND dataset = ?", "A run on it is being trained"),
        ("SELECT id FROM elicitations WHERE state = 'running' AND dataset = ?", "It is being elicited"),
        ("SELECT experiment FROM cells WHERE state = 'running' AND json_extract(label, '$.dataset') = ?",
         "An experiment on it is running"),
    ),
    "teacher": (
        ("SELECT r.id FROM runs r, json_each(r.alpha) a WHERE r.state = 'running' AND a.key = ?",
         "A run that learns from it is being trained"),
        ("SELECT id FROM elicitations WHERE state = 'running' AND teacher = ?", "It is being elicited"),
        ("SELECT number FROM batches WHERE finished IS NULL AND teacher = ?", "It has a batch to collect"),
        ("SELECT experiment FROM cells WHERE state = 'running' AND ? <> ''", "An experiment is running"),
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Change:
    """One renaming, as a function of JSON values."""

    kind: Named
    old: str
    new: str

    def name(self, value: Any) -> Any:
        return self.new if value == self.old else value

    def keys(self, value: Any) -> Any:
        """An object with teachers as keys."""
        return {self.name(key): one for key, one in value.items()} if isinstance(value, dict) else value

    def label(self, label: Mapping[str, Any]) -> dict[str, Any]:
        """What distinguishes a cell; a search names the alphas of teachers."""
        changed = {key: self.name(value) if key == self.kind else value for key, value in label.items()}
        of_teacher = {f"alpha of {self.old}": f"alpha of {self.new}"} if self.kind == "teacher" else {}
        return {of_teacher.get(key, key): value for key, value in changed.items()}

    def plan(self, value: Any) -> Any:
        """A plan of any kind: names are at the keys dataset, teacher and alpha."""
        if isinstance(value, list):
            return [self.plan(one) for one in value]
        if not isinstance(value, dict):
            return value
        found = {key: self.name(one) if key == self.kind else self.plan(one) for key, one in value.items()}
        if self.kind == "teacher" and "alpha" in found:
            found["alpha"] = self.keys(found["alpha"])
        if isinstance(found.get("label"), dict):
            found["label"] = self.label(found["label"])
        return found


class RenamingQueries:
    """Queries of `store.renaming`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def rename(self, kind: Named, old: str, new: str, editions: Callable[[], Editions]) -> int:
        """Rename in all rows, and return how many changed. `editions` is called when the rows of questions and
        rationales are renamed, for the identities of cells.

        Raises Busy when a process uses the name: mark killed processes first."""
        change = _Change(kind=kind, old=old, new=new)
        with self._db.writing():
            self._db.execute("PRAGMA defer_foreign_keys = ON")
            for query, what in _IN_USE[kind]:
                if self._db.one(query, (old,)) is not None:
                    raise Busy(f"{what}, so '{old}' can't be renamed.", "Wait for it, or stop it.")
            changed = sum(
                self._db.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (new, old)).rowcount
                for table, column in _COLUMNS[kind]
            )
            if kind == "teacher":
                changed += self._db.execute(
                    "UPDATE evaluations SET subject = ? WHERE kind = 'teacher' AND subject = ?", (new, old)
                ).rowcount
                changed += self._in_runs(change)
            changed += self._in_plans(change, editions())
        return changed

    def _in_runs(self, change: _Change) -> int:
        """Teachers in the JSON of runs."""
        changed = 0
        for row in list(self._db.rows("SELECT id, alpha, sources, settings, metrics FROM runs")):
            id = row.pop("id")
            old = {name: self._db.decoded(text, dict, f"runs.{name}") for name, text in row.items()}
            settings, metrics = dict(old["settings"]), dict(old["metrics"])
            if "prefixes" in settings:
                settings["prefixes"] = change.keys(settings["prefixes"])
            if "tasks" in metrics:
                metrics["tasks"] = change.keys(metrics["tasks"])
            if "curve" in metrics:
                metrics["curve"] = [change.keys(point) for point in metrics["curve"]]
            new = {
                "alpha": change.keys(old["alpha"]), "sources": change.keys(old["sources"]), "settings": settings,
                "metrics": metrics,
            }  # fmt: skip
            if new != old:
                self._db.execute(
                    "UPDATE runs SET alpha = ?, sources = ?, settings = ?, metrics = ? WHERE id = ?",
                    (*(json.dumps(new[name], ensure_ascii=False) for name in new), id),
                )
                changed += 1
        return changed

    def _in_plans(self, change: _Change, editions: Editions) -> int:
        """Plans, and the labels and identities of their cells."""
        changed = 0
        for row in list(self._db.rows("SELECT id, plan FROM experiments ORDER BY id")):
            old = self._db.decoded(row["plan"], dict, "experiments.plan")
            plan = change.plan(old)
            cells = plan.get("cells", ())
            if isinstance(cells, list):
                plan["cells"] = [_identified(cell, editions) for cell in cells]
            if plan != old:
                text = self._unique(plan, row["id"])
                self._db.execute("UPDATE experiments SET plan = ? WHERE id = ?", (text, row["id"]))
                changed += 1
            for place, cell in enumerate(plan.get("cells", ())):
                self._db.execute(
                    "UPDATE cells SET identity = ? WHERE experiment = ? AND position = ? AND identity IS NOT NULL",
                    (cell.get("identity"), row["id"], place),
                )
        for row in list(self._db.rows("SELECT experiment, position, label FROM cells")):
            label = self._db.decoded(row["label"], dict, "cells.label")
            if (renamed := change.label(label)) != label:
                self._db.execute(
                    "UPDATE cells SET label = ? WHERE experiment = ? AND position = ?",
                    (json.dumps(renamed, ensure_ascii=False), row["experiment"], row["position"]),
                )
        return changed

    def _unique(self, plan: dict[str, Any], number: int) -> str:
        """The text of a plan; two experiments that become equal stay two."""
        text = json.dumps(plan, ensure_ascii=False, sort_keys=True)
        if self._db.one("SELECT 1 FROM experiments WHERE plan = ? AND id <> ?", (text, number)):
            return json.dumps({**plan, "same_as_another": number}, ensure_ascii=False, sort_keys=True)
        return text


def _identified(cell: Any, editions: Editions) -> Any:
    """A cell of a plan with the identity that follows from its content; one that is not typed stays as it is."""
    if not isinstance(cell, dict) or not {"label", "distill", "evaluate", "edition"} <= set(cell):
        return cell
    before, _, student = str(cell["edition"]).partition(" ")
    edition = f"{editions.get(before, before)} {student}".strip()
    try:
        return ExperimentCell(
            label=cell["label"],
            distill=None if cell["distill"] is None else CellTraining(**cell["distill"]),
            evaluate=None if cell["evaluate"] is None else CellEvaluation(**cell["evaluate"]),
            edition=edition,
        ).as_json()
    except TypeError:  # of another version: it is shown, and not found again
        return cell
