"""Deleting: what is shown is what goes, what others need stays, and no folder goes that is not the run's own."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command
from tests.store.test_old_database import DUMP
from tinyllm_cli.errors import Busy
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.store.migrations import APPLICATION_ID
from tinyllm_cli.store.removal import Selected


def counts(store: Store) -> dict[str, int]:
    tables = [row["name"] for row in store.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {
        table: next(iter(store.rows(f"SELECT count(*) AS n FROM {table}")))["n"]
        for table in tables if not table.startswith(("sqlite_", "_sqlite"))
    }  # fmt: skip


def sound(store: Store) -> bool:
    return store.one("PRAGMA integrity_check") == {"integrity_check": "ok"} and not list(store.upkeep.dangling())


def delete(command: Command, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = command("delete", *arguments, "--yes", "--json")
    assert done.returncode == code, done.stderr
    return dict(json.loads(done.stdout))


def folders(place: Path) -> set[str]:
    return {path.name for path in (place / "tinyllm-runs").iterdir()}


def test_a_trial_changes_nothing_and_counts_what_goes(full: Store, place: Path) -> None:
    before, dump = counts(full), "\n".join(full.connection.iterdump())
    for selected in (Selected(datasets=["toy"]), Selected(teachers=["parrot"]), Selected(runs=[1])):
        found = full.removal.remove(selected, trial=True)
        assert "\n".join(full.connection.iterdump()) == dump
        assert full.removal.remove(selected, trial=True) == found
    found = full.removal.remove(Selected(datasets=["toy"]), trial=False)
    after = counts(full)
    assert {table: before[table] - after[table] for table in before if before[table] != after[table]} == found.rows
    assert full.one("PRAGMA foreign_keys") == {"foreign_keys": 1}
    assert sound(full)


def test_a_data_set_goes_with_all_of_its_own(inside: Command, place: Path) -> None:
    with open_store(place / "tinyllm.db") as store:
        cost = store.one("SELECT count(*) AS n FROM rationales")
    found = delete(inside, "dataset", "toy")
    assert (found["deleted"], found["runs"], len(found["folders"]), found["rows"]["runs"]) == (True, [1, 2, 3], 3, 3)
    assert found["bytes"] > 10_000
    assert folders(place) == set()
    with open_store(place / "tinyllm.db") as store:
        left = counts(store)
        assert sound(store)
        shared = [row["question"] for row in store.rows("SELECT question FROM dataset_questions")]
        assert {row["question"] for row in store.rows("SELECT question FROM rationales")} == set(shared)
    assert cost == {"n": 16}
    assert (left["rationales"], left["questions"], left["datasets"]) == (4, 2, 1), "questions of the other set stay"
    assert (left["runs"], left["experiments"], left["predictions"], left["elicitations"]) == (0, 0, 0, 0)
    assert inside("list").returncode == 0
    assert inside("report").returncode == 0
    assert inside("import", "toy").returncode == 0


def test_a_teacher_goes_and_the_runs_that_learned_from_it_stay(inside: Command, place: Path) -> None:
    found = delete(inside, "teacher", "parrot")
    assert (found["rows"]["rationales"], found["runs"], found["learners"]) == (8, [], [1])
    assert found["rows"]["human_verdicts"] == 1
    assert len(folders(place)) == 3
    with open_store(place / "tinyllm.db") as store:
        assert {row["teacher"] for row in store.rows("SELECT teacher FROM rationales")} == {"owl"}
        assert [one.name for one in store.inventory.teachers()] == ["owl"]
        assert sound(store)
        kept = store.one("SELECT count(*) AS n FROM prompts WHERE hash IN (SELECT prompt FROM rationales)")
        assert kept == store.one("SELECT count(*) AS n FROM prompts")
    assert inside("gate", "--dataset", "toy").returncode == 0


def test_a_run_goes_and_its_cell_is_planned_again(inside: Command, place: Path) -> None:
    found = delete(inside, "run", "1", "3")
    assert (found["runs"], found["repeated"], found["kept_folders"]) == ([1, 3], 1, []), "no plan has run 3"
    assert folders(place) == {"2-student-toy"}
    [plan] = json.loads(inside("list", "plans", "--json").stdout)["plans"]
    assert plan["cells"] == {"done": 1, "planned": 1}
    with open_store(place / "tinyllm.db") as store:
        assert [one.run for one in store.experiments.done_cells().values()] == [2], "its result is not reused"
        assert sound(store)


def test_only_failed_runs(inside: Command, place: Path) -> None:
    assert "There are no failed runs." in inside("delete", "failed-runs", "--yes").stderr
    with open_store(place / "tinyllm.db") as store:
        store.execute("UPDATE runs SET state = 'failed' WHERE id = 2")
        store.execute("UPDATE runs SET state = 'stopped' WHERE id = 3")
    assert delete(inside, "failed-runs")["runs"] == [2]


@pytest.mark.parametrize("kind", ["card", "no-card", "link", "elsewhere", "shared"])
def test_a_folder_that_is_not_provably_the_runs_own_stays(inside: Command, place: Path, kind: str) -> None:
    folder = place / "tinyllm-runs" / "1-student-toy"
    outside = place / "1-mine"
    if kind == "card":  # of a run with the same number, of another database
        card = (folder / "README.md").read_text(encoding="utf-8")
        (folder / "README.md").write_text(card.replace("| started |", "| started | 2020"), encoding="utf-8")
    elif kind == "no-card":
        (folder / "README.md").unlink()
    elif kind == "link":
        folder.rename(outside)
        folder.symlink_to(outside)
    else:
        with open_store(place / "tinyllm.db") as store:
            if kind == "elsewhere":
                folder.rename(outside)
                store.execute("UPDATE runs SET folder = '1-mine' WHERE id = 1")
            else:
                store.execute("UPDATE runs SET folder = 'tinyllm-runs/1-student-toy' WHERE id = 2")
    found = delete(inside, "run", "1")
    assert (found["deleted"], found["folders"], found["bytes"]) == (True, [], 0)
    [kept] = found["kept_folders"]
    assert kept["reason"]
    assert (outside if outside.exists() else folder).joinpath("config.json").exists()


def test_a_copy_of_the_database_beside_it_deletes_no_folder_of_the_original(inside: Command, place: Path) -> None:
    shutil.copy(place / "tinyllm.db", place / "copy.db")
    found = delete(inside, "dataset", "toy", "--db", "copy.db")
    assert (found["folders"], len(found["kept_folders"])) == ([], 3)
    assert len(folders(place)) == 3


def test_what_another_process_uses_is_refused(full: Store, inside: Command) -> None:
    full.execute("UPDATE runs SET state = 'running' WHERE id = 1")
    with full.runs.claiming(1) as held:
        assert held
        for arguments in (("run", "1"), ("dataset", "toy")):
            done = inside("delete", *arguments, "--yes")
            assert (done.returncode, "run 1" in done.stderr) == (75, True), done.stderr
    full.execute("UPDATE runs SET state = 'stopped' WHERE id = 1")
    with full.runs.claiming(1):  # a process that begins to resume it
        assert inside("delete", "run", "1", "--yes").returncode == 75
    assert delete(inside, "run", "1")["runs"] == [1]


def test_an_elicitation_in_progress_is_refused(full: Store, inside: Command) -> None:
    from tinyllm_cli.store.locks import claiming

    full.execute("UPDATE elicitations SET state = 'running' WHERE id = 2")
    with claiming(full, "2"):
        done = inside("delete", "teacher", "owl", "--yes")
        assert (done.returncode, "owl on toy is being elicited" in done.stderr) == (75, True), done.stderr
        assert inside("rename", "teacher", "owl", "bird").returncode == 75
        assert inside("rename", "dataset", "toy", "bird").returncode == 75
        assert delete(inside, "teacher", "parrot")["deleted"]
    assert delete(inside, "teacher", "owl")["deleted"], "its process was killed"


def test_it_asks_and_shows_first(inside: Command, place: Path) -> None:
    done = inside("delete", "dataset", "toy")
    assert (done.returncode, "Deleting needs a confirmation" in done.stderr) == (2, True)
    text = " ".join(done.stdout.split())
    assert "To delete: toy (dataset)" in text
    assert "12 rows of rationales" in text
    assert "tinyllm-runs/1-student-toy" in done.stdout.replace("\n", "")
    assert len(folders(place)) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dataset",), "Which dataset?"),
        (("dataset", "to"), "There is no data set 'to'."),
        (("teacher", "par"), "There is no teacher 'par'."),
        (("run", "one"), "There is no run 'one'."),
        (("run", "1", "9"), "There is no run '9'."),
        (("failed-runs", "1"), "takes no name"),
        (("plan", "1"), "'plan' is not one of"),
    ],
)
def test_nothing_is_deleted_by_a_wrong_name(
    inside: Command, place: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = inside("delete", *arguments, "--yes")
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert len(folders(place)) == 3


def test_each_kind_of_row_of_an_old_database_can_go(tmp_path: Path) -> None:
    """With an open batch, claims, failures and scores."""
    path = tmp_path / "tinyllm.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(DUMP.read_text(encoding="utf-8"))
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    with open_store(path) as store:
        with pytest.raises(Busy, match="is not collected yet"):
            store.removal.remove(Selected(datasets=store.questions.names()), trial=False)
        assert store.one("PRAGMA foreign_keys") == {"foreign_keys": 1}
        store.execute("UPDATE batches SET finished = '2026', state = 'done'")
        store.elicitations.mark_killed()
        for teacher in [one.name for one in store.inventory.teachers()]:
            store.removal.remove(Selected(teachers=[teacher]), trial=False)
            assert sound(store)
        store.removal.remove(Selected(datasets=store.questions.names()), trial=False)
        assert sound(store)
        left = {table for table, count in counts(store).items() if count}
        assert not left & {"rationales", "prompts", "failures", "claims", "batches", "elicitations", "verdicts", "runs"}
