"""Opening the store: foreign, damaged, busy and incomplete files, each with a clear message."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.conftest import environment, make_questions
from tinyllm_cli.errors import WorldProblem
from tinyllm_cli.store import Store, database, explain, open_store


def fill(store: Store, size: int = 4) -> None:
    store.questions.replace("toy", "here", "1", make_questions(size))


def rows(store: Store, table: str) -> int:
    row = store.one(f"SELECT count(*) AS n FROM {table}")
    assert row is not None
    return int(row["n"])


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root may write anywhere: be nobody for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "tinyllm.db"
    open_store(path).close()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('tinyllm','m999_new','')"
        )
    before = path.read_bytes()
    with pytest.raises(WorldProblem, match=r"written by a newer tinyllm .*m999_new") as raised:
        open_store(path)
    assert "Update tinyllm" in raised.value.hint
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "photos.db"
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE photos (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(WorldProblem, match=r"photos\.db belongs to another program"):
        open_store(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["photos.db"]


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "tinyllm.db").touch()
    with open_store(tmp_path / "tinyllm.db") as store:
        assert rows(store, "questions") == 0


@pytest.mark.parametrize("damage", ["text", "schema", "cut"])
def test_a_damaged_file_is_reported_as_such(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "tinyllm.db"
    with open_store(path) as store:
        fill(store, 2000)
    whole = path.read_bytes()
    path.write_bytes(
        {"text": b"no database\n" * 999, "schema": whole[:100] + b"\xff" * 4000, "cut": whole[:9000]}[damage]
    )

    def read() -> None:
        with open_store(path) as store:
            list(store.questions.iterate("toy", "train"))

    with pytest.raises((WorldProblem, sqlite3.DatabaseError)) as raised:
        read()
    problem = raised.value if isinstance(raised.value, WorldProblem) else explain(raised.value, path)
    assert "is damaged, or not a SQLite database" in str(problem)
    assert "--db" in problem.hint


def test_a_path_that_is_no_file_can_not_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere" / "tinyllm.db"):
        with pytest.raises(WorldProblem, match="can't be opened for writing") as raised:
            open_store(path)
        assert "writable file" in raised.value.hint


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights are different here")
def test_a_new_database_in_a_read_only_folder_is_refused() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        with without_privileges(), pytest.raises(WorldProblem, match="can't be opened for writing") as raised:
            open_store(folder / "tinyllm.db")
        assert "--db" in raised.value.hint
        assert list(folder.iterdir()) == []
        folder.chmod(0o755)


def test_a_busy_file_says_so_after_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    path = tmp_path / "tinyllm.db"
    with open_store(path) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError) as raised:
            fill(store)
        assert "is busy: another program" in str(explain(raised.value, path))
        other.execute("COMMIT")
        fill(store)
        assert rows(store, "questions") == 4


KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from tinyllm_cli.store import open_store
class Watched(sqlite3.Connection):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.set_trace_callback(self.seen)
    def seen(self, statement):
        if statement.startswith(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
real = sqlite3.connect
sqlite3.connect = lambda *arguments, **options: real(*arguments, factory=Watched, **options)
open_store(Path(sys.argv[1])).close()
"""


@pytest.mark.parametrize(
    "statement",
    [
        "PRAGMA journal_mode",
        "PRAGMA synchronous",
        "BEGIN IMMEDIATE",
        "CREATE UNIQUE INDEX",
        "CREATE TABLE questions",
        "CREATE TABLE predictions",
        "PRAGMA application_id =",
        "INSERT INTO",
        "COMMIT",
    ],
)
def test_a_kill_during_the_first_creation_leaves_nothing_half(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "tinyllm.db"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path), statement], env=environment(), check=False)
    assert killed.returncode == -signal.SIGKILL
    with closing(sqlite3.connect(path)) as seen:
        assert seen.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    with open_store(path) as store:
        fill(store)
        assert rows(store, "questions") == 4


OPEN = """
import sys
from pathlib import Path
from tinyllm_cli.store import open_store
print("ready", flush=True)
for line in sys.stdin:
    open_store(Path(line.strip())).close()
    print("open", flush=True)
"""


def test_several_processes_may_open_a_fresh_file_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment()}
    opening = [subprocess.Popen[str](command, **pipes) for _ in range(4)]
    assert [process.stdout.readline() for process in opening] == ["ready\n"] * 4
    for attempt in range(20):
        path = tmp_path / f"{attempt}.db"
        for process in opening:
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
        assert [process.stdout.readline() for process in opening] == ["open\n"] * 4
        with open_store(path) as store:
            assert rows(store, "_sqlite_migrations") == rows(store, "(SELECT DISTINCT name FROM _sqlite_migrations)")
    for process in opening:
        process.communicate(timeout=60)
        assert process.returncode == 0
