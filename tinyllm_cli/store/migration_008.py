"""Migration 8: a sampling's temperature and top_p may be NULL, for replies that were requested without them."""

from __future__ import annotations

from sqlite_utils import Database

from tinyllm_cli.store import ddl
from tinyllm_cli.store.statements import statements


def apply(db: Database) -> None:
    """Rebuild `samplings`, inside the caller's transaction, where migration 7 of an earlier version made it."""
    columns = db.execute("PRAGMA table_info(samplings)").fetchall()
    if not any(required for _, name, _, required, _, _ in columns if name == "temperature"):
        return
    create = next(one for one in statements(ddl.TABLES) if one.startswith("CREATE TABLE samplings "))
    names = ", ".join(name for _, name, *_ in columns)
    db.execute(create.replace("CREATE TABLE samplings ", "CREATE TABLE new_samplings ", 1))
    db.execute(f"INSERT INTO new_samplings ({names}) SELECT {names} FROM samplings ORDER BY rowid")
    db.execute("DROP TABLE samplings")
    db.execute("ALTER TABLE new_samplings RENAME TO samplings")
