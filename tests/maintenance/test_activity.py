"""What runs now: an elicitation with its rate, a training with its losses, a plan, and what a kill leaves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backends.base import Sampling
from tests.conftest import Command, make_questions, start, write_dataset
from tests.report.test_report_sections import trained
from tinyllm_cli import api
from tinyllm_cli.maintenance.activity import Activity
from tinyllm_cli.records.activity import ElicitationProgress
from tinyllm_cli.records.elicitation import ElicitationConfig, Recipe
from tinyllm_cli.records.runs import RunIdentity
from tinyllm_cli.records.settings import RunSettings
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.store.locks import claiming

SLOW = '[teachers.slow]\nbackend = "scripted"\nreplies = ["It floats, since cork is light."]\ndelay = 0.05\n'


def until(found: Callable[[], Any]) -> Any:
    """The first true value of `found`."""
    while not (value := found()):
        time.sleep(0.05)
    return value


def seen(path: Path) -> Activity:
    with api.open_store(path, create=False) as project:
        return api.activity(project)


def test_an_elicitation_is_shown_while_it_runs_and_as_killed_after_a_kill(inside: Command, tmp_path: Path) -> None:
    (tmp_path / "tinyllm.toml").write_text(SLOW, encoding="utf-8")
    write_dataset(tmp_path / "toy", train=600)
    assert inside("import", "toy").returncode == 0
    process = start(tmp_path, "elicit", "--teacher", "slow", "--dataset", "toy")
    path = tmp_path / "tinyllm.db"
    one = until(lambda: next((one for one in seen(path).elicitations if one.rate), None))
    assert process.poll() is None
    assert (one.teacher, one.dataset, one.split, one.state) == ("slow", "toy", "train", "running")
    assert 0 < one.rate <= 20.5
    assert one.left is not None
    assert 0 < one.left < 600
    assert one.seconds_left is not None
    assert one.seconds_left > 1
    later = until(lambda: next((now for now in seen(path).elicitations if now.replies > one.replies), None))
    assert (later.id, later.state) == (one.id, "running")
    process.kill()
    process.communicate()
    [killed] = seen(path).elicitations
    assert (killed.state, killed.rate, killed.left) == ("killed", None, None)
    shown = inside("list", "activity")
    assert shown.returncode == 0, shown.stderr
    assert "killed" in shown.stdout
    assert "Running: nothing." in shown.stdout
    listed = json.loads(inside("list", "activity", "--json").stdout)
    assert listed["elicitations"][0]["state"] == "killed"


def begin(store: Store, dataset: str) -> int:
    identity = RunIdentity(
        method="tinyllm", student="tiny", dataset=dataset, alpha={"ann": 1.0}, seed=0, settings=RunSettings(),
        sources={}, versions={},
    )  # fmt: skip
    return store.runs.start(identity, command="tinyllm distill").id


def test_a_running_training_has_losses_rate_and_time_left(store: Store) -> None:
    store.questions.replace("toy", "here", "1", make_questions(4))
    run = begin(store, "toy")
    figures = {
        "steps": 25, "total_steps": 100, "training_seconds": 40.0, "evaluating_seconds": 10.0, "tokens": 8000,
        "best_step": 10, "valid": [{"step": 10, "accuracy": 0.5}, {"step": 20, "accuracy": 0.4}],
        "curve": [{"step": 20, "answer": 2.0}, {"step": 25, "answer": 1.5, "ann": 3.0}],
    }  # fmt: skip
    assert store.runs.note_metrics_if_free(run, figures)
    with store.runs.claiming(run) as held:
        assert held
        [one] = api.activity(api.Project(store)).trainings
        assert (one.state, one.step, one.steps, one.losses) == ("running", 25, 100, {"answer": 1.5, "ann": 3.0})
        assert (one.valid, one.best, one.tokens_per_second, one.seconds_left) == (0.4, 0.5, 200.0, 150.0)
    [one] = api.activity(api.Project(store)).trainings
    assert (one.state, one.seconds_left) == ("killed", None)


def test_a_plan_counts_its_cells_and_a_killed_one_is_not_running(store: Store) -> None:
    cells = [{"identity": str(number), "label": {"dataset": "toy", "seed": number}} for number in range(4)]
    number = store.experiments.open_experiment("seeds", {"cells": cells}, "tinyllm experiment seeds")
    for place, state in enumerate(("done", "failed", "running")):
        store.experiments.note(number, place, state)  # type: ignore[arg-type]
    with store.experiments.claiming(number):
        [one] = api.activity(api.Project(store)).plans
        assert (one.state, one.done, one.failed, one.running, one.pending) == ("running", 1, 1, 1, 1)
    [one] = api.activity(api.Project(store)).plans
    assert (one.state, one.running, one.pending, one.datasets) == ("unfinished", 0, 2, ("toy",))


def test_only_the_latest_that_ended_are_shown(store: Store) -> None:
    store.questions.replace("toy", "here", "1", make_questions(40, split="test"))
    for seed in range(7):
        trained(store, "toy", set(), seconds=1, seed=seed)
    assert [one.run for one in api.activity(api.Project(store), recent=3).trainings] == [7, 6, 5]


def test_progress_is_not_noted_while_another_process_writes(store: Store) -> None:
    config = ElicitationConfig(teacher="ann", backend="openai", model="m", revision="1", sampling=Sampling())
    store.rationales.add_asking(config)
    with store.elicitations.working(config, "toy", "train", Recipe()) as worker:
        worker.note_progress(ElicitationProgress(requests_left=9, in_flight=3, rate=1.5, endpoints={"http://a": 3}))
        with open_store(store.path) as other, other.writing():
            worker.note_progress(ElicitationProgress(requests_left=1, in_flight=0, rate=9.0))
        [one] = api.activity(api.Project(store)).elicitations
        assert (one.left, one.in_flight, one.rate, one.endpoints) == (9, 3, 1.5, {"http://a": 3})
        assert one.seconds_left == 8.0
        with claiming(store, str(worker.number)) as free:
            assert not free
        worker.finish("done", [])


def test_a_query_ends_when_its_time_is_over(store: Store) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(TimeoutError), store.at_most(0.05):
        store.one(endless)
    assert store.one("SELECT 1 AS one") == {"one": 1}
