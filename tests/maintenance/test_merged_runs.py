"""Merging runs: their numbers, folders, evaluations and plans."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command
from tests.merging.stores import content
from tinyllm_cli.errors import Busy
from tinyllm_cli.merging.merge import merge
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.training.checkpoint import state_folder


def merged(command: Command, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = command("merge", *arguments, "--json")
    assert done.returncode == code, done.stderr
    return dict(json.loads(done.stdout or done.stderr.splitlines()[-1]))


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture
def other(place: Path) -> Path:
    """A copy of the database in another folder, whose run 2 is another one, and which has its runs' folders."""
    path = place / "other" / "tinyllm.db"
    path.parent.mkdir()
    shutil.copytree(place / "tinyllm-runs", path.parent / "tinyllm-runs")
    shutil.copyfile(place / "tinyllm.db", path)
    with open_store(path) as store:
        store.execute("UPDATE runs SET started = '2026-12-01T00:00:00.000+00:00', seed = 5 WHERE id = 2")
    (path.parent / "tinyllm-runs" / "2-student-toy" / "model.safetensors").write_bytes(b"weights")
    card = path.parent / "tinyllm-runs" / "2-student-toy" / "README.md"
    text = card.read_text(encoding="utf-8")
    with open_store(place / "tinyllm.db") as store:
        run = store.runs.find(2)
    assert run is not None
    card.write_text(text.replace(run.started, "2026-12-01T00:00:00.000+00:00"), encoding="utf-8")
    return path


def test_a_new_run_gets_a_free_number_and_keeps_its_folder(inside: Command, place: Path, other: Path) -> None:
    before = weights(place / "tinyllm-runs" / "2-student-toy")
    trial = merged(inside, str(other), "--dry-run")["stores"][0]
    assert (trial["tables"]["runs"], trial["bytes"] > 1000) == ({"new": 1, "known": 2, "updated": 0}, True)
    assert not (place / "tinyllm-runs" / "4-student-toy").exists()
    [store] = merged(inside, str(other))["stores"]
    numbers = [(run["was"], run["number"], run["change"]) for run in store["runs"]]
    assert numbers == [(1, 1, "none"), (2, 4, "new"), (3, 3, "none")]
    assert weights(place / "tinyllm-runs" / "4-student-toy") == b"weights"
    assert weights(place / "tinyllm-runs" / "2-student-toy") == before
    assert weights(other.parent / "tinyllm-runs" / "2-student-toy") == b"weights"
    with open_store(place / "tinyllm.db") as store:
        added = [one for one in store.evaluations.everything() if one.subject.run == 4]
        assert [(one.subject.name, one.correct is not None) for one in added] == [("run 4", True)]
        assert len(list(store.evaluations.predictions(added[0].id))) == 4
        after = content(store)
    assert merged(inside, str(other))["stores"][0]["runs"][1]["change"] == "none"
    with open_store(place / "tinyllm.db") as store:
        assert content(store) == after
    assert sorted(path.name for path in (place / "tinyllm-runs").iterdir()) == [
        f"{number}-student-toy" for number in (1, 2, 3, 4)
    ]
    assert inside("check").returncode == 0
    assert inside("delete", "run", "4", "--yes").returncode == 0
    assert not (place / "tinyllm-runs" / "4-student-toy").exists(), "the folder is provably the run's own"


def test_a_later_state_replaces_the_earlier_one(full: Store, place: Path, other: Path) -> None:
    """Run 1 was stopped here and went on there."""
    home, there = place / "tinyllm-runs" / "1-student-toy", other.parent / "tinyllm-runs" / "1-student-toy"
    full.execute("UPDATE runs SET state = 'stopped', metrics = '{}', finished = '2026-01-01' WHERE id = 1")
    full.execute("UPDATE cells SET state = 'planned', evaluation = NULL WHERE run = 1")
    full.execute("DELETE FROM predictions WHERE evaluation IN (SELECT id FROM evaluations WHERE run = 1)")
    full.execute("UPDATE evaluations SET correct = NULL WHERE run = 1")
    shutil.rmtree(home)
    state_folder(home).mkdir()
    with full.runs.claiming(1) as ours:
        assert ours
        with pytest.raises(Busy, match="Another process is training run 1"):
            merge(full, other)
    done = merge(full, other)
    run = full.runs.find(1)
    assert run is not None
    assert (run.state, bool(run.metrics), weights(home) == weights(there)) == ("done", True, True)
    assert not state_folder(home).exists()
    updated = {table for table, counts in done.tables.items() if counts.updated}
    assert updated == {"runs", "evaluations", "cells"}
    [cell] = [one for one in full.experiments.cells(1) if one.run == 1]
    assert (cell.state, cell.evaluation is not None) == ("done", True)
    assert merge(full, other).changes == 0
    full.execute("UPDATE runs SET state = 'done', metrics = '{}' WHERE id = 1")
    assert merge(full, other).changes == 0, "of two finished runs, this database's stays"


def test_a_run_that_another_process_trains_comes_as_a_stopped_one_with_its_state(
    full: Store, place: Path, other: Path
) -> None:
    with open_store(other) as store:
        store.execute("UPDATE runs SET state = 'running', finished = NULL WHERE id = 2")
        folder = store.runs.find(2)
        assert folder is not None
        state = state_folder(Path(folder.folder)) / "step-000000004-1"
        state.mkdir(parents=True)
        (state / "state.json").write_text("{}", encoding="utf-8")
        with store.runs.claiming(2) as ours:
            assert ours
            merge(full, other)
    run = full.runs.find(4)
    assert run is not None
    assert (run.state, run.error) == ("stopped", "merged while it was being trained")
    assert (state_folder(Path(run.folder)) / "step-000000004-1" / "state.json").read_text(encoding="utf-8") == "{}"
    assert merge(full, other).changes == 0


def test_a_merge_that_fails_leaves_nothing(inside: Command, place: Path, other: Path) -> None:
    shutil.move(place / "tinyllm-runs", place / "aside")
    (place / "tinyllm-runs").write_text("in the way", encoding="utf-8")
    with open_store(place / "tinyllm.db") as store:
        before = content(store)
    assert "tinyllm-runs" in str(merged(inside, str(other), code=1)["error"])
    with open_store(place / "tinyllm.db") as store:
        assert content(store) == before
    (place / "tinyllm-runs").unlink()
    (place / "aside").rename(place / "tinyllm-runs")
    assert merged(inside, str(other))["stores"][0]["tables"]["runs"]["new"] == 1
    assert not list(place.rglob(".*merging*"))
