"""The store: its queries by subject, and how to open its file, which migrates it."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from urllib.parse import quote

from tinyllm_cli.errors import UsageProblem, WorldProblem, command_text
from tinyllm_cli.store.activity import ActivityQueries
from tinyllm_cli.store.batches import BatchQueries
from tinyllm_cli.store.currency import CurrencyQueries
from tinyllm_cli.store.database import BUSY_SECONDS, Database, explain
from tinyllm_cli.store.elicitations import ElicitationQueries
from tinyllm_cli.store.evaluations import EvaluationQueries
from tinyllm_cli.store.experiments import ExperimentQueries
from tinyllm_cli.store.human_verdicts import HumanVerdictQueries
from tinyllm_cli.store.inventory import InventoryQueries
from tinyllm_cli.store.merging import MergeQueries
from tinyllm_cli.store.migrations import APPLICATION_ID, migrations
from tinyllm_cli.store.paired_counts import PairedQueries
from tinyllm_cli.store.prediction_queries import PredictionQueries
from tinyllm_cli.store.question_lookup import LookupQueries
from tinyllm_cli.store.question_samples import SampleQueries
from tinyllm_cli.store.question_search import SearchQueries
from tinyllm_cli.store.questions import QuestionQueries
from tinyllm_cli.store.rationale_stats import StatsQueries
from tinyllm_cli.store.rationales import RationaleQueries
from tinyllm_cli.store.removal import RemovalQueries
from tinyllm_cli.store.renaming import RenamingQueries
from tinyllm_cli.store.review_queue import ReviewQueries
from tinyllm_cli.store.runs import RunQueries
from tinyllm_cli.store.teacher_costs import CostQueries
from tinyllm_cli.store.upkeep import UpkeepQueries
from tinyllm_cli.store.usefulness import ScoreQueries
from tinyllm_cli.store.verdicts import VerdictQueries

_CHECKPOINT_PAGES = 8000  # 32 MB of write-ahead log: pages that change often are written back once


class Store(Database):
    """An open database with its queries: `store.questions.iterate(...)`."""

    def __init__(self, connection: sqlite3.Connection, path: Path, *, read_only: bool = False) -> None:
        super().__init__(connection, path, read_only=read_only)
        self.questions = QuestionQueries(self)
        self.rationales = RationaleQueries(self)
        self.runs = RunQueries(self)
        self.evaluations = EvaluationQueries(self)
        self.elicitations = ElicitationQueries(self)
        self.currency = CurrencyQueries(self)
        self.batches = BatchQueries(self)
        self.experiments = ExperimentQueries(self)
        self.verdicts = VerdictQueries(self)
        self.human_verdicts = HumanVerdictQueries(self)
        self.usefulness = ScoreQueries(self, "usefulness", "gain")
        self.learnability = ScoreQueries(self, "learnability", "log_likelihood")
        self.lookup = LookupQueries(self)
        self.samples = SampleQueries(self)
        self.costs = CostQueries(self)
        self.rationale_stats = StatsQueries(self)
        self.predictions = PredictionQueries(self)
        self.inventory = InventoryQueries(self)
        self.renaming = RenamingQueries(self)
        self.removal = RemovalQueries(self)
        self.upkeep = UpkeepQueries(self)
        self.paired = PairedQueries(self)
        self.activity = ActivityQueries(self)
        self.search = SearchQueries(self)
        self.reviews = ReviewQueries(self)
        self.merging = MergeQueries(self)


def open_store(path: Path, *, create: bool = True) -> Store:
    """Open `path`, and migrate it. With `create`, make it if it does not exist; without, a file that can't be written,
    or in a folder that can't, is opened for reading.

    Raises UsageProblem for a database in memory. Raises WorldProblem when the file is not a database, not ours or of a
    newer version, or when it can't be written and must be."""
    if str(path) == ":memory:":
        raise UsageProblem(
            "--db can't be ':memory:': a database in memory is lost when the command ends.", "Give a file with --db."
        )
    if not create and not path.exists():
        raise WorldProblem(
            f"There is no database {path} here yet.",
            "Is it in another folder? Name it with --db. To begin:"
            f" {command_text('import', 'FILE')}, or"
            f" {command_text('elicit', '--teacher', 'expert', '--dataset', 'everyday')}",
        )
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise WorldProblem(f"{path} is not a regular file, so it can't be a database.", "Give another file with --db.")
    connection = None
    try:
        read_only = not create and path.is_file() and not _writable(path)
        connection = _connect_for_reading(path) if read_only else _connect(path)
        refuse_foreign(connection, path)
        if not read_only:
            _use_wal(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        store = Store(connection, path, read_only=read_only)
        migrate(store, path)
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


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)


def _writable(path: Path) -> bool:
    """SQLite makes files beside the database."""
    effective = os.access in os.supports_effective_ids
    return all(os.access(place, os.W_OK, effective_ids=effective) for place in (path, path.resolve().parent))


def _connect_for_reading(path: Path) -> sqlite3.Connection:
    """Where no other process has the file open, there is no write-ahead log, and SQLite could not make one."""
    log = path.resolve().with_name(f"{path.resolve().name}-wal")
    mode = "mode=ro" if log.exists() and log.stat().st_size else "immutable=1"
    return sqlite3.connect(
        f"file:{quote(str(path.resolve()))}?{mode}", uri=True, timeout=BUSY_SECONDS, isolation_level=None
    )


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection for reading, under SQLite's locks: other processes may write."""
    connection = _connect(path) if _writable(path) else _connect_for_reading(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    """Raises WorldProblem for another program's database; a new, empty one is ours."""
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if tables and application != APPLICATION_ID:
        raise WorldProblem(
            f"{path} belongs to another program: it has tables, but not tinyllm's.",
            "Give another file with --db.",
        )


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL. SQLite doesn't wait for another process that switches the same new file, so this does."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def migrate(store: Store, path: Path) -> None:
    """Bring a database to this version. Messages name `path`.

    Raises WorldProblem when it is of a newer version, or can't be written and must be."""
    db = store._db
    known = {step.name for step in migrations._migrations}
    newer = sorted({step.name for step in migrations.applied(db)} - known)
    if newer:
        raise WorldProblem(
            f"{path} was written by a newer tinyllm (it has the migration {newer[-1]}).",
            "Update tinyllm, or give another --db.",
        )
    if not migrations.pending(db):
        return
    if store.read_only:
        raise WorldProblem(
            f"{path} was written by an older tinyllm and can't be updated here, where it can't be written.",
            "Copy it to a writable folder, and give the copy with --db.",
        )
    # One transaction for all of them: a kill, or a second process that starts now, sees all or nothing.
    db.execute("BEGIN IMMEDIATE")
    try:
        migrations.apply(db)
        db.execute("COMMIT")
    except BaseException:
        db.rollback()
        raise
