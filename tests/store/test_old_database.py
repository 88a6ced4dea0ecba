"""A database of version 0.1 opens: every fact is still there, and finished work is recognised.

`data/version_0_1.sql` was dumped from a database that version 0.1 made with its own commands: a tiny student, scripted
teachers, one interrupted run, an open batch, and an experiment with the old names of options.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from backends.base import Sampling
from backends.scripted import ScriptedTeacher
from tinyllm_cli.config import TeacherSpec, load_settings
from tinyllm_cli.elicitation.elicit import elicit
from tinyllm_cli.elicitation.job import Job, asking_for
from tinyllm_cli.elicitation.prompts import recorded_prompt
from tinyllm_cli.evaluation.evaluate import QuestionSlice, evaluate_teacher
from tinyllm_cli.evaluation.targets import model_subject, run_subject
from tinyllm_cli.experiments import availability
from tinyllm_cli.experiments.grid import Setup
from tinyllm_cli.experiments.plans import table1
from tinyllm_cli.records.elicitation import Recipe
from tinyllm_cli.records.evaluations import Evaluation, Subject
from tinyllm_cli.records.runs import RunIdentity
from tinyllm_cli.records.settings import Environment, RunSettings
from tinyllm_cli.records.usefulness import Scorer
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.store.evaluations import EvaluatedQuestions
from tinyllm_cli.store.migration_007 import renamed_command, renamed_plan
from tinyllm_cli.store.migrations import APPLICATION_ID
from tinyllm_cli.students.base import Limits

DUMP = Path(__file__).parent / "data" / "version_0_1.sql"
T5 = "google/flan-t5-small"
STOP = ("\nQuestion:", "\nQ:", "\nOptions:", "\nAnswer Choices:")
REPLY = "It follows from what the thing is for, and only this one fits the number. Answer: (a)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file as version 0.1 left it."""
    path = tmp_path / "tinyllm.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(DUMP.read_text(encoding="utf-8"))
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute("PRAGMA journal_mode = WAL")
    return path


@pytest.fixture
def before(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Its rows, by table."""
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: [dict(row) for row in db.execute(f"SELECT * FROM {table}")] for table in tables}


@pytest.fixture
def opened(path: Path, before: dict[str, Any]) -> Iterator[Store]:
    with open_store(path) as store:
        yield store


def values(rows: list[dict[str, Any]], *columns: str) -> list[tuple[Any, ...]]:
    return sorted((tuple(row[column] for column in columns) for row in rows), key=repr)


RENAMED = {
    "rationales": {"cap": "raised_max_tokens"},
    "elicitations": {"pace": "concurrency"},
    "predictions": {"input_cut": "input_truncated"},
    "runs": {"lineage": "sources", "figures": "metrics"},
    "evaluations": {"inputs_cut": "truncated_inputs"},
    "usefulness": {"text": "text_hash", "input_cut": "input_truncated"},
}
CHANGED = {
    "prompts": {"teacher_forcing"},
    "runs": {"folder", "command"},
    "evaluations": {"fingerprint"},
    "usefulness": {"model"},
    "experiments": {"plan", "command"},
}
"""Columns whose values are checked on their own."""


def test_every_row_and_every_other_column_stays(opened: Store, before: dict[str, list[dict[str, Any]]]) -> None:
    assert opened.one("PRAGMA integrity_check") == {"integrity_check": "ok"}
    assert list(opened.rows("PRAGMA foreign_key_check")) == []
    assert {table for table, rows in before.items() if not rows} == set(), "each table of the dump has rows"
    for table, rows in before.items():
        if table == "_sqlite_migrations":
            continue
        old = [name for name in rows[0] if name not in CHANGED.get(table, ())]
        new = [RENAMED.get(table, {}).get(name, name) for name in old]
        assert values(list(opened.rows(f"SELECT * FROM {table}")), *new) == values(rows, *old), table


def test_the_comments_in_the_file_are_those_of_today(opened: Store, tmp_path: Path) -> None:
    query = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
    with open_store(tmp_path / "new.db") as fresh:
        assert list(opened.rows(query)) == list(fresh.rows(query))
    schema = {row["name"]: row["sql"] for row in opened.rows(query)}
    assert "-- as the teacher wrote it" in schema["rationales"]


def test_recipes_are_columns(opened: Store) -> None:
    rows = opened.rows("SELECT template, icl, seed, teacher_forcing FROM recipes ORDER BY name")
    assert [tuple(row.values()) for row in rows] == [
        ("recorded", None, None, 1), ("v1", 0, None, 1), ("v1", 2, 0, 1), ("v1", 2, 0, 0),
    ]  # fmt: skip
    known = {(one.teacher, one.recipe) for one in opened.rationales.variants("toy")}
    assert known == {
        ("boss", Recipe.recorded(teacher_forcing=True)), ("fox", Recipe(icl=0)), ("owl", Recipe()),
        ("parrot", Recipe(icl=0)), ("parrot", Recipe()), ("parrot", Recipe(teacher_forcing=False)),
    }  # fmt: skip
    names = {row["name"]: row for row in opened.rows("SELECT * FROM recipes")}
    assert all(recipe.name in names for _, recipe in known)


def subjects(evaluations: list[Evaluation]) -> list[dict[str, Any]]:
    """The fields that are set."""
    return [{name: value for name, value in vars(one.subject).items() if value is not None} for one in evaluations]


def test_the_subjects_of_evaluations_are_columns(opened: Store, before: dict[str, list[dict[str, Any]]]) -> None:
    *others, by_replies = subjects(opened.evaluations.everything())
    parrot = next(row["hash"] for row in before["samplings"] if row["temperature"] == 0 and row["model"] == "scripted")
    assert others == [
        {"kind": "run", "name": "run 1", "run": 1, "step": 2},
        {"kind": "run", "name": "run 1", "run": 1, "step": 2},
        {"kind": "run", "name": "run 3", "run": 3, "step": 2},
        {"kind": "run", "name": "run 4", "run": 4, "step": 2, "extra_context": "ae680b7d65a15ece"},
        {"kind": "model", "name": T5, "model": T5, "max_input": 256},
        {"kind": "model", "name": "/home/ann/project/tiny", "model": "/home/ann/project/tiny", "max_input": 512,
         "model_fingerprint": "34c27f298239"},
        {"kind": "teacher", "name": "t5", "model": "google/flan-t5-xl", "max_input": 256, "revision": "main"},
        {"kind": "teacher", "name": "parrot", "max_input": 256},
    ]  # fmt: skip
    assert by_replies == {
        "kind": "teacher", "name": "parrot", "sampling": parrot, "recipe": Recipe(teacher_forcing=False).name,
    }  # fmt: skip


def test_an_evaluation_is_found_by_its_subject(opened: Store) -> None:
    limits, counts = Limits(input=256, target=64), opened.one("SELECT count(*) AS n FROM evaluations")
    runs = {run.id: run for run in opened.runs.everything()}
    pinto = Subject(kind="run", name="run 4", run=4, step=2, extra_context="ae680b7d65a15ece")
    wanted = {
        1: run_subject(runs[1]),
        3: run_subject(runs[3]),
        4: pinto,
        5: model_subject("model", T5, T5, limits),
        7: model_subject("teacher", "t5", "google/flan-t5-xl", limits, "main"),
    }
    questions = EvaluatedQuestions(dataset="toy", split="test", count=4, chance=0.25, majority=0.25)
    assert {id: opened.evaluations.open(subject, "rank", questions).id for id, subject in wanted.items()} == {
        id: id for id in wanted
    }
    assert evaluate_teacher(opened, "parrot", QuestionSlice(dataset="toy", split="test")).id == 9
    assert opened.one("SELECT count(*) AS n FROM evaluations") == counts
    other = EvaluatedQuestions(dataset="toy", split="test", count=3, chance=0.25, majority=0.25)
    assert opened.evaluations.open(pinto, "rank", other).correct is None


def test_a_finished_elicitation_requests_nothing(opened: Store) -> None:
    spec = TeacherSpec(name="parrot", backend="scripted", options={"replies": [REPLY]})
    for split, recipe in (("train", Recipe()), ("train", Recipe(icl=0)), ("test", Recipe(teacher_forcing=False))):
        job = Job(dataset="toy", split=split, spec=spec, recipe=recipe, sampling=Sampling(stop=STOP))
        counts = elicit(opened, job, ScriptedTeacher(spec.options), lambda counts: None)
        assert (counts.already, counts.done, counts.failed) == (counts.wanted, 0, 0), (split, recipe.name)
    stored = {row["hash"]: row for row in opened.rows("SELECT * FROM prompts")}
    questions = {question.hash: question for question in opened.questions.iterate("toy", "train")}
    recorded = [row for row in stored.values() if row["recipe"] == "recorded"]
    assert len(recorded) == 3
    for row in recorded:
        prompt = recorded_prompt(questions[row["question"]], teacher_forcing=True)
        assert (prompt.recipe.name, prompt.question) == (row["recipe"], row["question"])


def test_an_open_batch_keeps_its_claims_and_its_configuration(opened: Store) -> None:
    [batch] = opened.batches.open_ones("fox")
    assert (batch.id, batch.state, batch.requests) == ("batch_abc", "in_progress", 3)
    assert len(list(opened.batches.left(batch))) == 3
    spec = TeacherSpec(name="fox", backend="scripted", options={"replies": ["So it is."]})
    job = Job(dataset="toy", split="train", spec=spec, recipe=Recipe(icl=0), sampling=Sampling(temperature=0.7))
    assert opened.batches.asking_of(batch) == asking_for(job, ScriptedTeacher(spec.options))
    [failure] = opened.rows("SELECT reason, attempts, cost FROM failures")
    assert failure == {"reason": "empty reply", "attempts": 3, "cost": 0.25}
    reply = opened.one(
        "SELECT reasoning, attempts, last_error, raised_max_tokens FROM rationales WHERE teacher = 'fox'"
    )
    assert reply == {"reasoning": "Thinking.", "attempts": 2, "last_error": "HTTP 429", "raised_max_tokens": 512}


def test_the_models_that_score_are_columns(opened: Store, before: dict[str, list[dict[str, Any]]]) -> None:
    scored = {one.scorer: one.rationales for one in opened.usefulness.scored("toy")}
    assert set(scored) == {Scorer(model=T5), Scorer(model="tiny", fingerprint="0123456789ab")}
    assert sum(scored.values()) == len(before["usefulness"])
    row = next(row for row in before["usefulness"] if row["model"] == "tiny 0123456789ab")
    [gain] = opened.usefulness.stored(
        Scorer(model="tiny", fingerprint="0123456789ab"), {row["rationale"]: row["text"]}
    ).values()
    assert (gain.value, gain.input_truncated) == (row["gain"], bool(row["input_cut"]))


def test_runs_keep_their_identity(opened: Store, before: dict[str, list[dict[str, Any]]]) -> None:
    here = Environment(device="a CPU", precision="float32", threads=1)  # rows of version 0.1 don't say
    for row in before["runs"]:
        identity = RunIdentity(
            **{name: row[name] for name in ("method", "student", "dataset", "seed")},
            **{name: json.loads(row[name]) for name in ("alpha", "versions")},
            settings=replace(RunSettings.from_json(json.loads(row["settings"])), environment=here),
            sources=json.loads(row["lineage"]),
        )
        assert [run.id for run in opened.runs.same(identity)] == [row["id"]]


def test_run_folders_are_beside_the_database(opened: Store, tmp_path: Path) -> None:
    stored = [row["folder"] for row in opened.rows("SELECT folder FROM runs ORDER BY id")]
    assert stored == [f"tinyllm-runs/{number}-flan-t5-small-toy" for number in range(1, 6)]
    assert opened.runs.everything()[0].folder == str(tmp_path / "tinyllm-runs" / "1-flan-t5-small-toy")


def test_commands_and_plans_have_the_present_names_of_options(opened: Store) -> None:
    commands = [run.command for run in opened.runs.everything()]
    assert commands == [
        "tinyllm distill --alpha parrot=1,owl=0.5", "tinyllm distill --alpha parrot=1,owl=0.5",
        "tinyllm distill --alpha 0 --lora-rank 8", "tinyllm distill --method pinto --restart",
        "tinyllm distill --method standard-kd",
    ]  # fmt: skip
    [first, *_] = opened.rows("SELECT command, plan FROM experiments ORDER BY id")
    assert first["command"] == "tinyllm experiment table1 --lora-rank 8 --no-gates --restart"
    cell = next(cell for cell in json.loads(first["plan"])["cells"] if cell["label"]["method"] == "lora")
    assert cell["distill"]["options"] == {"lora_rank": 8, "gates": False, "max_input": 256}


def test_the_same_command_finds_its_done_cells(opened: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another plan shares with it is done there, too; with the gates of version 0.1, which are part of it."""
    monkeypatch.setattr(availability, "gate_settings", lambda settings: SimpleNamespace(hash="096d84dc5ab771f9"))
    coverage = availability.coverage_of(opened, "toy", load_settings(None))
    assert coverage.edition == "1a3e2b2878c8b286"
    setup = Setup(
        coverages=[coverage], students=[T5], alphas={"parrot": 1.0, "owl": 0.5}, seeds=(0, 1),
        options={"lora_rank": 8, "gates": False, "max_input": 256},
    )  # fmt: skip
    done = opened.experiments.done_cells()
    assert [cell.label["method"] for cell in table1(setup).cells if cell.identity in done] == ["inference", "lora"]
    plain = table1(replace(setup, seeds=(0,), options={}))
    assert [cell.label["method"] for cell in plain.cells if cell.identity in done] == ["inference"]


def test_done_cells_are_recognised_in_a_new_plan(opened: Store) -> None:
    assert {(one.run, one.evaluation) for one in opened.experiments.done_cells().values()} == {(3, 3), (1, 1), (1, 5)}
    [row] = opened.rows("SELECT plan FROM experiments WHERE id = 1")
    cells = json.loads(row["plan"])["cells"]
    number = opened.experiments.open_experiment("again", {"name": "again", "cells": cells}, "tinyllm experiment")
    states = [cell.state for cell in opened.experiments.cells(number)]
    assert states == ["done", "done", *["planned"] * 12]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tinyllm distill --lora=8", "tinyllm distill --lora-rank=8"),
        ("tinyllm distill --gates=none --no-fresh", "tinyllm distill --no-gates --no-restart"),
        ("tinyllm distill --gates default -s 'a b'", "tinyllm distill -s 'a b'"),
        ("tinyllm distill -s 'a b'", "tinyllm distill -s 'a b'"),
        ("tinyllm distill -s it's", "tinyllm distill -s it's"),
    ],
)
def test_options_of_a_command_are_renamed(old: str, new: str) -> None:
    assert renamed_command(old) == new


@pytest.mark.parametrize("plan", ["no JSON", "[1]", '{"cells": 3}', '{"cells": [{}]}', '{"cells": [7]}'])
def test_a_plan_that_is_not_ours_stays(plan: str) -> None:
    assert renamed_plan(plan) == plan


def test_plans_that_become_equal_stay_two(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        [plan] = db.execute("SELECT plan FROM experiments WHERE id = 1").fetchone()
        renamed = renamed_plan(plan)
        db.execute("INSERT INTO experiments VALUES (9, 'copy', ?, 'tinyllm experiment', '2026')", (renamed,))
    with open_store(path) as store:
        plans = [row["plan"] for row in store.rows("SELECT plan FROM experiments")]
    assert len(set(plans)) == 4
