"""Renaming: no row names the old one, finished work is recognised under the new name, and nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Command
from tinyllm_cli.config import load_settings
from tinyllm_cli.experiments.availability import edition_of
from tinyllm_cli.records.experiments import CellEvaluation, CellTraining, ExperimentCell
from tinyllm_cli.store import Store, open_store


def texts(store: Store, *without: str) -> str:
    """All rows, except these columns."""
    found = []
    for row in store.rows("SELECT name FROM sqlite_master WHERE type = 'table'"):
        found += [
            {k: v for k, v in one.items() if k not in without} for one in store.rows(f"SELECT * FROM {row['name']}")
        ]
    return json.dumps(found)


def rename(command: Command, *arguments: str) -> str:
    done = command("rename", *arguments)
    assert done.returncode == 0, done.stderr
    return str(done.stderr)


def test_a_teacher_has_its_new_name_everywhere(inside: Command, place: Path) -> None:
    with open_store(place / "tinyllm.db") as store:
        before = texts(store, "command", "text")
        assert '"parrot"' in before.replace("\\", "")
    said = rename(inside, "teacher", "parrot", "polly")
    assert "The settings still define the teacher parrot." in said
    with open_store(place / "tinyllm.db") as store:
        after = texts(store, "command", "text")
        assert list(store.upkeep.dangling()) == []
        [first, *_] = [run for run in store.runs.everything() if len(run.alpha) == 2]
    left = after.replace("\\", "").replace('"parrot: "', "")  # the prefix that the student learned to read
    assert "parrot" not in left
    assert first.alpha == {"polly": 1.0, "owl": 0.5}
    assert set(first.sources) == {"polly", "owl"} == set(first.settings.prefixes)
    assert set(first.metrics["tasks"]) == {"answer", "polly", "owl"}
    found = json.loads(inside("gate", "--dataset", "toy", "--json").stdout)["teachers"]
    assert [one["teacher"] for one in found] == ["owl", "polly"]
    assert inside("report", "--html", "page.html").returncode == 0


def test_a_data_set_has_its_new_name_and_finished_training_is_recognised(inside: Command, place: Path) -> None:
    train = ("distill", "--alpha", "owl=1", "--student", "student", "--json")
    [own] = [json.loads(inside(*train, "--dataset", "toy").stdout)["run"]]
    rename(inside, "dataset", "toy", "our toy")
    with open_store(place / "tinyllm.db") as store:
        assert '"toy"' not in texts(store, "command", "source", "folder").replace("\\", "")
        assert store.questions.splits("our toy") == {"train": 8, "valid": 4, "test": 4}
        assert list(store.upkeep.dangling()) == []
    again = json.loads(inside(*train, "--dataset", "our toy").stdout)
    assert again["run"] == own, "not trained again"
    assert inside("eval", "--run", str(own)).returncode == 0
    assert inside("inspect", "train-0", "--dataset", "our toy").returncode == 0
    assert inside("check").returncode == 0


@pytest.mark.parametrize(("kind", "old", "new"), [("dataset", "toy", "new"), ("teacher", "owl", "new")])
def test_finished_cells_have_the_identity_of_the_new_names(
    inside: Command, place: Path, kind: str, old: str, new: str
) -> None:
    rename(inside, kind, old, new)
    dataset = "new" if kind == "dataset" else "toy"
    with open_store(place / "tinyllm.db") as store:
        edition = edition_of(store, dataset, load_settings(place / "tinyllm.toml"))
        [plan] = store.rows("SELECT plan FROM experiments")
        cells = json.loads(plan["plan"])["cells"]
        assert len(cells) == 2
        done = store.experiments.done_cells()
        assert set(done) == {cell["identity"] for cell in cells}
        for cell in cells:
            assert cell["edition"].split()[0] == edition
            assert cell["label"]["dataset"] == cell["distill"]["dataset"] == dataset
            expected = ExperimentCell(
                label=cell["label"], distill=CellTraining(**cell["distill"]),
                evaluate=CellEvaluation(**cell["evaluate"]), edition=cell["edition"],
            )  # fmt: skip
            assert cell["identity"] == expected.identity
        assert [one.label["dataset"] for one in store.experiments.cells(1)] == [dataset, dataset]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dataset", "to", "new"), "There is no data set 'to'."),
        (("dataset", "toy", "shared"), "There is a data set 'shared' already."),
        (("teacher", "owl", "parrot"), "There is a teacher 'parrot' already."),
        (("teacher", "nobody", "x"), "There is no teacher 'nobody'."),
        (("dataset", "toy", "../x"), "can't be called"),
        (("run", "1", "2"), "'run' is not one of"),
        (("dataset", "toy"), "Missing argument"),
    ],
)
def test_wrong_names_change_nothing(inside: Command, place: Path, arguments: tuple[str, ...], message: str) -> None:
    with open_store(place / "tinyllm.db") as store:
        before = texts(store)
        done = inside("rename", *arguments)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
        assert texts(store) == before


def test_an_error_in_the_middle_renames_nothing(full: Store) -> None:
    before = texts(full)

    def broken() -> dict[str, str]:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        full.renaming.rename("teacher", "owl", "bird", broken)
    assert texts(full) == before
