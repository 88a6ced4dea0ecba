"""Opening the store: migrations, pragmas, and what can be wrong with a database file."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tinyllm_cli.errors import WorldProblem

_pandas = sys.modules.get("pandas")
sys.modules["pandas"] = None  # type: ignore[assignment]  # sqlite-utils loads it wherever it is: half a second, for nothing
import sqlite_utils  # noqa: E402

if _pandas is None:
    del sys.modules["pandas"]
else:
    sys.modules["pandas"] = _pandas

from tinyllm_cli.store.migrations import APPLICATION_ID, migrations  # noqa: E402

BUSY_SECONDS = 30.0
_CHECKPOINT_PAGES = 8000  # 32 MB of write-ahead log: pages that change again and again are written back once


class Store:
    """An open database. The modules beside this one hold its queries; they take a Store and nothing else."""

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

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def open_store(path: Path, *, create: bool = True) -> Store:
    """Open `path`, creating or migrating it.

    Raises WorldProblem when it is not a database, not ours, of a newer version, or can't be written."""
    if not create and not path.exists():
        raise WorldProblem(
            f"There is no database {path} here yet.",
            "Another folder, or --db? Else begin with: tinyllm import, or tinyllm elicit --teacher expert --dataset"
            " everyday",
        )
    connection = None
    try:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        _refuse_foreign(connection, path)
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        store = Store(connection, path)
        _migrate(store, path)
        connection.execute("PRAGMA foreign_keys = ON")  # after the migrations, which replace tables
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise explain(error, path) from error
    except BaseException:
        if connection is not None:
            connection.close()
        raise
    return store


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


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if tables and application != APPLICATION_ID:
        raise WorldProblem(
            f"{path} belongs to another program: it has tables, but not tinyllm's.",
            "Give another file with --db.",
        )


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL. SQLite doesn't wait for another process that is switching the same fresh file, so this does."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _migrate(store: Store, path: Path) -> None:
    db = store._db
    known = {step.name for step in migrations._migrations}
    newer = sorted({step.name for step in migrations.applied(db)} - known)
    if newer:
        raise WorldProblem(
            f"{path} was written by a newer tinyllm (it has the migration {newer[-1]}).",
            "Update tinyllm, or give another --db.",
        )
    if migrations.pending(db):
        # One transaction around all of it: a kill, or a second process starting now, sees all or nothing.
        db.execute("BEGIN IMMEDIATE")
        try:
            migrations.apply(db)
            db.execute("COMMIT")
        except BaseException:
            db.rollback()
            raise
