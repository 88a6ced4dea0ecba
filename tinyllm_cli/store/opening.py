"""The store: its queries by subject, and opening its file, which migrates it."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from tinyllm_cli.errors import WorldProblem
from tinyllm_cli.store.batches import BatchQueries
from tinyllm_cli.store.database import BUSY_SECONDS, Database, explain
from tinyllm_cli.store.elicitations import ElicitationQueries
from tinyllm_cli.store.evaluations import EvaluationQueries
from tinyllm_cli.store.experiments import ExperimentQueries
from tinyllm_cli.store.migrations import APPLICATION_ID, migrations
from tinyllm_cli.store.paired_counts import PairedQueries
from tinyllm_cli.store.prediction_queries import PredictionQueries
from tinyllm_cli.store.question_lookup import LookupQueries
from tinyllm_cli.store.questions import QuestionQueries
from tinyllm_cli.store.rationale_stats import StatsQueries
from tinyllm_cli.store.rationales import RationaleQueries
from tinyllm_cli.store.runs import RunQueries
from tinyllm_cli.store.usefulness import UsefulnessQueries
from tinyllm_cli.store.verdicts import VerdictQueries

_CHECKPOINT_PAGES = 8000  # 32 MB of write-ahead log: pages that change again and again are written back once


class Store(Database):
    """An open database with its queries: `store.questions.iterate(...)`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        super().__init__(connection, path)
        self.questions = QuestionQueries(self)
        self.rationales = RationaleQueries(self)
        self.runs = RunQueries(self)
        self.evaluations = EvaluationQueries(self)
        self.elicitations = ElicitationQueries(self)
        self.batches = BatchQueries(self)
        self.experiments = ExperimentQueries(self)
        self.verdicts = VerdictQueries(self)
        self.usefulness = UsefulnessQueries(self)
        self.lookup = LookupQueries(self)
        self.rationale_stats = StatsQueries(self)
        self.predictions = PredictionQueries(self)
        self.paired = PairedQueries(self)


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
