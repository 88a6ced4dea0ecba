"""The SQLite file in which everything that cost money or hours is kept. Only this package knows SQL."""

from tinyllm_cli.store.database import Store, explain, now, open_store

__all__ = ["Store", "explain", "now", "open_store"]
