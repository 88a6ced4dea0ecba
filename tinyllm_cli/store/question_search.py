"""Search questions by their words and by what became of them, page by page, with the numbers of each choice.

The conditions on a rationale hold for one and the same rationale. Its verdict is that of a person, else of the gates
with one hash of settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tinyllm_cli.store.database import Database
from tinyllm_cli.store.question_lookup import Place

VERDICTS = ("kept", "repaired", "rejected", "not judged")
OUTCOMES = ("right", "wrong", "mixed", "not answered")
SearchVerdict = Literal["kept", "repaired", "rejected", "not judged"]
Outcome = Literal["right", "wrong", "mixed", "not answered"]
FacetName = Literal["dataset", "split", "teacher", "verdict", "gate", "outcome"]
FACETS: tuple[FacetName, ...] = ("dataset", "split", "teacher", "verdict", "gate", "outcome")

JUDGED = (
    " LEFT JOIN human_verdicts h ON h.id = (SELECT one.id FROM human_verdicts one WHERE one.rationale = r.id ORDER BY"
    " one.at DESC, one.id DESC LIMIT 1) LEFT JOIN verdicts v ON v.rationale = r.id AND v.gates = ?"
)
"""Joins the human verdict that counts and the verdict of the gates, whose hash is the parameter, to a rationale r."""

VERDICT = (
    "coalesce(CASE h.verdict WHEN 'reject' THEN 'rejected' WHEN 'edit' THEN 'repaired' WHEN 'accept' THEN 'kept' END,"
    " v.verdict, 'not judged')"
)
_OWN_FINDING = "CASE WHEN h.id IS NULL THEN json_extract(f.value, '$[0]') ELSE 'human' END"
_FINDINGS = ", json_each(coalesce(v.findings, '[]')) f"
_HAS_FINDING = (
    "CASE WHEN h.id IS NULL THEN EXISTS (SELECT 1 FROM json_each(v.findings) f WHERE json_extract(f.value, '$[0]') = ?)"
    " ELSE ? = 'human' END"
)
_OUTCOME = (
    "(SELECT CASE WHEN count(*) = 0 THEN 'not answered' WHEN sum(p.correct) = count(*) THEN 'right' WHEN"
    " sum(p.correct) = 0 THEN 'wrong' ELSE 'mixed' END FROM evaluations e CROSS JOIN predictions p ON p.evaluation ="
    " e.id AND p.key = dq.key AND p.question = dq.question WHERE e.dataset = dq.dataset AND e.split = dq.split"
    " AND e.correct IS NOT NULL AND (? IS NULL OR e.run = ?))"
)
_WORDS = "q.text || ' ' || (SELECT group_concat(value, ' ') FROM json_each(q.options))"
_FROM = " FROM dataset_questions dq JOIN questions q ON q.hash = dq.question"
_PLACE = "dq.dataset || '/' || dq.split || '/' || dq.position"
_FACET_SECONDS = 0.3

Position = tuple[str, str, int]
"""(data set, split, position): the order of a search."""


@dataclass(frozen=True, kw_only=True)
class QuestionFilter:
    """Which questions. `gates` is the hash of the settings whose verdicts count; `run` restricts the outcome to the
    answers of one run. `key` is an ID."""

    gates: str
    words: tuple[str, ...] = ()
    key: str | None = None
    dataset: str | None = None
    split: str | None = None
    teacher: str | None = None
    verdict: SearchVerdict | None = None
    gate: str | None = None
    outcome: Outcome | None = None
    run: int | None = None

    @property
    def on_rationales(self) -> bool:
        return bool(self.teacher or self.verdict or self.gate)


@dataclass(frozen=True, kw_only=True)
class FoundQuestion(Place):
    """A question that was found. `position` is its place in the split; `rationales` are (teacher, verdict, the person
    who decided or null); `right` of `answers` are correct."""

    position: int
    rationales: tuple[tuple[str, str, str | None], ...]
    right: int
    answers: int


@dataclass(frozen=True, kw_only=True)
class FacetValue:
    """A choice; `questions` is null where counting takes too long."""

    value: str
    questions: int | None


class _Query:
    """A condition with its parameters."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.values: list[str | int | None] = []

    def add(self, condition: str, *values: str | int | None) -> None:
        self.parts.append(condition)
        self.values += values

    @property
    def where(self) -> str:
        return f" WHERE {' AND '.join(self.parts)}" if self.parts else ""


class SearchQueries:
    """Queries of `store.search`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def page(
        self, wanted: QuestionFilter, count: int, *, after: Position | None = None, before: Position | None = None
    ) -> list[FoundQuestion]:
        """Up to `count` questions, in the order of data set, split and position: the first ones, those that follow
        `after`, or those that precede `before`."""
        query = _conditions(wanted)
        row_value = "(dq.dataset, dq.split, dq.position)"
        if after is not None:
            query.add(f"{row_value} > (?, ?, ?)", *after)
        if before is not None:
            query.add(f"{row_value} < (?, ?, ?)", *before)
        way = "DESC" if before is not None else "ASC"
        order = ", ".join(f"dq.{name} {way}" for name in ("dataset", "split", "position"))
        rows = list(
            self._db.rows(
                f"SELECT dq.dataset, dq.split, dq.position, dq.key, dq.question, q.text{_FROM}{query.where} ORDER BY"
                f" {order} LIMIT ?",
                (*query.values, count),
            )
        )
        if before is not None:
            rows.reverse()
        return [self._found(row, wanted) for row in rows]

    def position(self, place: Place) -> Position | None:
        """Where a question is in the order of a search; None when it is no longer there."""
        row = self._db.one(
            "SELECT position FROM dataset_questions WHERE dataset = ? AND split = ? AND key = ?",
            (place.dataset, place.split, place.key),
        )
        return None if row is None else (place.dataset, place.split, row["position"])

    def count(self, wanted: QuestionFilter) -> int | None:
        """The number of questions; None where counting takes too long."""
        query = _conditions(wanted)
        try:
            with self._db.at_most(_FACET_SECONDS):
                row = self._db.one(f"SELECT count(*) AS n{_FROM}{query.where}", query.values)
        except TimeoutError:
            return None
        return row["n"] if row else 0

    def facet(self, name: FacetName, wanted: QuestionFilter, known: Sequence[str]) -> tuple[FacetValue, ...]:
        """The choices of a facet with the number of questions that each leaves, given the other conditions. Where
        counting takes too long, the `known` choices without numbers."""
        others = replace(wanted, **{name: None})  # type: ignore[arg-type]
        try:
            with self._db.at_most(_FACET_SECONDS):
                counts = {row["value"]: row["n"] for row in self._db.rows(*_facet(name, others)) if row["value"]}
        except TimeoutError:
            return tuple(FacetValue(value=value, questions=None) for value in known)
        order = [*(value for value in known if value in counts), *sorted(set(counts) - set(known))]
        return tuple(FacetValue(value=value, questions=counts[value]) for value in order)

    def teachers(self) -> list[str]:
        """The names of the teachers; where the rationales are too many to read all of them, of those that were
        elicited."""
        try:
            with self._db.at_most(_FACET_SECONDS):
                rows = list(self._db.rows("SELECT DISTINCT teacher FROM rationales ORDER BY 1"))
        except TimeoutError:
            rows = list(self._db.rows("SELECT DISTINCT teacher FROM elicitations ORDER BY 1"))
        return [row["teacher"] for row in rows]

    def _found(self, row: dict[str, str], wanted: QuestionFilter) -> FoundQuestion:
        rationales = self._db.rows(
            f"SELECT r.teacher, {VERDICT} AS verdict, h.reviewer FROM rationales r{JUDGED} WHERE r.question = ?"
            " ORDER BY r.teacher, r.id",
            (wanted.gates, row["question"]),
        )
        answers = self._db.one(
            "SELECT coalesce(sum(p.correct), 0) AS good, count(*) AS n FROM evaluations e CROSS JOIN predictions p ON"
            " p.evaluation = e.id AND p.key = ? AND p.question = ? WHERE e.dataset = ? AND e.split = ?"
            " AND e.correct IS NOT NULL",
            (row["key"], row["question"], row["dataset"], row["split"]),
        )
        assert answers is not None
        return FoundQuestion(
            **row,  # type: ignore[arg-type]
            rationales=tuple((one["teacher"], one["verdict"], one["reviewer"]) for one in rationales),
            right=answers["good"], answers=answers["n"],
        )  # fmt: skip


def _conditions(wanted: QuestionFilter) -> _Query:
    query = _Query()
    for name, value in (("dataset", wanted.dataset), ("split", wanted.split), ("key", wanted.key)):
        if value is not None:
            query.add(f"dq.{name} = ?", value)
    for word in wanted.words:
        query.add(f"instr(casefold({_WORDS}), ?)", word.casefold())
    if wanted.on_rationales:
        inner = _on_rationale(wanted)
        query.add(
            f"EXISTS (SELECT 1 FROM rationales r{JUDGED} WHERE r.question = dq.question AND"
            f" {' AND '.join(inner.parts)})",
            wanted.gates, *inner.values,
        )  # fmt: skip
    if wanted.outcome is not None:
        query.add(f"{_OUTCOME} = ?", wanted.run, wanted.run, wanted.outcome)
    return query


def _on_rationale(wanted: QuestionFilter) -> _Query:
    query = _Query()
    if wanted.teacher is not None:
        query.add("r.teacher = ?", wanted.teacher)
    if wanted.verdict is not None:
        query.add(f"{VERDICT} = ?", wanted.verdict)
    if wanted.gate is not None:
        query.add(_HAS_FINDING, wanted.gate, wanted.gate)
    return query


def _facet(name: FacetName, others: QuestionFilter) -> tuple[str, list[str | int | None]]:
    """The query of (value, n) and its parameters. A facet of rationales counts questions with such a rationale, for
    which the other conditions hold as well."""
    if name in ("dataset", "split", "outcome"):
        query = _conditions(others)
        column, values = (_OUTCOME, [others.run, others.run]) if name == "outcome" else (f"dq.{name}", [])
        return f"SELECT {column} AS value, count(*) AS n{_FROM}{query.where} GROUP BY 1", [*values, *query.values]
    query = _conditions(replace(others, teacher=None, verdict=None, gate=None))
    inner = _on_rationale(others)
    column = {"teacher": "r.teacher", "verdict": VERDICT, "gate": _OWN_FINDING}[name]
    findings = _FINDINGS if name == "gate" else ""
    where = " AND ".join([*query.parts, *inner.parts])
    return (
        f"SELECT {column} AS value, count(DISTINCT {_PLACE}) AS n{_FROM} JOIN rationales r ON r.question = dq.question"
        f"{JUDGED}{findings}{' WHERE ' + where if where else ''} GROUP BY 1",
        [others.gates, *query.values, *inner.values],
    )
