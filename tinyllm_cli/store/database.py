"""One SQLite connection: transactions, rows, and what can be wrong with the file."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from tinyllm_cli.errors import WorldProblem

_pandas = sys.modules.get("pandas")
sys.modules["pandas"] = None  # type: ignore[assignment]  # sqlite-utils loads it wherever it is: half a second, for nothing
import sqlite_utils  # noqa: E402

if _pandas is None:
    del sys.modules["pandas"]
else:
    sys.modules["pandas"] = _pandas

BUSY_SECONDS = 30.0


class Database:
    """An open SQLite file: transactions and rows. `Store` adds the queries."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path.resolve()  # what lies beside it is the same for whoever opens it by another name
        self._db = sqlite_utils.Database(connection)
        connection.create_function("casefold", 1, str.casefold, deterministic=True)  # SQLite's own knows ASCII alone

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """All or nothing; nested blocks are savepoints."""
        with self._db.atomic():
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All or nothing, and nobody else writes from the beginning of the block on: what it reads stays true."""
        try:
            self.execute("BEGIN IMMEDIATE")  # within: Ctrl-C while it waits is raised when it has begun
            yield
            self.execute("COMMIT")
        except BaseException:
            self._db.rollback()
            raise

    @contextmanager
    def lasting(self) -> Iterator[None]:
        """What is committed within is on the disk, whatever befalls the machine; else the last seconds may be lost."""
        self.execute("PRAGMA synchronous = FULL")
        try:
            yield
        finally:
            self.execute("PRAGMA synchronous = NORMAL")

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._db.conn.execute(sql, parameters)

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self._db.conn.executemany(sql, rows)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[dict[str, Any]]:
        """The result as dictionaries, streamed."""
        cursor = self.execute(sql, parameters)
        names = [column[0] for column in cursor.description]
        for row in cursor:
            yield dict(zip(names, row, strict=True))

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> dict[str, Any] | None:
        return next(self.rows(sql, parameters), None)

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def explain(error: sqlite3.Error, path: Path) -> WorldProblem:
    """The user's terms for what SQLite says."""
    text = str(error)
    if "full" in text or getattr(error, "sqlite_errorname", "").startswith("SQLITE_IOERR"):
        return WorldProblem(
            f"{path} can't be written: {text}.",
            "Free some space, then run the same command: it goes on where it stopped.",
        )
    if "not a database" in text or "malformed" in text:
        return WorldProblem(
            f"{path} is not a readable SQLite database ({text}).",
            "Give another file with --db, or restore a copy.",
        )
    if "readonly" in text or "unable to open" in text:
        return WorldProblem(f"{path} can't be opened for writing ({text}).", "Give a writable place with --db.")
    if "locked" in text:
        return WorldProblem(f"{path} is busy: another program has been writing to it for {BUSY_SECONDS:.0f} s.")
    return WorldProblem(f"{path}: {text}.")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
