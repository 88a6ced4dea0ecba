"""A kept result is what the query gives now, whoever wrote in between, in a transaction or not."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import make_questions
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.store.database import Database

COUNT = "SELECT count(*) AS n, max(value) AS most FROM numbers WHERE value >= ?"
ACTIONS = ("write", "delete", "update", "write elsewhere", "begin", "roll back", "commit", "read", "nothing")


def act(db: Database, other: sqlite3.Connection, action: str, number: int) -> None:
    inside = db.connection.in_transaction
    if action == "write":
        db.execute("INSERT INTO numbers VALUES (?)", (number,))
    elif action == "delete":
        db.execute("DELETE FROM numbers")
    elif action == "update":
        db.execute("UPDATE numbers SET value = value + 1 WHERE value = ?", (number,))
    elif action == "write elsewhere" and not inside:  # SQLite has one writer at a time
        other.execute("INSERT INTO numbers VALUES (?)", (number,))
    elif action == "begin" and not inside:
        db.execute("BEGIN IMMEDIATE")
    elif action == "roll back" and inside:
        db.execute("ROLLBACK")
    elif action == "commit" and inside:
        db.execute("COMMIT")
    elif action == "read":
        db.kept(COUNT, (number,))


@settings(max_examples=60, deadline=None)
@given(actions=st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 3)), max_size=14))
def test_a_kept_result_is_never_an_old_one(actions: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as made:
            made.execute("PRAGMA journal_mode = WAL")
            made.execute("CREATE TABLE numbers (value INTEGER)")
        own, other = (sqlite3.connect(path, isolation_level=None) for _ in range(2))
        with Database(own, path) as db, closing(other):
            for action, number in actions:
                act(db, other, action, number)
                for least in (0, 2):
                    assert db.kept(COUNT, (least,)) == list(db.rows(COUNT, (least,)))


def test_a_result_is_read_once_until_something_is_written(store: Store) -> None:
    executed: list[str] = []
    store.questions.replace("toy", "here", "1", make_questions(3))
    store.connection.set_trace_callback(executed.append)
    for _ in range(3):
        assert store.questions.splits("toy") == {"train": 3}
    assert len([one for one in executed if "GROUP BY split" in one]) == 1
    with open_store(store.path) as other:
        other.questions.replace("toy", "here", "2", make_questions(2))
    assert store.questions.splits("toy") == {"train": 2}


def test_what_a_caller_does_to_a_kept_result_stays_with_the_caller(store: Store) -> None:
    store.questions.replace("toy", "here", "1", make_questions(1))
    query = "SELECT count(*) AS n FROM questions"
    store.kept(query)[0]["n"] = 17
    assert store.kept(query) == [{"n": 1}]
