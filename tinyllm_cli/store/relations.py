"""The tables and views with their comments, from the schema of a database: it has the comments of the DDL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tinyllm_cli.store.database import Database


@dataclass(frozen=True, kw_only=True)
class Column:
    """`refers` is the table that a foreign key refers to; empty without one."""

    name: str
    kind: str
    meaning: str
    refers: str


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A table or a view."""

    name: str
    is_view: bool
    meaning: str
    columns: tuple[Column, ...]


def relations(db: Database) -> list[Relation]:
    """The tables and views, in the order in which they were created."""
    rows = db.rows(
        "SELECT type, name, sql FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE '%sqlite%'"
        " ORDER BY type, rowid"
    )
    return [_relation(db, row["name"], row["sql"], is_view=row["type"] == "view") for row in list(rows)]


def _relation(db: Database, name: str, sql: str, *, is_view: bool) -> Relation:
    refers = {key["from"]: key["table"] for key in db.rows(f"PRAGMA foreign_key_list({name})")}
    comments = dict(_comments(sql))
    columns = tuple(
        Column(
            name=one["name"], kind=one["type"], meaning=comments.get(one["name"], ""),
            refers=refers.get(one["name"], ""),
        )
        for one in db.rows(f"PRAGMA table_info({name})")
    )  # fmt: skip
    return Relation(name=name, is_view=is_view, meaning=comments.get("", ""), columns=columns)


def _comments(sql: str) -> Iterator[tuple[str, str]]:
    """(column, comment); the column of the relation's own comment is empty."""
    own: list[str] = []
    above: list[str] = []
    in_columns = False
    for line in sql.splitlines()[1:]:
        code, dashes, comment = line.partition("--")
        if not code.strip():  # of the next column; before the first one, of the relation
            (above if in_columns else own).append(comment.strip())
            continue
        in_columns = code.strip() != "SELECT"
        before = re.sub(r"[\s,)]+$", "", code)
        added = re.search(r", (\w+) [A-Z]+$", before)  # SQLite puts an added column on the last one's line
        named = re.search(r"\bAS (\w+)$", before) or added or re.match(r"\s*(\w+)", before)
        if dashes or above:
            assert named is not None
            yield named[1], "; ".join([*above, *([comment.strip()] if dashes else [])])
        above = []
    yield "", " ".join(own)
