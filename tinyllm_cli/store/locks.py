"""Who lives: a lock on a file beside the database, which the system lets go of however its process ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tinyllm_cli.store.database import Store


def lock_path(store: Store, name: str) -> Path:
    return store.path.with_name(f"{store.path.name}-{name}.lock")


@contextmanager
def holding(store: Store, name: str) -> Iterator[bool]:
    """Hold the lock `name` for the block. False, and nothing held, where another process has it."""
    path = lock_path(store, name)
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
