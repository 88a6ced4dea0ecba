"""Migrated copies of other databases, so that reading one never changes the user's file."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from tinyllm_cli.errors import WorldProblem
from tinyllm_cli.store.database import explain
from tinyllm_cli.store.opening import Store, connect_to_read, migrate, refuse_foreign


def open_copy(path: Path, copy: Path) -> Store:
    """Copy the database `path` to `copy`, as one state of it also while other processes write, and open that, migrated.

    Raises WorldProblem, which names `path`, when there is no file, or it is damaged, not ours or of a newer version."""
    if not path.is_file():
        raise WorldProblem(f"There is no database {path}.", "Give the path of a database file.")
    connection = None
    try:
        with contextlib.closing(connect_to_read(path)) as source:
            refuse_foreign(source, path)
            connection = sqlite3.connect(copy, isolation_level=None)
            connection.execute("PRAGMA synchronous = OFF")  # it lives as long as this process
            source.backup(connection)
        connection.execute("PRAGMA journal_mode = DELETE")
        store = Store(connection, copy)
        migrate(store, path)
    except sqlite3.Error as error:
        _close(connection)
        raise explain(error, path) from error
    except BaseException:
        _close(connection)
        raise
    return store


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        connection.close()
