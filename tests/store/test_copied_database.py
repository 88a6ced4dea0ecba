"""A database and its runs are copied and moved together: nothing in it refers to where it was."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Command, write_dataset
from tests.models import make_folder, record_run
from tinyllm_cli.store import open_store

Cd = Callable[[Path], None]


@pytest.fixture
def first(inside: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a database and a finished run."""
    folder = tmp_path / "A"
    write_dataset(folder / "toy", train=4, test=2)
    make_folder(tmp_path / "tiny", "causal")
    monkeypatch.chdir(folder)
    assert inside("import", "toy").returncode == 0
    done = train(inside, tmp_path)
    assert done["folder"] == str(folder / "tinyllm-runs" / "1-tiny-toy")
    return folder


def train(inside: Command, tmp_path: Path) -> dict[str, object]:
    done = inside("distill", "--alpha", "0", "--student", tmp_path / "tiny", "--dataset", "toy", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_copy_works_on_its_own_students(
    inside: Command, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = tmp_path / "B"
    shutil.copytree(first, second)
    before = contents(first)
    with open_store(second / "tinyllm.db") as store:
        store.execute("UPDATE runs SET state = 'stopped'")
    student = second / "tinyllm-runs" / "1-tiny-toy"
    (student / "config.json").unlink()
    monkeypatch.chdir(second)
    resumed = train(inside, tmp_path)
    assert (resumed["run"], resumed["folder"]) == (1, str(student))
    assert (student / "config.json").exists()
    assert inside("eval", "--scoring", "rank").returncode == 0
    assert contents(first) == before


def test_a_moved_database_finds_its_students(
    inside: Command, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "C"
    first.rename(moved)
    monkeypatch.chdir(moved)
    assert train(inside, tmp_path)["folder"] == str(moved / "tinyllm-runs" / "1-tiny-toy")
    done = inside("eval", "--scoring", "rank", "--json")
    assert done.returncode == 0, done.stderr
    with open_store(moved / "tinyllm.db") as store:
        assert [run.id for run in store.runs.everything()] == [1]


def test_the_lock_of_a_run_is_beside_its_folder(tmp_path: Path) -> None:
    """So it protects the folder also where two databases share it through a link."""
    shared = tmp_path / "shared"
    (shared / "1-tiny-toy").mkdir(parents=True)
    paths = []
    for name in ("A", "B"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tinyllm-runs").symlink_to(shared)
        paths.append(tmp_path / name / "tinyllm.db")
    with open_store(paths[0]) as one, open_store(paths[1]) as other:
        for store in (one, other):
            record_run(store, store.path.parent / "tinyllm-runs" / "1-tiny-toy")
        with one.runs.claiming(1) as ours, other.runs.claiming(1) as theirs:
            assert (ours, theirs) == (True, False)
            assert [path.name for path in shared.iterdir() if path.suffix == ".lock"] == [".1-tiny-toy.tinyllm.lock"]
        with other.runs.claiming(1) as theirs:
            assert theirs
    assert not list(shared.glob(".*"))


def test_a_run_elsewhere_keeps_its_absolute_folder(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with open_store(tmp_path / "here" / "tinyllm.db") as store:
        run = record_run(store, tmp_path / "elsewhere")
    assert run.folder == str(tmp_path / "elsewhere")
    assert os.path.isabs(run.folder)
