"""What an experiment checks before it starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Command, write_dataset
from tests.models import record_run
from tinyllm_cli.config import load_settings
from tinyllm_cli.experiments.setup import DEFAULT_STUDENT, ExperimentRequest, resolve_setup
from tinyllm_cli.records.settings import TrainSettings
from tinyllm_cli.store import Store
from tinyllm_cli.training.data import TrainingPlan, load_training_data

SHORT = '\n[teachers.terse]\nbackend = "scripted"\nreplies = ["No."]\n'


@pytest.fixture
def elicited(inside: Command, scripted: Path, tmp_path: Path) -> Command:
    write_dataset(tmp_path / "toy", train=8, valid=4, test=4)
    assert inside("elicit", "--teacher", "parrot", "--dataset", "toy").returncode == 0
    return inside


def test_without_a_student_it_is_that_of_the_latest_run(elicited: Command, store: Store, tmp_path: Path) -> None:
    settings = load_settings()
    assert resolve_setup(store, settings, ExperimentRequest()).students == [DEFAULT_STUDENT]
    record_run(store, tmp_path)
    store.execute("UPDATE runs SET student = 'smollm2'")
    assert resolve_setup(store, settings, ExperimentRequest()).students == ["smollm2"]
    assert resolve_setup(store, settings, ExperimentRequest(students=["x", "x"])).students == ["x"]
    done = elicited("experiment", "seeds", "--dry-run")
    assert "Student: smollm2" in done.stderr


def test_nothing_starts_without_a_confirmation(elicited: Command) -> None:
    for more in ((), ("--json",)):
        done = elicited("experiment", "seeds", "--student", "student", *more)
        assert done.returncode == 2
        assert "needs a confirmation, and there is no terminal" in done.stderr
        assert "--dry-run, then add --yes" in done.stderr
    assert json.loads(elicited("report", "--json").stdout)["runs"] == []


@pytest.mark.parametrize("experiment", [("seeds",), ("alpha", "--search", "2")])
def test_a_teacher_whose_rationales_are_all_rejected_fails_before_anything_starts(
    elicited: Command, scripted: Path, experiment: tuple[str, ...]
) -> None:
    scripted.write_text(scripted.read_text("utf-8") + SHORT, encoding="utf-8")
    assert elicited("elicit", "--teacher", "terse", "--dataset", "toy").returncode == 0
    command = ("experiment", *experiment, "--student", "student", "--dry-run")
    done = elicited(*command, "--", "--gates")
    assert done.returncode == 2, done.stdout
    assert "The gates reject every rationale of terse for toy" in done.stderr
    assert "-- --no-gates" in done.stderr
    assert "leave the teacher out with --alpha" in done.stderr
    assert elicited(*command).returncode == 0, "without gates, as in the paper"
    assert elicited(*command, "--alpha", "parrot=1").returncode == 0


def test_a_data_set_without_test_questions_is_refused(inside: Command, scripted: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=8)
    done = inside("experiment", "seeds", "--dataset", "toy", "--student", "s", "--alpha", "0", "--dry-run")
    assert done.returncode == 2
    assert "The data set toy has no test split" in done.stderr


def test_a_limit_is_of_valid_questions_too_unless_that_has_its_own(elicited: Command, store: Store) -> None:
    def loaded(limit: int | None, valid_limit: int | None = None) -> tuple[int, int]:
        plan = TrainingPlan(
            method="finetune",
            dataset="toy",
            student="s",
            teachers=(),
            settings=TrainSettings(),
            limit=limit,
            valid_limit=valid_limit,
        )
        found = load_training_data(store, plan)
        return len(found.training_questions), len(found.valid)

    assert (loaded(None), loaded(3), loaded(3, 2), loaded(None, 1)) == ((8, 4), (3, 3), (3, 2), (8, 1))


def test_shares_of_the_training_set_have_the_same_valid_questions(elicited: Command, store: Store) -> None:
    done = elicited("experiment", "train-size", "--student", "s", "--limit", "4", "--dry-run", "--json")
    sizes = {(one["distill"]["limit"], one["distill"].get("valid_limit")) for one in json.loads(done.stdout)["cells"]}
    assert sizes == {(1, 4), (2, 4), (3, 4), (4, None)}
