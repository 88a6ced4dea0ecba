"""A database of the first version opens: its rows stay, and new ones are added."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from backends.base import Sampling
from backends.scripted import ScriptedTeacher
from tests.conftest import Command, make_questions, ring
from tinyllm_cli.config import TeacherSpec
from tinyllm_cli.elicitation.elicit import elicit
from tinyllm_cli.elicitation.job import Job, asking_for
from tinyllm_cli.elicitation.prompts import build_prompt, draw_examples
from tinyllm_cli.records.elicitation import Recipe
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.store.migrations import APPLICATION_ID, migrations

SPEC = TeacherSpec(name="parrot", backend="scripted", options={"replies": ["So it is."]})
JOB = Job(dataset="toy", split="train", spec=SPEC, recipe=Recipe(), sampling=Sampling())
COLUMNS = {
    "datasets": "*",
    "questions": "*",
    "dataset_questions": "*",
    "prompts": "hash, question, recipe, examples, messages",
    "samplings": "*",
    "rationales": "id, question, teacher, prompt, sampling, sample, text, finish_reason, answer, prompt_tokens,"
    " completion_tokens, seconds, cost, created",
    "failures": "question, teacher, prompt, sampling, sample, reason, attempts, at",
    "predictions": "*",
}
"""The first version's tables and columns."""


def contents(path: Path) -> dict[str, set[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as db:
        found = {table: set(db.execute(f"SELECT {columns} FROM {table}")) for table, columns in COLUMNS.items()}
    return found | {"predictions": {row[:8] for row in found["predictions"]}}  # later versions add columns behind


def teacher() -> ScriptedTeacher:
    return ScriptedTeacher(SPEC.options)


def fill(db: sqlite3.Connection) -> None:
    """Rows as the first version wrote them: of six questions four have a reply, and one has a failure."""
    asking, questions = asking_for(JOB, teacher()), make_questions(6)
    db.execute(
        "INSERT INTO samplings VALUES (?, 'scripted', ?, ?, 0.0, 1.0, 256, '[]', 0, '{}')",
        (asking.hash, asking.model, asking.revision),
    )
    for number, question in enumerate(questions[:5]):
        prompt = build_prompt(question, JOB.recipe, draw_examples(question, JOB.recipe, ring(questions)))
        messages = json.dumps([[message.role, message.content] for message in prompt.messages])
        row = (prompt.hash, question.hash, prompt.recipe.name, 1, json.dumps(prompt.examples), messages)
        db.execute("INSERT INTO prompts VALUES (?, ?, ?, ?, ?, ?)", row)
        address = (question.hash, "parrot", prompt.hash, asking.hash, 0)
        if number < 4:
            values = (*address, f"Reply {number}", "stop", None, 10, number or None, 0.5, None, "2026-11-01T12:00:00")
            db.execute(f"INSERT INTO rationales VALUES (NULL, {', '.join('?' * len(values))})", values)
        else:
            db.execute("INSERT INTO failures VALUES (?, ?, ?, ?, ?, 'empty reply', 2, '2026-11-01')", address)
    evaluation = (
        "INSERT INTO evaluations VALUES (1, 'teacher', 'parrot', '', NULL, 'toy', 'train', 'generate', 1, 0.25,"
    )
    db.execute(f"{evaluation} 0.5, 1, 0, 0, 0.1, '2026-11-01')")
    db.execute(f"INSERT INTO predictions VALUES (1, 'train-0', '{questions[0].hash}', 0, 1, NULL, 'a', 0)")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database as the first version wrote it."""
    path = tmp_path / "tinyllm.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        migrations.apply(Database(db), stop_before="m002_hosted")
        assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        Store(db, path).questions.replace("toy", "here", "1", make_questions(6))
        fill(db)
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert not tables & {"elicitations", "claims"}
    return path


def test_every_row_stays(old: Path) -> None:
    before = contents(old)
    assert {table: len(rows) for table, rows in before.items() if table in ("rationales", "failures")} == {
        "rationales": 4,
        "failures": 1,
    }
    with open_store(old) as store:
        assert store.one("PRAGMA integrity_check") == {"integrity_check": "ok"}
        assert list(store.rows("PRAGMA foreign_key_check")) == []
        assert store.elicitations.everything() == []
        kept = store.one("SELECT DISTINCT reasoning, attempts, last_error, raised_max_tokens FROM rationales")
        assert kept == {"reasoning": None, "attempts": 1, "last_error": None, "raised_max_tokens": None}
        assert store.one("SELECT prompt_tokens, cost FROM failures") == {"prompt_tokens": None, "cost": None}
    assert contents(old) == before


def test_stored_replies_are_not_requested_again_and_the_others_are_added(old: Path) -> None:
    before = contents(old)["rationales"]
    with open_store(old) as store:
        tally = elicit(store, JOB, teacher(), lambda tally: None)
        [row] = store.elicitations.everything()
        assert (row.state, row.replies, row.failures) == ("done", 2, 0)
    assert (tally.wanted, tally.already, tally.done) == (6, 4, 2)
    after = contents(old)
    assert before < after["rationales"]
    assert len(after["rationales"]) == 6
    assert after["failures"] == set(), "the reply replaces the failure"


def test_opening_it_again_changes_nothing(old: Path) -> None:
    def schema() -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(old)) as db:
            return (
                db.execute("SELECT * FROM sqlite_master").fetchall()
                + db.execute("SELECT * FROM _sqlite_migrations").fetchall()
            )

    open_store(old).close()
    migrated = schema()
    open_store(old).close()
    assert schema() == migrated
    fresh = old.with_name("fresh.db")
    open_store(fresh).close()
    with closing(sqlite3.connect(fresh)) as db:
        names = {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
    assert {row[1] for row in migrated if len(row) == 5} == names


def test_the_report_shows_its_rows(inside: Command, old: Path) -> None:
    [found] = json.loads(inside("report", "--json").stdout)["teachers"]
    assert (found["teacher"], found["rationales"], found["failures"], found["cost"]) == ("parrot", 4, 1, None)


def test_references_to_replaced_tables_stay(tmp_path: Path) -> None:
    with open_store(tmp_path / "tinyllm.db") as store:
        store.questions.replace("toy", "here", "1", make_questions(6))
        elicit(store, JOB, teacher(), lambda tally: None)
        assert list(store.rows("PRAGMA foreign_key_check")) == []
        parents = {row["table"] for row in store.rows("PRAGMA foreign_key_list(rationales)")}
        assert parents == {"questions", "prompts", "samplings"}
        with pytest.raises(sqlite3.IntegrityError):
            store.execute("DELETE FROM prompts")
