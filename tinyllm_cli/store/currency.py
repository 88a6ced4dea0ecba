"""The currency of a database: all of its costs are in one, so that sums never mix two."""

from __future__ import annotations

from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.store.database import Database


def has_costs(schema: str = "main.") -> str:
    """SQL: whether a database has costs above 0."""
    tables = ("elicitations", "rationales", "failures")
    return f"({' OR '.join(f'EXISTS (SELECT 1 FROM {schema}{table} WHERE cost > 0)' for table in tables)})"


class CurrencyQueries:
    """Queries of `store.currency`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def code(self) -> str | None:
        """The ISO 4217 code; None where nothing was charged yet."""
        row = self._db.one("SELECT code FROM currency")
        return row["code"] if row else None

    def use(self, code: str) -> None:
        """Before costs in this currency are added, in the caller's transaction.

        Raises UsageProblem when there are costs in another one, or a process may still add some: mark killed ones
        first."""
        held = self.code()
        if held == code:
            return
        row = self._db.one(
            f"SELECT {has_costs()} AS costs, EXISTS (SELECT 1 FROM elicitations WHERE state = 'running') AS running"
        )
        assert row is not None
        if held is not None and (row["costs"] or row["running"]):
            raise UsageProblem(
                f"{self._db.path.name} counts costs in {held}, and this command would add costs in {code}.",
                f'Put currency = "{held}" at the top of tinyllm.toml, or use another database with --db.',
            )
        self._db.execute("INSERT OR REPLACE INTO currency (id, code) VALUES (1, ?)", (code,))
