"""A hosted teacher's temperature and top_p: what is not set is neither sent nor recorded, and earlier replies stay."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from backends.base import Sampling
from tests.conftest import Command, make_questions, write_dataset, write_host
from tests.endpoint import Answer, Endpoint, serving
from tests.store.test_old_database import DUMP
from tinyllm_cli.records.elicitation import ElicitationConfig
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.store.migrations import APPLICATION_ID, migrations

ELICIT = ("elicit", "-t", "host", "-d", "toy", "--yes")


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    write_dataset(tmp_path / "toy", train=2)
    with serving(lambda _n, _b: Answer()) as endpoint:
        yield endpoint


def recorded(folder: Path) -> list[tuple[float | None, float | None]]:
    with open_store(folder / "tinyllm.db") as store:
        rows = store.rows("SELECT temperature, top_p FROM samplings ORDER BY rowid")
        return [(row["temperature"], row["top_p"]) for row in rows]


def sent(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [{name: body[name] for name in body if name in ("temperature", "top_p")} for body in endpoint.bodies]


@pytest.mark.parametrize(
    ("table", "options", "body", "row"),
    [
        ({}, (), {}, (None, None)),
        ({"temperature": 0}, (), {"temperature": 0}, (0.0, 1.0)),
        ({"temperature": 0.5}, (), {"temperature": 0.5}, (0.5, None)),
        ({"temperature": 0.5, "top_p": 0.9}, (), {"temperature": 0.5, "top_p": 0.9}, (0.5, 0.9)),
        ({"temperature": 0.5}, ("--temperature", "0"), {"temperature": 0.0}, (0.0, 1.0)),
        ({}, ("--top-p", "0.8"), {"top_p": 0.8}, (None, 0.8)),
    ],
)
def test_what_the_user_set_is_sent_and_recorded(
    inside: Command, tmp_path: Path, endpoint: Endpoint, table: dict[str, Any], options: tuple[str, ...],
    body: dict[str, Any], row: tuple[float | None, float | None],
) -> None:  # fmt: skip
    write_host(tmp_path, endpoint.url, **table)
    done = inside(*ELICIT, *options)
    assert done.returncode == 0, done.stderr
    assert sent(endpoint) == [body, body]
    assert recorded(tmp_path) == [row]
    assert ("the endpoint's default applies" in done.stderr) == (row[0] is None)
    again = inside(*ELICIT, *options)
    assert "0 new rationales, 2 already stored" in again.stdout


def test_replies_of_the_former_default_are_pointed_out(inside: Command, tmp_path: Path, endpoint: Endpoint) -> None:
    write_host(tmp_path, endpoint.url)
    assert inside(*ELICIT, "--temperature", "0").returncode == 0
    dry = inside(*ELICIT, "--dry-run")
    assert "2 rationales of host for toy/train were elicited with --temperature 0." in dry.stderr
    assert "0 new rationales, 2 already stored" in inside(*ELICIT, "--temperature", "0").stdout
    assert inside(*ELICIT).returncode == 0
    assert len(endpoint.bodies) == 4
    assert "were elicited with" not in inside(*ELICIT).stderr, "there is a set with this configuration now"
    assert inside(*ELICIT, "--temperature", "0.5", "--top-p", "1").returncode == 0
    warm = inside(*ELICIT, "--temperature", "0.5", "--dry-run")
    assert "were elicited with --temperature 0.5 --top-p 1." in warm.stderr


def test_the_view_of_a_question_says_that_the_endpoint_decided(
    inside: Command, tmp_path: Path, endpoint: Endpoint
) -> None:
    write_host(tmp_path, endpoint.url)
    assert inside(*ELICIT).returncode == 0
    assert "sampled with the endpoint's defaults" in inside("inspect", "train-0", "-d", "toy").stdout


def test_the_audit_names_a_command_that_leaves_them_unset_too(
    inside: Command, tmp_path: Path, endpoint: Endpoint
) -> None:
    write_host(tmp_path, endpoint.url)
    assert inside(*ELICIT, "--limit", "1").returncode == 0
    audit = inside("audit", "-d", "toy").stdout
    assert "--max-tokens 256" in audit
    assert "--temperature" not in audit


def test_several_samples_need_a_temperature(inside: Command, tmp_path: Path, endpoint: Endpoint) -> None:
    write_host(tmp_path, endpoint.url)
    done = inside(*ELICIT, "--samples", "2")
    assert done.returncode == 2
    assert "2 samples need a temperature: at the endpoint's own default, they may be copies." in done.stderr
    assert endpoint.bodies == []
    assert inside(*ELICIT, "--samples", "2", "--temperature", "1").returncode == 0


@pytest.mark.parametrize(
    ("temperature", "top_p", "digest"),
    [(0.0, 1.0, "ff1e2e35f13ef10a64c352e450e22c5f"), (0.7, 0.9, "58b2af77b72c225ad48c06e28f2dec2b")],
)
def test_sets_whose_values_were_set_keep_their_identity(temperature: float, top_p: float, digest: str) -> None:
    """The digests are those of earlier versions."""
    sampling = Sampling(temperature=temperature, top_p=top_p)
    assert ElicitationConfig(teacher="t", backend="openai", model="m", revision="", sampling=sampling).hash == digest


def test_a_database_of_migration_7_keeps_its_samplings(tmp_path: Path) -> None:
    """Its table does not allow NULL yet."""
    path = tmp_path / "tinyllm.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(DUMP.read_text(encoding="utf-8"))
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrations.apply(Database(db), stop_before="m008_unset_sampling")
        schema = db.execute("SELECT sql FROM sqlite_master WHERE name = 'samplings'").fetchone()[0]
        strict = schema.replace("temperature REAL,", "temperature REAL NOT NULL,").replace(
            "top_p REAL,", "top_p REAL NOT NULL,"
        )
        assert strict.count("REAL NOT NULL") == 2
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'samplings'", (strict,))
        before = db.execute("SELECT * FROM samplings ORDER BY hash").fetchall()
    assert before
    unset = ElicitationConfig(
        teacher="t", backend="openai", model="m", revision="", sampling=Sampling(temperature=None, top_p=None)
    )
    with open_store(path) as store:
        assert [tuple(row.values()) for row in store.rows("SELECT * FROM samplings ORDER BY hash")] == before
        assert list(store.rows("PRAGMA foreign_key_check")) == []
        assert store.one("PRAGMA integrity_check") == {"integrity_check": "ok"}
        parents = {row["table"] for row in store.rows("PRAGMA foreign_key_list(rationales)")}
        assert parents == {"questions", "prompts", "samplings"}
        add(store, unset)
        found = store.one("SELECT temperature, top_p FROM samplings WHERE hash = ?", (unset.hash,))
    assert found == {"temperature": None, "top_p": None}


def add(store: Store, asking: ElicitationConfig) -> None:
    store.questions.replace("fresh", "here", "1", make_questions(1))
    with store.writing():
        store.rationales.add_asking(asking)
