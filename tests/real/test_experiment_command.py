"""`tinyllm experiment` on tiny models: runs side by side, kills, failures, and a search that tests only its best."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command, environment, start, write_dataset
from tests.files import rows
from tests.models import make_folder
from tests.processes import MARK, marked, new_mark, wait_until

pytestmark = pytest.mark.real

TRAIN = ("--", "--recipe", "paper", "--batch-size", "4", "--lr", "1e-3")


def prepared(tinyllm: Command, folder: Path) -> None:
    write_dataset(folder / "toy", train=16, valid=8, test=8)
    make_folder(folder / "student", "causal")
    assert tinyllm("elicit", "--teacher", "parrot", "--dataset", "toy").returncode == 0


def experiment(*words: str) -> tuple[str, ...]:
    return ("experiment", words[0], "--dataset", "toy", "--yes", "--json", *words[1:])


def cells(folder: Path) -> list[tuple[str, int]]:
    return rows(folder, "SELECT state, count(*) FROM cells GROUP BY 1 ORDER BY 1")  # type: ignore[return-value]


def test_finished_cells_are_not_repeated_and_a_failure_stops_no_other_student(
    tinyllm: Command, scripted: Path, tmp_path: Path
) -> None:
    prepared(tinyllm, tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}", encoding="utf-8")
    students = ("--student", "broken", "--student", "student")
    command = experiment("table1", *students, "--methods", "inference,finetune", "--jobs", "2", *TRAIN)
    done = tinyllm(*command)
    assert done.returncode == 1, done.stderr
    assert "2 of 4 failed" in done.stderr
    assert "Traceback" not in done.stderr
    found = json.loads(done.stdout)["cells"]
    states = {(Path(cell["label"]["student"]).name, cell["label"]["method"]): cell["state"] for cell in found}
    assert states == {
        ("broken", "inference"): "failed", ("broken", "finetune"): "failed",
        ("student", "inference"): "done", ("student", "finetune"): "done",
    }  # fmt: skip
    assert all(cell["result"]["n"] == 8 for cell in found if cell["state"] == "done")
    assert all(cell["error"] for cell in found if cell["state"] == "failed")
    (tmp_path / "broken" / "config.json").unlink()
    (tmp_path / "broken").rmdir()
    make_folder(tmp_path / "broken", "causal")
    again = tinyllm(*command)
    assert again.returncode == 0, again.stderr
    assert "2 to do, 2 done" in again.stderr
    assert rows(tmp_path, "SELECT count(*) FROM runs WHERE state = 'done'") == [(2,)]
    wider = tinyllm(*experiment("seeds", "--student", "student", "--seeds", "0", "--dry-run", *TRAIN))
    assert "1 to do, 1 done" in wider.stderr


def test_a_killed_plan_resumes_immediately(tinyllm: Command, scripted: Path, tmp_path: Path) -> None:
    """Even while what the kill orphaned still saves its state."""
    prepared(tinyllm, tmp_path)
    command = experiment("seeds", "--student", "student", "--jobs", "2", *TRAIN, "--epochs", "12", "--save-every", "0")
    process = start(tmp_path, *command)
    wait_until(lambda: list(tmp_path.glob("tinyllm-runs/.*.state/step-*")) != [])
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = tinyllm(*command)
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path, "SELECT id, state FROM runs ORDER BY id") == [(1, "done"), (2, "done")]
    assert cells(tmp_path) == [("done", 2)]
    assert not list(tmp_path.glob("*.lock"))


@pytest.mark.parametrize("background", [False, True])
def test_ctrl_c_stops_the_running_cells_and_names_how_to_resume(
    tinyllm: Command, scripted: Path, tmp_path: Path, background: bool
) -> None:
    """Or SIGTERM, which is what reaches a process in the background."""
    prepared(tinyllm, tmp_path)
    mark = new_mark()
    command = experiment("seeds", "--student", "student", *TRAIN, "--epochs", "60", "--save-every", "0")
    process = start(tmp_path, *command, background=background, **{MARK: mark})
    wait_until(lambda: list(tmp_path.glob("tinyllm-runs/.*.state/step-*")) != [])
    process.send_signal(signal.SIGTERM if background else signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert "Stopped: 0 of 2 are done, and the running ones have saved their state." in error
    assert "Run the same command to resume." in error
    assert not marked(mark)
    assert rows(tmp_path, "SELECT state FROM runs") == [("stopped",)]
    assert cells(tmp_path) == [("planned", 2)]


def test_a_run_that_the_system_kills_takes_no_other_with_it(tinyllm: Command, scripted: Path, tmp_path: Path) -> None:
    prepared(tinyllm, tmp_path)
    mark = new_mark()
    command = experiment("seeds", "--student", "student", "--jobs", "2", *TRAIN, "--epochs", "12")
    process = start(tmp_path, *command, **{MARK: mark})

    def tuning() -> list[int]:
        return [pid for pid, line in marked(mark).items() if " distill " in line and "--alpha 0 " in line]

    wait_until(lambda: tuning() != [])
    os.kill(tuning()[0], signal.SIGKILL)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 1, error
    assert "seed 0: killed, as the system does when memory runs out" in error
    states = {cell["label"]["method"]: cell["state"] for cell in json.loads(out)["cells"]}
    assert states == {"distill-step-by-step": "done", "finetune": "failed"}


def test_cells_that_share_a_training_train_once(tinyllm: Command, scripted: Path, tmp_path: Path) -> None:
    """With every alpha at 1, each teacher's alpha of 1 in the grid is the same run."""
    owl = '\n[teachers.owl]\nbackend = "scripted"\nreplies = ["Owls think that this one is right, and owls know."]\n'
    scripted.write_text(scripted.read_text("utf-8") + owl, encoding="utf-8")
    prepared(tinyllm, tmp_path)
    assert tinyllm("elicit", "--teacher", "owl", "--dataset", "toy").returncode == 0
    command = ("experiment", "alpha", "--student", "student", "--grid", "1", "--jobs", "2", "--yes", *TRAIN)
    done = tinyllm(*command)
    assert done.returncode == 0, done.stderr
    assert "Best on valid for toy and student: alpha 1 of owl" in done.stdout
    assert rows(tmp_path, "SELECT count(*) FROM runs") == [(1,)]
    assert rows(tmp_path, "SELECT run, state FROM cells") == [(1, "done"), (1, "done")]


def test_a_search_looks_at_valid_and_only_its_best_at_test(tinyllm: Command, scripted: Path, tmp_path: Path) -> None:
    prepared(tinyllm, tmp_path)
    done = tinyllm(*experiment("alpha", "--student", "student", "--search", "2", "--jobs", "2", *TRAIN))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["best"]
    assert found["trials"] == {"complete": 2}
    assert 0.01 <= found["alphas"]["parrot"] <= 3
    assert rows(tmp_path, "SELECT run, split FROM evaluations") == [(found["run"], "test")]
    search = experiment("alpha", "--student", "student", "--search", "3", *TRAIN)
    more = tinyllm(*search)
    assert more.returncode == 0, more.stderr
    assert sum(json.loads(more.stdout)["best"]["trials"].values()) == 3
    assert rows(tmp_path, "SELECT count(*) FROM runs") == [(3,)]
    looked_at = {run for (run,) in rows(tmp_path, "SELECT run FROM evaluations WHERE split = 'test'")}
    assert looked_at <= {found["run"], json.loads(more.stdout)["best"]["run"]}
    before = rows(tmp_path, "SELECT * FROM cells")
    assert tinyllm(*search).returncode == 0
    assert rows(tmp_path, "SELECT * FROM cells") == before
    fewer = tinyllm(*experiment("alpha", "--student", "student", "--search", "3", "--test-limit", "1", *TRAIN))
    assert fewer.returncode == 0, fewer.stderr
    assert len(rows(tmp_path, "SELECT * FROM cells")) == len(before) + 1, "one question is another measurement"


def test_a_killed_search_repeats_its_trial(tinyllm: Command, scripted: Path, tmp_path: Path) -> None:
    prepared(tinyllm, tmp_path)
    train = (*TRAIN, "--epochs", "12", "--save-every", "0")
    command = experiment("alpha", "--student", "student", "--search", "1", *train)
    process = start(tmp_path, *command)
    wait_until(lambda: list(tmp_path.glob("tinyllm-runs/.*.state/step-*")) != [])
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = tinyllm(*command)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["best"]["alphas"] == {"parrot": 1.0}
    assert rows(tmp_path, "SELECT id, state FROM runs") == [(1, "done")]
    assert cells(tmp_path) == [("done", 2)]  # the trial, and the best on test


def test_a_weak_trial_is_stopped_early(tinyllm: Command, scripted: Path, tmp_path: Path) -> None:
    """After three trials that did well at every step, one that doesn't is given up long before its end."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    prepared(tinyllm, tmp_path)

    def search(trials: int) -> dict[str, Any]:
        more = ("--search", str(trials), *TRAIN, "--epochs", "20", "--evals-per-epoch", "1")
        done = tinyllm(*experiment("alpha", "--student", "student", *more))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["best"]["trials"]  # type: ignore[no-any-return]

    assert search(1) == {"complete": 1}
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(tmp_path / "tinyllm-search" / "alpha.log")))
    [study] = [optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)]
    [first] = study.trials
    assert len(first.intermediate_values) == 20
    did_well = optuna.trial.create_trial(
        params=first.params, distributions=first.distributions, user_attrs=first.user_attrs, value=1.0,
        intermediate_values=dict.fromkeys(first.intermediate_values, 1.0),
    )  # fmt: skip
    for _ in range(3):
        study.add_trial(did_well)
    assert search(5) == {"complete": 4, "pruned": 1}
    [(state, metrics, folder)] = rows(tmp_path, "SELECT state, metrics, folder FROM runs WHERE id = 2")
    assert state == "stopped"
    assert json.loads(metrics)["steps"] < 80
    student = tmp_path / folder
    assert not student.with_name(f".{student.name}.state").exists()
    assert rows(tmp_path, "SELECT run, state FROM cells WHERE run = 2") == [(2, "pruned")]
    assert rows(tmp_path, "SELECT count(*) FROM evaluations WHERE run = 2") == [(0,)]


def test_failed_trials_are_reported_and_a_search_without_hope_ends(
    tinyllm: Command, scripted: Path, tmp_path: Path
) -> None:
    prepared(tinyllm, tmp_path)
    command = experiment("alpha", "--student", "student", "--search", "3", *TRAIN, "--optimizer", "adamw_bnb_8bit")
    done = tinyllm(*command)
    assert done.returncode == 1
    assert "No trial has finished its training: The optimizer adamw_bnb_8bit is not available here:" in done.stderr
    assert cells(tmp_path) == [("failed", 1)]
    assert tinyllm(*command).returncode == 1
    assert cells(tmp_path) == [("failed", 1)]


def test_cells_that_would_fail_in_the_same_way_are_not_started(
    tinyllm: Command, scripted: Path, tmp_path: Path
) -> None:
    """Fine-tuning needs less than a run with a teacher, so it is tried as well."""
    prepared(tinyllm, tmp_path)
    done = tinyllm(*experiment("train-size", "--student", "student", *TRAIN, "--optimizer", "adamw_bnb_8bit"))
    assert done.returncode == 1, done.stderr
    assert "2 of 6 failed:" in done.stderr
    assert "The optimizer adamw_bnb_8bit is not available here:" in done.stderr
    assert "4 were not started: they would fail in the same way." in done.stderr
    assert cells(tmp_path) == [("failed", 2), ("planned", 4)]


def test_modules_in_the_current_folder_are_not_imported(tinyllm: Command, scripted: Path, tmp_path: Path) -> None:
    prepared(tinyllm, tmp_path)
    (tmp_path / "random.py").write_text("from pathlib import Path\nPath('imported').touch()\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tinyllm_cli", *experiment("seeds", "--student", "student", *TRAIN)],
        cwd=tmp_path, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "imported").exists()
