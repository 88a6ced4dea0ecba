"""Generated data sets in the database: questions and rationales in one command, and the same again without a change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tinyllm_cli
from tests.conftest import Command
from tests.files import rows
from tinyllm_cli.datasets.procedural.generate import FAMILIES, TEACHERS, generate, parameters
from tinyllm_cli.errors import UsageProblem

COUNTS = {"train": 20, "valid": 4, "test": 10}


def content(folder: Path) -> list[list[tuple[Any, ...]]]:
    """All questions, data sets and rationales."""
    tables = ("datasets", "questions", "dataset_questions", "rationales")
    return [sorted(rows(folder, f"SELECT * FROM {table}"), key=str) for table in tables]


RATIONALES = (
    "SELECT r.teacher, dq.split, dq.key, r.text, r.answer FROM rationales r"
    " JOIN dataset_questions dq ON dq.question = r.question"
)


@pytest.mark.parametrize("family", FAMILIES)
def test_questions_and_rationales_are_stored_in_one_command(family: str, inside: Command, tmp_path: Path) -> None:
    sizes = [str(word) for split, count in COUNTS.items() for word in (f"--{split}", count)]
    done = inside("import", "--procedural", family, *sizes, "--seed", "3", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["dataset"], result["splits"], result["changed"]) == (family, COUNTS, True)
    expected = {
        (teacher, one.question.split, one.question.key, text, one.claims.get(teacher))
        for one in generate(parameters(family, COUNTS, seed=3), family)
        for teacher, text in one.rationales.items()
    }
    assert set(rows(tmp_path, RATIONALES)) == expected
    before = content(tmp_path)
    again = inside("import", "--procedural", family, *sizes, "--seed", "3")
    assert again.returncode == 0
    assert f"{family}: train 20, valid 4, test 10 (unchanged)" in again.stdout + again.stderr
    assert content(tmp_path) == before


def test_the_api_imports_under_another_name(tmp_path: Path) -> None:
    with tinyllm_cli.open_store(tmp_path / "tinyllm.db") as project:
        result = tinyllm_cli.import_procedural(
            project, "shuffled-objects", name="seven", size=7, train=3, valid=0, test=2, seed=1
        )
        assert (result.dataset, result.splits) == ("seven", {"train": 3, "test": 2})
        assert {(found.teacher, found.split) for found in result.teachers} == {
            (teacher, split) for teacher in TEACHERS for split in ("train", "test")
        }
        stored = project.store.questions.find("seven")
        assert stored is not None
        assert stored.source == "--procedural shuffled-objects --size 7 --train 3 --valid 0 --test 2 --seed 1"
        assert all(len(question.options) == 7 for question in project.store.questions.iterate("seven", "train"))


def test_the_defaults_are_those_of_the_help(tmp_path: Path) -> None:
    with tinyllm_cli.open_store(tmp_path / "tinyllm.db") as project:
        result = tinyllm_cli.import_procedural(project, "coin-flip")
        assert (result.dataset, result.splits) == ("coin-flip", {"train": 2000, "valid": 200, "test": 400})
        stored = project.store.questions.find("coin-flip")
    assert stored is not None
    assert stored.source == "--procedural coin-flip --size 6 --train 2000 --valid 200 --test 400 --seed 0"


def test_other_parameters_need_another_name(inside: Command, tmp_path: Path) -> None:
    small = ("--train", "4", "--valid", "0", "--test", "2")
    assert inside("import", "--procedural", "coin-flip", *small).returncode == 0
    before = content(tmp_path)
    done = inside("import", "--procedural", "coin-flip", *small, "--seed", "1")
    assert done.returncode == 2
    assert "already has a data set 'coin-flip', from --procedural coin-flip --size 6 --train 4" in done.stderr
    assert "--name NAME" in done.stderr
    assert content(tmp_path) == before
    assert inside("import", "--procedural", "coin-flip", *small, "--seed", "1", "--name", "flips").returncode == 0


def test_too_many_questions_store_nothing(tmp_path: Path) -> None:
    with tinyllm_cli.open_store(tmp_path / "tinyllm.db") as project:
        with pytest.raises(UsageProblem, match=r"different coin-flip questions with 2 people: 51.. were found"):
            tinyllm_cli.import_procedural(project, "coin-flip", size=2, train=6000)
        assert project.store.questions.names() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "There is nothing to import."),
        (("--train", "5"), "--train is for generated questions."),
        (("toy", "--procedural", "coin-flip"), "PATH and --procedural exclude each other."),
        (("--procedural", "coin-flip", "--map", "id=#"), "--map and --procedural exclude each other."),
        (("--procedural", "coin-flip", "--teacher", "bob", "--dataset", "toy"), "--teacher and --procedural exclude"),
        (("--procedural", "dice"), "dice"),
        (("--procedural", "shuffled-objects", "--size", "4"), "no questions with 4 objects"),
        (("--procedural", "coin-flip", "--train", "0", "--valid", "0", "--test", "0"), "needs one question or more"),
    ],
)
def test_options_that_exclude_each_other_are_refused(
    arguments: tuple[str, ...], message: str, inside: Command, tmp_path: Path
) -> None:
    done = inside("import", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
