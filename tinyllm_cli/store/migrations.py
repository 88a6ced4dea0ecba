"""The migrations: which tables of `tables` come when."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from sqlite_utils import Database, Migrations

from tinyllm_cli.store import ddl

APPLICATION_ID = 0x54694C4D  # "TiLM": tells our file from any other program's SQLite file

migrations = Migrations("tinyllm")


@migrations()
def m001_first(db: Database) -> None:
    # Statement by statement: executescript would commit the migration's transaction half way.
    for statement in _statements(ddl.FIRST):
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")


@migrations()
def m002_hosted(db: Database) -> None:
    for statement in _statements(ddl.HOSTED):
        db.execute(statement)


@migrations()
def m003_batches(db: Database) -> None:
    for statement in _statements(ddl.BATCHES):
        db.execute(statement)


@migrations()
def m004_prompts_in_order(db: Database) -> None:
    for statement in _statements(ddl.PROMPTS):
        db.execute(statement)


@migrations()
def m005_verdicts(db: Database) -> None:
    for statement in _statements(ddl.VERDICTS):
        db.execute(statement)


@migrations()
def m006_cut(db: Database) -> None:
    for statement in _statements(ddl.CUT):
        db.execute(statement)


def _statements(script: str) -> Iterator[str]:
    """The script's statements with their comments, which stay readable in the file's schema."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""
