"""What a database holds, counted: data sets, teachers and plans. Runs are listed by `store.runs`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tinyllm_cli.store.database import Database

_BYTES = "sum(length(CAST({} AS BLOB)))"


@dataclass(frozen=True, kw_only=True)
class DatasetItem:
    """A data set. `rationales` are those for its questions, also where another data set has the same question. `bytes`
    is the size of its questions and rationales as text."""

    name: str
    source: str
    imported: str
    splits: dict[str, int]
    rationales: int
    teachers: int
    runs: int
    evaluations: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class TeacherItem:
    """A teacher. `cost` is null when unknown; `reviewed` rationales have a human verdict; `bytes` is the size of its
    replies as text."""

    name: str
    models: tuple[str, ...]
    datasets: tuple[str, ...]
    rationales: int
    failures: int
    reviewed: int
    cost: float | None
    bytes: int


@dataclass(frozen=True, kw_only=True)
class PlanItem:
    """An experiment. `cells` counts its cells by state."""

    id: int
    name: str
    datasets: tuple[str, ...]
    cells: dict[str, int]
    created: str
    command: str


class InventoryQueries:
    """Queries of `store.inventory`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def datasets(self) -> list[DatasetItem]:
        """The data sets, by name."""
        splits: dict[str, dict[str, int]] = {}
        for row in self._db.rows(
            "SELECT dataset, split, count(*) AS n FROM dataset_questions GROUP BY 1, 2 ORDER BY 1,"
            " CASE split WHEN 'train' THEN 0 WHEN 'valid' THEN 1 ELSE 2 END"
        ):
            splits.setdefault(row["dataset"], {})[row["split"]] = row["n"]
        questions = "coalesce(text, '') || coalesce(options, '') || coalesce(context, '')"
        rows = self._db.rows(
            "WITH asked AS (SELECT DISTINCT dataset, question FROM dataset_questions),"
            " own AS (SELECT dataset, count(r.id) AS rationales, count(DISTINCT r.teacher) AS teachers,"
            f" {_BYTES.format('r.text')} AS written FROM asked LEFT JOIN rationales r USING (question)"
            " GROUP BY dataset),"
            f" sizes AS (SELECT dataset, {_BYTES.format(questions)} AS size FROM asked JOIN questions q ON q.hash ="
            " question GROUP BY dataset)"
            " SELECT d.name, d.source, d.imported, coalesce(rationales, 0) AS rationales,"
            " coalesce(teachers, 0) AS teachers,"
            " (SELECT count(*) FROM runs WHERE runs.dataset = d.name) AS runs,"
            " (SELECT count(*) FROM evaluations e WHERE e.dataset = d.name) AS evaluations,"
            " coalesce(written, 0) + coalesce(size, 0) AS bytes FROM datasets d LEFT JOIN own ON own.dataset = d.name"
            " LEFT JOIN sizes ON sizes.dataset = d.name ORDER BY d.name"
        )
        return [DatasetItem(**row, splits=splits.get(row["name"], {})) for row in rows]

    def teachers(self) -> list[TeacherItem]:
        """The teachers with replies, failures or elicitations, by name."""
        rows = self._db.rows(
            "WITH names AS (SELECT teacher FROM rationales UNION SELECT teacher FROM failures UNION SELECT teacher"
            " FROM elicitations),"
            f" written AS (SELECT teacher, count(*) AS rationales, {_BYTES.format('text')} AS bytes, sum(cost) AS cost"
            " FROM rationales GROUP BY 1),"
            " paid AS (SELECT teacher, sum(cost) AS cost FROM elicitations GROUP BY 1),"
            " failed AS (SELECT teacher, count(*) AS failures FROM failures GROUP BY 1),"
            " judged AS (SELECT teacher, count(DISTINCT h.rationale) AS reviewed FROM human_verdicts h JOIN"
            " rationales r ON r.id = h.rationale GROUP BY 1)"
            " SELECT teacher AS name, coalesce(rationales, 0) AS rationales, coalesce(failures, 0) AS failures,"
            " coalesce(reviewed, 0) AS reviewed, coalesce(paid.cost, written.cost) AS cost,"
            " coalesce(bytes, 0) AS bytes FROM names LEFT JOIN written USING (teacher) LEFT JOIN paid USING (teacher)"
            " LEFT JOIN failed USING (teacher) LEFT JOIN judged USING (teacher) ORDER BY teacher"
        )
        models = self._names(
            "SELECT DISTINCT teacher, model AS name FROM rationales r JOIN samplings s ON s.hash = r.sampling UNION"
            " SELECT teacher, model FROM elicitations e JOIN samplings s ON s.hash = e.sampling ORDER BY 1, 2"
        )
        datasets = self._names(
            "SELECT DISTINCT teacher, dataset AS name FROM dataset_questions JOIN rationales USING (question)"
            " ORDER BY 1, 2"
        )
        return [
            TeacherItem(**row, models=models.get(row["name"], ()), datasets=datasets.get(row["name"], ()))
            for row in rows
        ]

    def _names(self, query: str) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for row in self._db.rows(query):
            found[row["teacher"]] = (*found.get(row["teacher"], ()), row["name"])
        return found

    def plans(self) -> list[PlanItem]:
        """The experiments, the oldest first."""
        rows = self._db.rows(
            "SELECT e.id, e.name, e.created, e.command, (SELECT json_group_object(state, n) FROM (SELECT state,"
            " count(*) AS n FROM cells c WHERE c.experiment = e.id GROUP BY state)) AS cells,"
            " (SELECT json_group_array(DISTINCT json_extract(label, '$.dataset')) FROM cells c WHERE c.experiment ="
            " e.id) AS datasets FROM experiments e ORDER BY e.id"
        )
        return [PlanItem(**{**row, **self._decoded(row)}) for row in rows]

    def _decoded(self, row: dict[str, Any]) -> dict[str, Any]:
        datasets = (name for name in json.loads(row["datasets"]) if name is not None)
        return {"cells": json.loads(row["cells"]), "datasets": tuple(sorted(datasets))}
