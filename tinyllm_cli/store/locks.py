"""Locks that show that a process lives, each on a file beside the database."""

from __future__ import annotations

from contextlib import AbstractContextManager

from tinyllm_cli.files import holding
from tinyllm_cli.store.database import Database


def claiming(db: Database, name: str) -> AbstractContextManager[bool]:
    """Hold the lock of something in the database; False when another process holds it."""
    return holding(db.path.with_name(f"{db.path.name}-{name}.lock"))
