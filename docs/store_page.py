"""docs/store.md and docs/datasette.json: the tables and views of a database, from the schema of a new one.

The schema in the file has the comments of the DDL, so the page, the labels in Datasette and the file agree.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyllm_cli.store.relations import Relation

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


def relations() -> list[Relation]:
    """The tables and views of a new database, in the order in which they are created."""
    from tinyllm_cli.store import open_store
    from tinyllm_cli.store.relations import relations as of_database

    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "tinyllm.db") as store:
        return of_database(store)


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
