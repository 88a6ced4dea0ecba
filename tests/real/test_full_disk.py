"""A disk that fills up while many requests are in flight: what was committed is kept, and only the rest is asked."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.conftest import start, write_dataset, write_host
from tests.endpoint import Answer, completion, serving

pytestmark = pytest.mark.real
QUESTIONS, IN_FLIGHT = 300, 16
ELICIT = ("elicit", "-t", "host", "-d", "toy", "--icl", "0", "--db", "disk/tinyllm.db")


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of so many bytes in `folder`; skips where that can't be had."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # a failed test may still be writing there


def enlarge(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)


def run(folder: Path, *arguments: str, file_size: int | None = None) -> tuple[int, str, str]:
    process = start(folder, *arguments, file_size=file_size)
    out, error = process.communicate(timeout=120)
    return process.returncode, out, error


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "disk" / "tinyllm.db")) as db:
        return db.execute(query).fetchall()


def fill_up_and_continue(folder: Path, *, file_size: int | None, enlarged: bool) -> None:
    write_dataset(folder / "toy", train=QUESTIONS)
    with serving(lambda _n, _b: Answer(delay=0.01, body=completion("word " * 300))) as endpoint:
        write_host(folder, endpoint.url, max_in_flight=IN_FLIGHT)
        assert run(folder, "import", "toy", "--db", "disk/tinyllm.db")[0] == 0
        code, _, error = run(folder, *ELICIT, file_size=file_size)
        assert code == 1, error
        assert "disk/tinyllm.db can't be written" in error
        assert "Free some space, then run the same command: it resumes." in error
        assert "Traceback" not in error, error
        if enlarged:
            enlarge(folder / "disk")
        [(kept,)] = rows(folder, "SELECT count(*) FROM rationales")
        assert isinstance(kept, int)
        assert 0 < kept < QUESTIONS
        assert kept < len(endpoint.bodies) <= kept + IN_FLIGHT
        assert rows(folder, "PRAGMA integrity_check") == [("ok",)]
        assert rows(folder, "SELECT sum(replies) FROM elicitations") == [(kept,)]
        code, out, error = run(folder, *ELICIT)
        assert code == 0, error
        assert f"{QUESTIONS - kept} new rationales, {kept} already stored." in out
        asked = Counter(endpoint.asked())
    assert len(asked) == QUESTIONS
    assert asked.total() <= QUESTIONS + IN_FLIGHT
    assert rows(folder, "SELECT count(*), count(DISTINCT question) FROM rationales") == [(QUESTIONS, QUESTIONS)]
    assert rows(folder, "SELECT * FROM claims") == []
    [first, *_, last] = rows(folder, "SELECT state FROM elicitations ORDER BY id")
    assert first in [("failed",), ("killed",)]
    assert last == ("done",)
    assert list((folder / "disk").glob("*.lock")) == []


def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    fill_up_and_continue(tmp_path, file_size=500_000, enlarged=False)


def test_a_file_system_without_space(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "800k"):
        fill_up_and_continue(tmp_path, file_size=None, enlarged=True)


def test_a_disk_that_is_full_from_the_beginning(tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=20)
    with serving(lambda _n, _b: Answer()) as endpoint, small_disk(tmp_path / "disk", "200k"):
        write_host(tmp_path, endpoint.url)
        fill = tmp_path / "disk" / "something"
        with pytest.raises(OSError, match="No space left"):
            fill.write_bytes(bytes(300_000))
        code, _, error = run(tmp_path, *ELICIT)
        assert code == 1
        assert "disk" in error
        assert "Traceback" not in error, error
        assert "defect" not in error
        assert endpoint.bodies == []
        fill.unlink()
        enlarge(tmp_path / "disk")
        assert run(tmp_path, *ELICIT)[0] == 0
        assert len(endpoint.bodies) == 20
