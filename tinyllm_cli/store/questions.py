"""Data sets in the store: their questions, splits and fingerprints."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from tinyllm_cli.datasets.question import SPLITS, Question
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.iteration import batched
from tinyllm_cli.records.elicitation import Repeated
from tinyllm_cli.store.database import Database, now

_PAGE = 500
QUESTION_COLUMNS = "dq.dataset, dq.split, dq.key, dq.question, q.text, q.options, q.answer, q.context"
QUESTIONS = "FROM dataset_questions dq JOIN questions q ON q.hash = dq.question"


@dataclass(frozen=True, kw_only=True)
class StoredDataset:
    name: str
    source: str
    fingerprint: str
    imported: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a question is in a split, from 0, and the hash of its content."""

    position: int
    hash: str


@dataclass(frozen=True, kw_only=True)
class SplitProfile:
    """Sizes of a split's `questions`, of which `read` were read: all, or a random sample. Words are separated by spaces
    and line ends, and include context and options; `words` is the mean, `longest` the maximum; `gold` counts the right
    answers by position."""

    split: str
    questions: int
    read: int
    words: float
    longest: int
    fewest_options: int
    most_options: int
    gold: tuple[int, ...]


def _profile(split: str, size: int, rows: list[dict[str, Any]]) -> SplitProfile:
    """From one row of sums for each position of the right answer."""
    read, most = sum(row["read"] for row in rows), max(row["most"] for row in rows)
    by_position = {row["answer"]: row["read"] for row in rows}
    return SplitProfile(
        split=split,
        questions=size,
        read=read,
        words=sum(row["words"] for row in rows) / read,
        longest=max(row["longest"] for row in rows),
        fewest_options=min(row["fewest"] for row in rows),
        most_options=most,
        gold=tuple(by_position.get(position, 0) for position in range(most)),
    )


def question_of(db: Database, row: dict[str, Any]) -> Question:
    """The question of a row with QUESTION_COLUMNS."""
    question = Question(
        dataset=row["dataset"],
        split=row["split"],
        key=row["key"],
        text=row["text"],
        options=tuple(db.decoded(row["options"], list, "questions.options")),
        answer=row["answer"],
        context=row["context"],
    )
    vars(question)["hash"] = row["question"]  # the cached property
    return question


def sample_bound(db: Database, dataset: str, split: str, count: int | None) -> str | None:
    """The greatest hash in a random sample of `count` questions of a split; None when it is the whole split."""
    if count is None:
        return None
    within = "FROM dataset_questions WHERE dataset = ? AND split = ?"
    last = db.one(f"SELECT question {within} ORDER BY question LIMIT 1 OFFSET ?", (dataset, split, count - 1))
    if last is None:
        return None
    more = db.one(f"SELECT 1 AS found {within} AND question > ? LIMIT 1", (dataset, split, last["question"]))
    return str(last["question"]) if more else None


class QuestionQueries:
    """Queries of `store.questions`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def find(self, name: str) -> StoredDataset | None:
        """The data set of this name; None without one."""
        row = self._db.one("SELECT * FROM datasets WHERE name = ?", (name,))
        return StoredDataset(**row) if row else None

    def names(self) -> list[str]:
        """The names of the data sets, sorted."""
        return [row["name"] for row in self._db.rows("SELECT name FROM datasets ORDER BY name")]

    def replace(self, name: str, source: str, fingerprint: str, questions: Iterable[Question]) -> Counter[str]:
        """Replace the content of data set `name` in one transaction, and return the counts by split. Rationales stay:
        they belong to a question's content, not to its position.

        Raises UsageProblem when an ID repeats within a split."""
        counts: Counter[str] = Counter()
        pages = batched(questions, _PAGE)
        first = next(pages, [])  # before the write lock: the first rows may need a download
        with self._db.atomic():
            self._db.execute(
                "INSERT INTO datasets (name, source, fingerprint, imported) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET source = excluded.source,"
                " fingerprint = excluded.fingerprint, imported = excluded.imported",
                (name, source, fingerprint, now()),
            )
            self._db.execute("DELETE FROM dataset_questions WHERE dataset = ?", (name,))
            for page in chain([first], pages):
                self._db.executemany(
                    "INSERT INTO questions (hash, text, options, answer, context) VALUES (?, ?, ?, ?, ?)"
                    " ON CONFLICT DO NOTHING",
                    [(q.hash, q.text, json.dumps(q.options, ensure_ascii=False), q.answer, q.context) for q in page],
                )
                self._place(name, page, counts)
        return counts

    def _place(self, name: str, page: Sequence[Question], counts: Counter[str]) -> None:
        """Add a page to the data set, behind the `counts` questions that each split has."""
        before, rows = counts.total(), []
        for question in page:
            rows.append((name, question.split, counts[question.split], question.key, question.hash))
            counts[question.split] += 1
        try:
            self._db.executemany(
                "INSERT INTO dataset_questions (dataset, split, position, key, question) VALUES (?, ?, ?, ?, ?)", rows
            )
        except sqlite3.IntegrityError as error:  # the rows before the wrong one were added
            placed = self._db.one("SELECT count(*) AS n FROM dataset_questions WHERE dataset = ?", (name,))
            assert placed is not None
            _, split, position, key, _ = rows[placed["n"] - before]
            raise UsageProblem(
                f"{name}, split {split}, row {position + 1}: the id '{key}' is there already.",
                "Ids must be unique within a split; choose another column with the mapping for 'id'.",
            ) from error

    def splits(self, dataset: str) -> dict[str, int]:
        """The number of questions by split, in the order train, valid, test."""
        rows = self._db.kept(
            "SELECT split, count(*) AS n FROM dataset_questions WHERE dataset = ? GROUP BY split", (dataset,)
        )
        found = {row["split"]: row["n"] for row in rows}
        return {split: found[split] for split in SPLITS if split in found}

    def ambiguous_ids(self, dataset: str) -> Iterator[str]:
        """IDs that belong to different questions in different splits."""
        query = "SELECT key FROM dataset_questions WHERE dataset = ? GROUP BY key HAVING count(DISTINCT question) > 1"
        return (row["key"] for row in self._db.rows(query, (dataset,)))

    def repeated(self, dataset: str) -> list[Repeated]:
        """Repeated questions by split: the same text, context and options in the same order."""
        rows = self._db.rows(
            "SELECT split, sum(places) - sum(contents) AS again, sum(contents > 1) AS disagree,"
            " coalesce(min(CASE WHEN contents > 1 THEN key END), min(key)) AS key"
            " FROM (SELECT dq.split, min(dq.key) AS key,"
            f" count(*) AS places, count(DISTINCT q.answer) AS contents {QUESTIONS} WHERE dq.dataset = ?"
            " GROUP BY dq.split, q.text, q.options, q.context HAVING count(*) > 1) GROUP BY split",
            (dataset,),
        )
        found = {row["split"]: Repeated(**row) for row in rows}
        return [found[split] for split in SPLITS if split in found]

    def profiles(self, dataset: str, sample: int | None = None) -> list[SplitProfile]:
        """Sizes of the questions by split, or of a sample of so many questions of each, summed in the database."""
        flat = "replace(trim(t), char(10), ' ')"
        words = f"length({flat}) - length(replace({flat}, ' ', '')) + 1"
        found = []
        for split, size in self.splits(dataset).items():
            bound = sample_bound(self._db, dataset, split, sample)
            rows = self._db.rows(
                f"SELECT answer, count(*) AS read, sum({words}) AS words, max({words}) AS longest,"
                " min(options) AS fewest, max(options) AS most FROM (SELECT q.answer,"
                " json_array_length(q.options) AS options, coalesce(q.context || ' ', '') || q.text || ' ' ||"
                " (SELECT group_concat(value, ' ') FROM json_each(q.options)) AS t"
                f" {QUESTIONS} WHERE dq.dataset = ? AND dq.split = ?{'' if bound is None else ' AND dq.question <= ?'})"
                " GROUP BY answer",
                (dataset, split) if bound is None else (dataset, split, bound),
            )
            found.append(_profile(split, size, list(rows)))
        return found

    def first_is_never_right(self, dataset: str) -> bool:
        """Whether no question of a data set has its first option as the right one."""
        query = f"SELECT 1 AS found {QUESTIONS} WHERE dq.dataset = ? AND q.answer = 0 LIMIT 1"
        return self._db.one(query, (dataset,)) is None

    def iterate(self, dataset: str, split: str, limit: int | None = None) -> Iterator[Question]:
        """The questions of a split in their order, at most `limit` of them, one page in memory at a time. The caller
        may write to the store in between."""
        position, left = 0, limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            page = list(
                self._db.rows(
                    f"SELECT {QUESTION_COLUMNS} {QUESTIONS} WHERE dq.dataset = ? AND dq.split = ? AND dq.position >= ?"
                    " ORDER BY dq.position LIMIT ?",
                    (dataset, split, position, size),
                )
            )
            if not page:
                return
            yield from (question_of(self._db, row) for row in page)
            position += len(page)
            left = None if left is None else left - len(page)

    def places(self, dataset: str, split: str, limit: int | None = None, *, others: bool = True) -> Iterator[Place]:
        """The positions and hashes of a split, or of the first `limit` of it, in their order. The caller may write to
        the store in between. Without `others`: not those that other shards ask teachers about."""
        position, end = 0, 2**62 if limit is None else limit
        own = "" if others else "AND question NOT IN (SELECT question FROM other_shards) "
        query = (
            "SELECT position, question FROM dataset_questions WHERE dataset = ? AND split = ? AND position >= ?"
            f" AND position < ? {own}ORDER BY position LIMIT ?"
        )
        while page := list(self._db.rows(query, (dataset, split, position, end, _PAGE))):
            yield from (Place(position=row["position"], hash=row["question"]) for row in page)
            position = page[-1]["position"] + 1

    def at_places(self, dataset: str, split: str, places: Sequence[Place]) -> list[Question]:
        """The questions at these places of a split, in their order."""
        marks = ",".join("?" * len(places))
        rows = self._db.rows(
            f"SELECT {QUESTION_COLUMNS} {QUESTIONS} WHERE dq.dataset = ? AND dq.split = ? AND dq.position IN ({marks})"
            " ORDER BY dq.position",
            (dataset, split, *(place.position for place in places)),
        )
        return [question_of(self._db, row) for row in rows]

    def hashes(self, dataset: str, split: str) -> Iterator[str]:
        """The hashes of a split, sorted. The caller must not write to the store in between."""
        query = "SELECT question FROM dataset_questions WHERE dataset = ? AND split = ? ORDER BY question"
        return (row["question"] for row in self._db.rows(query, (dataset, split)))

    def count_to_ask(self, dataset: str, split: str, limit: int | None = None) -> int:
        """How many `places` yields without those of other shards."""
        row = self._db.one(
            "SELECT count(*) AS n FROM dataset_questions dq WHERE dq.dataset = ? AND dq.split = ? AND dq.position < ?"
            " AND dq.question NOT IN (SELECT question FROM other_shards)",
            (dataset, split, 2**62 if limit is None else limit),
        )
        return int(row["n"]) if row else 0

    def at(self, dataset: str, split: str, position: int) -> Question:
        """The question at `position` of a split (from 0).

        Raises IndexError without one."""
        row = self._db.one(
            f"SELECT {QUESTION_COLUMNS} {QUESTIONS} WHERE dq.dataset = ? AND dq.split = ? AND dq.position = ?",
            (dataset, split, position),
        )
        if row is None:
            raise IndexError(f"{dataset}/{split} has no question at {position}")
        return question_of(self._db, row)

    def after(self, dataset: str, split: str, point: str) -> Question | None:
        """The question of a split with the next hash after `point`, or the first hash when there is none; None when the
        split is empty."""
        query = (
            f"SELECT {QUESTION_COLUMNS} {QUESTIONS} WHERE dq.dataset = ? AND dq.split = ? AND dq.question > ?"
            " ORDER BY dq.question LIMIT 1"
        )
        row = self._db.one(query, (dataset, split, point)) or self._db.one(query, (dataset, split, ""))
        return question_of(self._db, row) if row else None

    def answers(self, dataset: str, split: str, limit: int | None = None) -> tuple[float, float]:
        """(chance, majority): the expected accuracy of guessing, and that of the most frequent answer position, for the
        first `limit` questions."""
        rows = self._db.rows(
            f"SELECT q.answer AS answer, json_array_length(q.options) AS options {QUESTIONS}"
            " WHERE dq.dataset = ? AND dq.split = ? ORDER BY dq.position LIMIT ?",
            (dataset, split, -1 if limit is None else limit),
        )
        positions: Counter[int] = Counter()
        chance = 0.0
        for row in rows:
            positions[row["answer"]] += 1
            chance += 1 / row["options"]
        total = positions.total()
        return (chance / total, max(positions.values()) / total) if total else (0.0, 0.0)
