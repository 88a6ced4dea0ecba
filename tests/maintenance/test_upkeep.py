"""Listing, pruning, backing up and checking a database and its run folders."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command
from tinyllm_cli.store import Store, open_store


def listed(command: Command, *arguments: str) -> dict[str, Any]:
    done = command("list", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_list_counts_rows_and_disk_use(inside: Command, place: Path) -> None:
    found = listed(inside)
    toy = next(one for one in found["datasets"] if one["name"] == "toy")
    assert (toy["splits"], toy["rationales"], toy["teachers"], toy["runs"]) == (
        {"train": 8, "valid": 4, "test": 4}, 16, 2, 3,
    )  # fmt: skip
    assert next(one for one in found["datasets"] if one["name"] == "shared")["rationales"] == 4
    parrot = next(one for one in found["teachers"] if one["name"] == "parrot")
    assert (parrot["rationales"], parrot["reviewed"], parrot["datasets"]) == (8, 1, ["shared", "toy"])
    replies = [len(text) for text in ("It follows from what the thing is for.", "Because.")]
    assert min(replies) * 8 <= parrot["bytes"] <= max(replies) * 8
    sizes = [
        sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        for folder in sorted((place / "tinyllm-runs").glob("[0-9]*"))
    ]
    assert [one["bytes"] for one in found["runs"]] == sizes
    assert {one["student_files"] for one in found["runs"]} == {"present"}
    assert found["runs_bytes"] >= sum(sizes)
    assert found["bytes"] >= (place / "tinyllm.db").stat().st_size
    assert [(one["name"], one["cells"]) for one in found["plans"]] == [("seeds", {"done": 2})]
    runs = listed(inside, "runs")
    assert (runs["datasets"], len(runs["runs"])) == (None, 3)
    text = inside("list").stdout
    assert all(title in text for title in ("Data sets", "Teachers", "Runs", "Plans of experiments"))


def pruned(command: Command, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = command("prune", *arguments, "--json")
    assert done.returncode == code, done.stderr
    return dict(json.loads(done.stdout)) if not code else {}


def test_pruning_keeps_the_best_of_each_arm_and_all_records(inside: Command, place: Path) -> None:
    with open_store(place / "tinyllm.db") as store:  # three runs of the same settings with other seeds
        row = store.one("SELECT * FROM runs WHERE id = 1")
        assert row is not None
        for number, accuracy in ((4, 0.75), (5, 0.25)):
            valid = [{"step": 1, "accuracy": accuracy, "loss": 1.0}]
            changed = {
                "id": number, "seed": number, "folder": f"tinyllm-runs/{number}-student-toy",
                "metrics": json.dumps({"best_step": 1, "valid": valid}),
                "settings": json.dumps({**json.loads(row["settings"]), "seed": number}),
            }  # fmt: skip
            values = {**row, **changed}
            marks = ", ".join("?" * len(values))
            store.execute(f"INSERT INTO runs ({', '.join(values)}) VALUES ({marks})", list(values.values()))
            folder = place / "tinyllm-runs" / f"{number}-student-toy"
            shutil.copytree(place / "tinyllm-runs" / "1-student-toy", folder)
        store.execute(
            "UPDATE runs SET metrics = json_set(metrics, '$.best_step', 1, '$.valid', json('[{\"step\": 1,"
            ' "accuracy": 0.5, "loss": 1}]\')) WHERE id = 1'
        )
        before = list(store.rows("SELECT * FROM runs"))
    (place / "tinyllm-runs" / "1-student-toy" / "exported").mkdir()
    (place / "tinyllm-runs" / "1-student-toy" / "exported" / "model.bin").write_bytes(b"mine")
    asked = inside("prune")
    assert (asked.returncode, "Deleting needs a confirmation" in asked.stderr) == (2, True)
    found = pruned(inside, "--yes")
    assert (found["pruned"], found["kept"], found["foreign"]) == ([1, 5], [4, 2, 3], [])
    assert found["bytes"] > 10_000
    assert sorted(path.name for path in (place / "tinyllm-runs" / "1-student-toy").iterdir()) == [
        "README.md", "exported",
    ]  # fmt: skip
    with open_store(place / "tinyllm.db") as store:
        assert list(store.rows("SELECT * FROM runs")) == before
    assert [one["student_files"] for one in listed(inside, "runs")["runs"]] == [
        "pruned", "present", "present", "present", "pruned",
    ]  # fmt: skip
    assert inside("check").returncode == 0, "what was pruned is not missing"
    assert inside("report").returncode == 0
    done = inside("eval", "--run", "1")
    assert (done.returncode, "Run 1 (done) has no student" in done.stderr) == (1, True)
    assert pruned(inside, "--yes")["pruned"] == []


def test_a_backup_is_one_consistent_file(full: Store, inside: Command, place: Path) -> None:
    full.execute("CREATE TABLE pairs (a INTEGER, b INTEGER)")
    stop = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        with closing(sqlite3.connect(place / "tinyllm.db", timeout=30, isolation_level=None)) as db:
            while not stop.is_set():
                db.execute("BEGIN IMMEDIATE")
                db.execute("INSERT INTO pairs VALUES (?, 0)", (written,))
                db.execute("UPDATE pairs SET b = a WHERE a = ?", (written,))
                db.execute("COMMIT")
                written += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = [json.loads(inside("backup", f"b{number}.db", "--json").stdout) for number in range(3)]
    finally:
        stop.set()
        writer.join()
    assert written > 0
    for number, one in enumerate(found):
        path = place / f"b{number}.db"
        assert one["bytes"] == path.stat().st_size
        assert not path.with_name(f"b{number}.db-wal").exists()
        with open_store(path) as copy:
            assert copy.one("SELECT count(*) AS n FROM pairs WHERE a <> b") == {"n": 0}
            assert copy.one("PRAGMA integrity_check") == {"integrity_check": "ok"}
            assert len(copy.runs.everything()) == 3


def test_a_backup_replaces_only_when_it_may(inside: Command, place: Path) -> None:
    (place / "mine.txt").write_text("mine", encoding="utf-8")
    (place / "link.db").symlink_to("tinyllm.db")
    for arguments, message in (
        (("mine.txt",), "mine.txt exists."),
        (("tinyllm.db", "--replace"), "is the database itself"),
        (("link.db", "--replace"), "is the database itself"),
        (("tinyllm.db-wal", "--replace"), "is the database itself"),
        (("toy", "--replace"), "is not a regular file"),
    ):
        done = inside("backup", *arguments)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert (place / "mine.txt").read_text(encoding="utf-8") == "mine"
    done = inside("backup", "nowhere/b.db")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert inside("backup", "b.db").returncode == 0
    (place / ".b.db.tinyllm-new").write_bytes(b"of a backup that was killed")
    assert inside("backup", "b.db", "--replace").returncode == 0
    assert [path.name for path in place.glob(".b.db*")] == []
    with open_store(place / "b.db") as copy:
        assert len(copy.runs.everything()) == 3


def problems(command: Command, *arguments: str) -> set[tuple[str, str]]:
    done = command("check", "--json", *arguments)
    found = json.loads(done.stdout)["problems"]
    assert done.returncode == (1 if found else 0)
    return {(one["kind"], one["text"]) for one in found}


def test_a_sound_database_has_no_problem(inside: Command, place: Path) -> None:
    assert problems(inside) == set()
    assert "no problem found, 3 runs" in inside("check", "--quick").stdout


def test_missing_and_orphaned_folders_are_found(inside: Command, place: Path) -> None:
    runs = place / "tinyllm-runs"
    shutil.rmtree(runs / "1-student-toy")
    (runs / "9-gone-toy").mkdir()
    (runs / ".9-gone-toy.state").mkdir()
    (runs / ".2-student-toy.new-abc").mkdir()
    (runs / "notes").mkdir()
    assert {(kind, text.split(" (")[0]) for kind, text in problems(inside)} == {
        ("missing-folder", f"Run 1 has no student at {runs / '1-student-toy'}."),
        ("orphaned-folder", f"{runs / '9-gone-toy'} belongs to no run"),
        ("orphaned-folder", f"{runs / '.9-gone-toy.state'} belongs to no run"),
    }
    assert (runs / "9-gone-toy").exists(), "checking deletes nothing"


def test_dangling_references_and_damage_are_found(inside: Command, place: Path) -> None:
    with closing(sqlite3.connect(place / "tinyllm.db", isolation_level=None)) as db:
        db.execute("DELETE FROM questions WHERE hash = (SELECT question FROM rationales WHERE id = 1)")
    kinds = {kind for kind, _ in problems(inside)}
    assert kinds == {"reference"}
    assert "rows of rationales refer to rows of questions that do not exist" in inside("check").stderr
    with closing(sqlite3.connect(place / "tinyllm.db", isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute(
            "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'prompts')"
            " WHERE name = 'human_verdicts_by_rationale'"
        )
    done = inside("check")
    assert (done.returncode, "is damaged" in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize("arguments", [("list", "tables"), ("prune", "--keep", "all"), ("backup",), ("check", "x")])
def test_wrong_arguments_are_refused(inside: Command, place: Path, arguments: tuple[str, ...]) -> None:
    done = inside(*arguments)
    assert (done.returncode, done.stderr.startswith("Error: ")) == (2, True), done.stderr
