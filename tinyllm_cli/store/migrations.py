"""The migrations of a database, in their order."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

from tinyllm_cli.store import ddl_added, ddl_before_007, ddl_views, migration_007, migration_008
from tinyllm_cli.store.statements import statements

APPLICATION_ID = 0x54694C4D  # "TiLM": distinguishes our file from any other program's SQLite file

migrations = Migrations("tinyllm")


@migrations()
def m001_first(db: Database) -> None:
    _execute(db, ddl_before_007.FIRST)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")


@migrations()
def m002_hosted(db: Database) -> None:
    _execute(db, ddl_before_007.HOSTED)


@migrations()
def m003_batches(db: Database) -> None:
    _execute(db, ddl_before_007.BATCHES)


@migrations()
def m004_prompts_in_order(db: Database) -> None:
    _execute(db, ddl_before_007.PROMPTS)


@migrations()
def m005_verdicts(db: Database) -> None:
    _execute(db, ddl_before_007.VERDICTS)


@migrations()
def m006_cut(db: Database) -> None:
    _execute(db, ddl_before_007.CUT)


@migrations()
def m007_typed_columns(db: Database) -> None:
    migration_007.apply(db)


@migrations()
def m008_learnability(db: Database) -> None:
    _execute(db, ddl_added.LEARNABILITY)


@migrations()
def m008_unset_sampling(db: Database) -> None:
    migration_008.apply(db)


@migrations()
def m008_human_verdicts(db: Database) -> None:
    _execute(db, ddl_added.HUMAN_VERDICTS)


@migrations()
def m009_views(db: Database) -> None:
    """SQLite renames no table that a view reads: a later migration that rebuilds one drops the views before and creates
    them afterwards."""
    _execute(db, ddl_views.VIEWS)


@migrations()
def m010_elicitation_progress(db: Database) -> None:
    _execute(db, ddl_added.ELICITATION_PROGRESS)


@migrations()
def m011_other_shards(db: Database) -> None:
    _execute(db, ddl_added.OTHER_SHARDS)


@migrations()
def m012_node(db: Database) -> None:
    _execute(db, ddl_added.NODE)


@migrations()
def m013_currency(db: Database) -> None:
    for name in ("rationales_readable", "results", "costs"):
        db.execute(f"DROP VIEW {name}")
    _execute(db, ddl_added.CURRENCY)
    _execute(db, ddl_views.VIEWS)


@migrations()
def m014_rationale_sets(db: Database) -> None:
    """A later migration that rebuilds `rationales` makes the triggers again, which are dropped with their table."""
    _execute(db, ddl_added.RATIONALE_SETS)


def _execute(db: Database, script: str) -> None:
    for statement in statements(script):
        db.execute(statement)
