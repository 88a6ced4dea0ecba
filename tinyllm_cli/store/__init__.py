"""The SQLite file in which everything that cost money or hours is kept. Only this package knows SQL."""

from tinyllm_cli.store.database import Database, explain, now
from tinyllm_cli.store.opening import Store, open_store

__all__ = ["Database", "Store", "explain", "now", "open_store"]
