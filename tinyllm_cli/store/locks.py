"""Locks that show that a process lives: the system releases them however the process ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tinyllm_cli.store.database import Database


def lock_path(db: Database, name: str) -> Path:
    """The lock of something in the database: a file beside it."""
    return db.path.with_name(f"{db.path.name}-{name}.lock")


@contextmanager
def holding(path: Path) -> Iterator[bool]:
    """Hold the lock on the file `path`, which this creates and removes. False when another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)  # before the release: afterwards it may be another process's
        lock.release()
