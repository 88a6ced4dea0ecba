"""Who lives: a lock on a file beside the database, which the system lets go of however its process ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tinyllm_cli.store.database import Database


def lock_path(db: Database, name: str) -> Path:
    return db.path.with_name(f"{db.path.name}-{name}.lock")


@contextmanager
def holding(db: Database, name: str) -> Iterator[bool]:
    """Hold the lock `name` for the block. False, and nothing held, where another process has it."""
    path = lock_path(db, name)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)  # while it is ours: after the release it may be another's
        lock.release()
