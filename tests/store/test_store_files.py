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
import sqlite_utils

from tests.conftest import Command, environment, make_questions, write_dataset
from tests.models import record_run
from tinyllm_cli.errors import UsageProblem, WorldProblem
from tinyllm_cli.store import Store, database, explain, open_store
from tinyllm_cli.store.migrations import migrations


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


@pytest.mark.parametrize("create", [True, False])
def test_a_database_in_memory_is_refused(create: bool) -> None:
    with pytest.raises(UsageProblem, match="a database in memory is lost when the command ends") as raised:
        open_store(Path(":memory:"), create=create)
    assert "--db" in raised.value.hint


def test_the_command_refuses_a_database_in_memory(inside: Command) -> None:
    done = inside("import", "everyday", "--db", ":memory:")
    assert done.returncode == 2
    assert "a database in memory" in done.stderr


@pytest.mark.parametrize("replace", [False, True])
def test_writing_to_a_deleted_or_replaced_file_is_an_error(tmp_path: Path, replace: bool) -> None:
    path = tmp_path / "tinyllm.db"
    store = open_store(path)
    fill(store)
    path.unlink()
    if replace:
        open_store(path).close()
    lost = "was deleted or replaced while this command was using it"
    with pytest.raises(WorldProblem, match=lost):
        fill(store, 8)
    with pytest.raises(WorldProblem, match=lost), store.writing():
        store.execute("DELETE FROM dataset_questions")
    with pytest.raises(WorldProblem, match=lost):
        store.close()


def test_a_statement_without_a_transaction_is_checked_when_the_store_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "tinyllm.db"
    store = open_store(path)
    store.execute("INSERT INTO datasets VALUES ('toy', '', '', '')")
    path.unlink()
    with pytest.raises(WorldProblem, match="its results are lost"):
        store.close()


def test_reading_a_deleted_file_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "tinyllm.db"
    with open_store(path) as store:
        fill(store)
    with open_store(path) as store:
        path.unlink()
        assert rows(store, "questions") == 4
        store.close()  # a second time is no error


def test_a_command_whose_database_is_deleted_ends_with_an_error(tinyllm: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=400)
    spec = '[teachers.slow]\nbackend = "scripted"\nreplies = ["So it is."]\n'
    (tmp_path / "tinyllm.toml").write_text(spec, encoding="utf-8")
    assert tinyllm("import", "toy").returncode == 0
    code = (
        "import os, sys\n"
        "from backends import scripted\n"
        "real = scripted.ScriptedTeacher.generate\n"
        "def generate(*arguments):\n"
        "    for number, answers in enumerate(real(*arguments)):\n"
        "        if number == 1:\n"
        "            os.unlink('tinyllm.db')\n"
        "        yield answers\n"
        "scripted.ScriptedTeacher.generate = generate\n"
        "sys.argv = ['tinyllm', 'elicit', '--teacher', 'slow', '--dataset', 'toy']\n"
        "from tinyllm_cli.__main__ import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment(), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "was deleted or replaced" in done.stderr


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A database with data in a folder that can't be written, below one that everybody may enter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open_store(folder / "tinyllm.db") as store:
            fill(store)
        for mode, place in ((0o444, folder / "tinyllm.db"), (0o555, folder)):
            place.chmod(mode)
        yield folder / "tinyllm.db"
        folder.chmod(0o755)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights are different here")
def test_a_database_in_a_read_only_folder_can_be_read(read_only: Path) -> None:
    with without_privileges():
        with open_store(read_only, create=False) as store:
            assert store.read_only
            assert next(store.questions.iterate("toy", "train")).key == "train-0"
            store.runs.mark_killed()
            store.verdicts.add("g", [])
            with pytest.raises(sqlite3.OperationalError) as raised:
                store.questions.replace("other", "here", "1", make_questions(2))
        problem = explain(raised.value, read_only)
        assert "can't be opened for writing" in str(problem)
        with pytest.raises(WorldProblem, match="can't be opened for writing"):
            open_store(read_only)
        assert [entry.name for entry in read_only.parent.iterdir()] == ["tinyllm.db"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights are different here")
def test_a_read_only_database_shows_what_another_process_is_writing(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as name, open_store(Path(name) / "tinyllm.db") as writer:
        fill(writer)
        for path in Path(name).iterdir():
            path.chmod(0o444)
        Path(name).chmod(0o555)
        with without_privileges(), open_store(writer.path, create=False) as reader:
            assert rows(reader, "questions") == 4
        Path(name).chmod(0o755)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights are different here")
def test_an_old_database_in_a_read_only_folder_is_not_updated(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "tinyllm.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            migrations.apply(sqlite_utils.Database(db), stop_before="m007_typed_columns")
        Path(name).chmod(0o555)
        with without_privileges(), pytest.raises(WorldProblem, match="an older tinyllm") as raised:
            open_store(path, create=False)
        assert "writable folder" in raised.value.hint
        Path(name).chmod(0o755)


BROKEN = ["{", "[1, 2", "null", "7", '"text"', "", "[" * 100_000]


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: text[:8])
def test_broken_json_is_reported_with_its_column(store: Store, text: str) -> None:
    fill(store)
    store.execute("UPDATE questions SET options = ?", (text,))
    with pytest.raises(WorldProblem, match=r"is damaged: questions\.options") as raised:
        list(store.questions.iterate("toy", "train"))
    assert "Restore a copy" in raised.value.hint
    assert len(str(raised.value)) < 300 + len(str(store.path))


def test_a_report_on_broken_json_is_an_error_with_one_sentence(inside: Command, store: Store, tmp_path: Path) -> None:
    fill(store)
    record_run(store, tmp_path / "run")
    store.execute("UPDATE runs SET metrics = '{broken'")
    done = inside("report")
    assert done.returncode == 1
    assert "runs.metrics" in done.stderr
    assert "unexpected" not in done.stderr
    store.execute("UPDATE runs SET metrics = '{}'")
    store.execute("UPDATE questions SET options = '{broken'")
    done = inside("audit", "--dataset", "toy")
    assert done.returncode == 1
    assert "unexpected" not in done.stderr


def test_opening_the_store_leaves_pandas_alone() -> None:
    """sqlite-utils would import it, which takes half a second; afterwards others can."""
    code = (
        "import sys\n"
        "import tinyllm_cli.store\n"
        "assert 'pandas' not in sys.modules, 'loaded, or blocked'\n"
        "import importlib.util\n"
        "print(importlib.util.find_spec('pandas') is not None)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("True", "False")
