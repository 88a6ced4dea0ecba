"""Care for the file: a consistent copy, and checks of its integrity."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from tinyllm_cli.files import to_disk
from tinyllm_cli.store.database import Database


class UpkeepQueries:
    """Queries of `store.upkeep`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def backup(self, target: Path) -> int:
        """Copy the database to `target`, replacing it when the copy is complete; returns its size in bytes. The copy is
        one state of the database, also while other processes write; it is one file, without a write-ahead log.

        Raises OSError or sqlite3.Error when it can't be written; then `target` is as it was."""
        draft = target.with_name(f".{target.name[:200]}.tinyllm-new")
        draft.unlink(missing_ok=True)  # of a backup that was killed
        try:
            draft.touch(exist_ok=False)  # never through a link that somebody put there
            with contextlib.closing(sqlite3.connect(draft)) as copy:
                self._db.connection.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")
            to_disk(draft)
            draft.replace(target)
        except BaseException:
            for name in (draft.name, f"{draft.name}-journal", f"{draft.name}-wal", f"{draft.name}-shm"):
                draft.with_name(name).unlink(missing_ok=True)
            raise
        to_disk(target.parent)
        return target.stat().st_size

    def damage(self, *, quick: bool) -> Iterator[str]:
        """What SQLite finds wrong with the file; `quick`: without comparing indexes with their tables."""
        name = "quick_check" if quick else "integrity_check"
        rows = self._db.rows(f"PRAGMA {name}")
        yield from (str(next(iter(row.values()))) for row in rows if next(iter(row.values())) != "ok")

    def dangling(self) -> Iterator[tuple[str, str, int]]:
        """(table, parent, rows): rows of `table` that refer to rows of `parent` which do not exist."""
        counts: dict[tuple[str, str], int] = {}
        for row in self._db.rows("PRAGMA foreign_key_check"):
            counts[row["table"], row["parent"]] = counts.get((row["table"], row["parent"]), 0) + 1
        yield from ((table, parent, count) for (table, parent), count in counts.items())
