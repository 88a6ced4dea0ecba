"""A report replaces an earlier report and nothing else, whole or not at all."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest

from tests.conftest import Command, start
from tests.report.test_arms import data, evaluated, first, report
from tinyllm_cli.errors import UsageProblem, WorldProblem
from tinyllm_cli.files import belongs_to_database, write_whole
from tinyllm_cli.report.outputs import MANIFEST, Outputs
from tinyllm_cli.store import Store

OPTIONS = ("--html", "--md", "--latex")


@pytest.fixture
def full(store: Store) -> Store:
    data(store, "toy", 40)
    evaluated(store, "toy", first(20))
    evaluated(store, "toy", first(8), method="finetune")
    return store


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", ["tinyllm.db", "tinyllm.db-wal", "tinyllm.db-shm", "linked.db", "sub/../tinyllm.db"])
def test_the_database_is_never_replaced(inside: Command, full: Store, tmp_path: Path, option: str, name: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "linked.db").symlink_to(tmp_path / "tinyllm.db")
    done = inside("report", option, name)
    assert done.returncode == 2
    assert "is the database" in done.stderr
    with sqlite3.connect(tmp_path / "tinyllm.db") as db:
        assert db.execute("SELECT count(*) FROM runs").fetchone() == (2,)


def test_a_database_within_the_folder_of_tables_is_not_replaced(inside: Command, full: Store, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    full.close()
    (tmp_path / "tinyllm.db").rename(tmp_path / "tables" / "costs.csv")
    done = inside("report", "--csv", "tables", "--db", "tables/costs.csv")
    assert done.returncode == 2
    assert "is the database" in done.stderr


def test_a_second_link_to_the_database_is_the_database(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("x", encoding="utf-8")
    os.link(tmp_path / "a.db", tmp_path / "b.db")
    assert belongs_to_database(tmp_path / "b.db", tmp_path / "a.db")
    assert not belongs_to_database(tmp_path / "c.db", tmp_path / "a.db")


@pytest.mark.parametrize("option", OPTIONS)
def test_a_file_of_the_user_is_not_replaced_and_a_report_is(
    inside: Command, full: Store, tmp_path: Path, option: str
) -> None:
    mine = "# Notes on what tinyllm report shows\n" + "x\n" * 200
    (tmp_path / "out").write_text(mine, encoding="utf-8")
    done = inside("report", option, "out")
    assert done.returncode == 2
    assert "out exists and is not a tinyllm report" in done.stderr
    assert (tmp_path / "out").read_text(encoding="utf-8") == mine
    for _ in range(2):
        assert inside("report", option, "fresh").returncode == 0
    (tmp_path / "empty").touch()
    assert inside("report", option, "empty").returncode == 0


def test_two_outputs_to_one_file_are_refused(inside: Command, full: Store, tmp_path: Path) -> None:
    for second in (("--md", "a/../r"), ("--latex", str(tmp_path / "r"))):
        (tmp_path / "a").mkdir(exist_ok=True)
        done = inside("report", "--html", "r", *second)
        assert done.returncode == 2
        assert "write to the same file" in done.stderr
    done = inside("report", "--md", "tables/gains.csv", "--csv", "tables")
    assert done.returncode == 2
    assert not (tmp_path / "r").exists()


def test_a_folder_keeps_what_is_not_of_a_report(inside: Command, full: Store, tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "costs.csv").write_text("mine", encoding="utf-8")
    done = inside("report", "--csv", "tables")
    assert done.returncode == 2
    assert "costs.csv exists and is not of an earlier report" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["costs.csv"]
    assert (folder / "costs.csv").read_text(encoding="utf-8") == "mine"


def test_a_file_of_an_earlier_report_does_not_outlive_its_rows(full: Store, tmp_path: Path) -> None:
    outputs = Outputs(csv=tmp_path / "tables")
    full.execute("UPDATE runs SET state = 'stopped' WHERE id = 1")
    assert list(outputs.write(report(full), None)) == [tmp_path / "tables"]
    (tmp_path / "tables" / "notes.csv").write_text("mine", encoding="utf-8")
    assert (tmp_path / "tables" / "left-out.csv").exists()
    full.execute("UPDATE runs SET state = 'done' WHERE id = 1")
    outputs.check(full.path)
    list(outputs.write(report(full), None))
    names = {path.name for path in (tmp_path / "tables").iterdir()}
    assert names == {MANIFEST, "notes.csv", "table1.csv", "gains.csv", "comparisons.csv", "arms.csv", "evaluations.csv"}
    assert set(json.loads((tmp_path / "tables" / MANIFEST).read_text(encoding="utf-8"))["files"]) == names - {
        MANIFEST, "notes.csv",
    }  # fmt: skip


def test_a_manifest_makes_nobody_elses_file_ours(full: Store, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine", encoding="utf-8")
    folder = tmp_path / "tables"
    folder.mkdir()
    listed = {"about": "Made by tinyllm report", "files": ["../precious", "notes.csv", 7, "gains.csv"]}
    (folder / MANIFEST).write_text(json.dumps(listed), encoding="utf-8")
    (folder / "notes.csv").write_text("mine", encoding="utf-8")
    outputs = Outputs(csv=folder)
    outputs.check(full.path)
    list(outputs.write(report(full), None))
    assert (tmp_path / "precious").read_text(encoding="utf-8") == "mine"
    assert (folder / "notes.csv").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("text", ["{}", "[1]", "not json", '{"about": "Made by tinyllm report", "files": 3}'])
def test_a_manifest_that_is_not_ours_is_not_replaced(full: Store, tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises((UsageProblem, WorldProblem), match=MANIFEST):
        Outputs(csv=tmp_path).check(full.path)


def test_a_full_disk_leaves_the_previous_report(full: Store, tmp_path: Path) -> None:
    list(Outputs(html=tmp_path / "r.html").write(report(full), None))
    before = (tmp_path / "r.html").read_bytes()
    full.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    process = start(tmp_path, "report", "--html", "r.html", file_size=4000)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "r.html can't be written: File too large." in said
    assert (tmp_path / "r.html").read_bytes() == before
    assert not list(tmp_path.glob(".r.html*"))


def test_a_folder_that_is_missing_is_named(full: Store, tmp_path: Path) -> None:
    with pytest.raises(WorldProblem, match=r"no/such/r\.html can't be written: there is no folder"):
        Outputs(html=Path("no/such/r.html")).check(full.path)


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "target").write_text("old", encoding="utf-8")
    (tmp_path / "link").symlink_to("far/target")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "far" / "target").read_text(encoding="utf-8") == "new"
    assert [path.name for path in (tmp_path / "far").iterdir()] == ["target"]


def test_a_device_is_written_to_and_stays(inside: Command, full: Store) -> None:
    assert inside("report", "--md", "/dev/null").returncode == 0
    assert Path("/dev/null").is_char_device()


def test_a_link_in_the_place_of_a_draft_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine", encoding="utf-8")
    (tmp_path / ".r.html.tinyllm-new").symlink_to("precious")
    write_whole(tmp_path / "r.html", "new")
    assert (tmp_path / "precious").read_text(encoding="utf-8") == "mine"
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == "new"
