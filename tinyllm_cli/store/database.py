"""One SQLite connection: transactions, rows, JSON columns, and errors in the user's terms."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from backends.imports import without
from tinyllm_cli.errors import WorldProblem

_Shape = TypeVar("_Shape", list[Any], dict[str, Any])


with without("pandas"):  # half a second, for column types that we don't use
    import sqlite_utils

BUSY_SECONDS = 30.0


class Database:
    """An open SQLite file: transactions and rows. `Store` adds the queries."""

    def __init__(self, connection: sqlite3.Connection, path: Path, *, read_only: bool = False) -> None:
        self.path = path.resolve()  # runs and locks are beside the file, also where it was opened through a link
        self._given = path
        self.read_only = read_only
        self._db = sqlite_utils.Database(connection)
        self._file = _file_id(path)
        self._closed = False
        self._kept: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        self._kept_at = (-1, -1)
        connection.create_function("casefold", 1, str.casefold, deterministic=True)  # SQLite's own knows only ASCII

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """A transaction; nested blocks are savepoints.

        Raises WorldProblem when the file was deleted or replaced: SQLite would write to the deleted one."""
        self._check_file()
        with self._db.atomic():
            yield
            self._check_file()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction that holds the write lock from its beginning: what the block reads stays true until it ends.

        Raises WorldProblem when the file was deleted or replaced: SQLite would write to the deleted one."""
        self._check_file()
        try:
            self.execute("BEGIN IMMEDIATE")  # in the try block: Ctrl-C during the wait is raised after it has begun
            yield
            self._check_file()
            self.execute("COMMIT")
        except BaseException:
            self._db.rollback()
            raise

    @contextmanager
    def lasting(self) -> Iterator[None]:
        """Commits in this block survive a power failure; other commits of the last seconds may not."""
        self.execute("PRAGMA synchronous = FULL")
        try:
            yield
        finally:
            self.execute("PRAGMA synchronous = NORMAL")

    @property
    def place(self) -> Path:
        """The file as the user named it, for commands; its whole path where that name leads elsewhere by now."""
        return self._given if self._given.resolve() == self.path else self.path

    @property
    def connection(self) -> sqlite3.Connection:
        """For what only the connection can do, such as a backup."""
        connection: sqlite3.Connection = self._db.conn
        return connection

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._db.conn.execute(sql, parameters)

    def execute_if_free(self, sql: str, parameters: Sequence[Any] = ()) -> bool:
        """Execute a statement that writes, unless another process is writing; whether it was executed."""
        self.execute("PRAGMA busy_timeout = 0")
        try:
            self.execute(sql, parameters)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            return False
        finally:
            self.execute(f"PRAGMA busy_timeout = {1000 * BUSY_SECONDS:.0f}")
        return True

    @contextmanager
    def at_most(self, seconds: float) -> Iterator[None]:
        """Queries in this block are interrupted after so many seconds.

        Raises TimeoutError when one is."""
        end = time.monotonic() + seconds
        self.connection.set_progress_handler(lambda: time.monotonic() > end, 10_000)
        try:
            yield
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
            raise TimeoutError(f"The query took longer than {seconds} s.") from error
        finally:
            self.connection.set_progress_handler(None, 0)

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self._db.conn.executemany(sql, rows)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[dict[str, Any]]:
        """The result as dictionaries, streamed."""
        cursor = self.execute(sql, parameters)
        names = [column[0] for column in cursor.description]
        for row in cursor:
            yield dict(zip(names, row, strict=True))

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> dict[str, Any] | None:
        """The first row of the result; None without one."""
        return next(self.rows(sql, parameters), None)

    def kept(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The result of a long query with few rows that is often repeated. It is executed again after this connection
        or another one wrote. A transaction reads its own writes, which may be rolled back: nothing is kept of it."""
        if self.connection.in_transaction:
            return list(self.rows(sql, parameters))
        moment = self.connection.total_changes, self.execute("PRAGMA data_version").fetchone()[0]
        if moment != self._kept_at:
            self._kept, self._kept_at = {}, moment
        query = sql, *parameters
        if query not in self._kept:
            self._kept[query] = list(self.rows(sql, parameters))
        return [dict(row) for row in self._kept[query]]

    def decoded(self, text: str, shape: type[_Shape], column: str) -> _Shape:
        """The JSON of a `column` (`table.name`), which holds a list or an object.

        Raises WorldProblem when it does not, as in a damaged file or one that another program wrote to."""
        try:
            value = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            value = None
        if not isinstance(value, shape):
            raise WorldProblem(
                f"{self.path} is damaged: {column} has {str(text)[:40]!r} instead of the JSON that belongs there.",
                "Restore a copy, or give another file with --db.",
            )
        return value

    def close(self) -> None:
        """Close the connection, if it is open.

        Raises WorldProblem when the file was deleted or replaced and what this process wrote is lost."""
        if self._closed:
            return
        self._closed = True
        wrote = self._db.conn.total_changes > 0
        self._db.close()
        if wrote:
            self._check_file()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _check_file(self) -> None:
        if _file_id(self.path) != self._file:
            raise WorldProblem(
                f"{self.path} was deleted or replaced while this command was using it: its results are lost.",
                "Run the same command again.",
            )


def _file_id(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def explain(error: sqlite3.Error, path: Path) -> WorldProblem:
    """SQLite's error in the user's terms."""
    text = str(error)
    if "full" in text or getattr(error, "sqlite_errorname", "").startswith("SQLITE_IOERR"):
        return WorldProblem(
            f"{path} can't be written: {text}.",
            "Free some space, then run the same command: it resumes.",
        )
    if "not a database" in text or "malformed" in text or "decode to UTF-8" in text:
        return WorldProblem(
            f"{path} is damaged, or not a SQLite database ({text}).",
            "Restore a copy, or give another file with --db.",
        )
    if "readonly" in text or "unable to open" in text:
        return WorldProblem(f"{path} can't be opened for writing ({text}).", "Give a writable file with --db.")
    if "locked" in text:
        return WorldProblem(f"{path} is busy: another program has been writing to it for {BUSY_SECONDS:.0f} s.")
    return WorldProblem(f"{path}: {text}.")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
