"""docs/store.md and docs/datasette.json: the tables and views of a database, from the schema of a new one.

The schema in the file has the comments of the DDL, so the page, the labels in Datasette and the file agree.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HEAD = """# The store

Generated from the schema by `make docs`. The database is one SQLite file, which any SQLite program opens. Times are UTC
in ISO 8601. Terms: [glossary](glossary.md). For labelled tables, facets and SQL in a browser:

```sh
uvx datasette tinyllm.db -m docs/datasette.json
```

Read it with any program; change it with `tinyllm` only. A [run](glossary.md#run)'s student is in the folder
`tinyllm-runs` beside `tinyllm.db`. Copy both together; `tinyllm backup` copies the database alone.

## Diagram
"""


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


def relations() -> list[Relation]:
    """The tables and views of a new database, in the order in which they are created."""
    from tinyllm_cli.store import open_store

    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "tinyllm.db") as store:
        found = []
        for row in store.rows(
            "SELECT type, name, sql FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE '%sqlite%'"
            " ORDER BY type, rowid"
        ):
            refers = {key["from"]: key["table"] for key in store.rows(f"PRAGMA foreign_key_list({row['name']})")}
            comments = dict(_comments(row["sql"]))
            columns = tuple(
                Column(
                    name=one["name"], kind=one["type"], meaning=comments.get(one["name"], ""),
                    refers=refers.get(one["name"], ""),
                )
                for one in store.rows(f"PRAGMA table_info({row['name']})")
            )  # fmt: skip
            found.append(
                Relation(name=row["name"], is_view=row["type"] == "view", meaning=comments.get("", ""), columns=columns)
            )
        return found


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


def store_page(found: list[Relation]) -> str:
    """The page: a diagram of the references, and each table and view with its columns."""
    lines = ["```mermaid", "erDiagram"]
    for one in found:
        lines += [f"    {column.refers} ||--o{{ {one.name} : {column.name}" for column in one.columns if column.refers]
    parts = [_HEAD, "\n".join([*lines, "```"]) + "\n"]
    for title, views in (("Tables", False), ("Views", True)):
        parts.append(f"## {title}\n")
        for one in found:
            if one.is_view == views:
                parts.append("\n".join(_section(one)) + "\n")
    return "\n".join(parts)


def _section(one: Relation) -> Iterator[str]:
    yield f"### {one.name}\n"
    if one.meaning:
        yield f"{one.meaning}\n"
    yield "| column | type | meaning |" if not one.is_view else "| column | meaning |"
    yield "| --- | --- | --- |" if not one.is_view else "| --- | --- |"
    for column in one.columns:
        refers = f"[{column.refers}](#{column.refers})" if column.refers else ""
        meaning = "; ".join(filter(None, (refers, column.meaning.replace("|", "\\|"))))
        yield f"| `{column.name}` | {meaning} |" if one.is_view else f"| `{column.name}` | {column.kind} | {meaning} |"


def datasette_metadata(found: list[Relation]) -> str:
    """Labels for Datasette, for a file called tinyllm.db."""
    tables = {
        one.name: {
            "description": one.meaning,
            "columns": {column.name: column.meaning for column in one.columns if column.meaning},
        }
        for one in found
    }
    tables["rationales_readable"] |= {"facets": ["dataset", "split", "teacher", "verdict"], "size": 20}
    tables["results"] |= {"facets": ["dataset", "split", "method", "scoring"], "sort_desc": "evaluation"}
    content = {
        "title": "tinyllm",
        "description": "Questions, rationales of teachers, students and their results.",
        "databases": {"tinyllm": {"tables": tables}},
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
