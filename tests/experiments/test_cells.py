"""Cells are typed values: the command that each makes, their identity, and those that version 0.1 stored as words."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from tests.experiments.test_experiments import setup
from tinyllm_cli.cli import app
from tinyllm_cli.cli.distill import distill
from tinyllm_cli.experiments.plans import ablation, alpha_grid, seeds, table1, train_size
from tinyllm_cli.experiments.runner import needs_all_of
from tinyllm_cli.records.experiments import CellEvaluation, CellTraining, ExperimentCell
from tinyllm_cli.store.old_plans import typed_plan

FULL = CellTraining(
    dataset="our toy", student="tiny", alpha={"ann": 1.0, "bob": 0.125}, seed=3, method="pinto", limit=16,
    valid_limit=8, icl=0, shuffle_rationales=True,
    options={"gates": False, "lr": 0.001, "gradient_checkpointing": True, "loss": "token"},
)  # fmt: skip


def cell(training: CellTraining | None, evaluation: CellEvaluation | None = None, edition: str = "e") -> ExperimentCell:
    return ExperimentCell(label={"seed": 0}, distill=training, evaluate=evaluation or CellEvaluation(), edition=edition)


def test_a_cell_makes_the_words_of_its_commands() -> None:
    assert FULL.argv() == (
        "--dataset", "our toy", "--student", "tiny", "--alpha", "ann=1,bob=0.125", "--seed", "3", "--limit", "16",
        "--valid-limit", "8", "--method", "pinto", "--icl", "0", "--shuffle-rationales", "--no-gates", "--lr", "0.001",
        "--gradient-checkpointing", "--loss", "token",
    )  # fmt: skip
    assert CellTraining(dataset="d", student="s").argv()[-4:] == ("--alpha", "0", "--seed", "0")
    tested = CellEvaluation(scoring="both", limit=4, trust_remote_code=True)
    words = ("--split", "test", "--scoring", "both", "--limit", "4", "--trust-remote-code")
    assert tested.argv(7) == ("--run", "7", *words)
    of_model = replace(tested, model="m", dataset="d", max_input=64)
    assert of_model.argv() == ("--model", "m", "--dataset", "d", "--max-input", "64", *words)


def test_every_parameter_of_distill_has_the_option_that_a_cell_writes() -> None:
    """Also the names that a plan sets itself."""
    command = next(one for name, one in get_command(app).commands.items() if name == "distill")  # type: ignore[attr-defined]
    options = {one.name: one.opts + one.secondary_opts for one in command.params if one.param_type_name == "option"}
    assert set(options) == set(inspect.signature(distill).parameters)
    for name, spelt in options.items():
        assert f"--{name.replace('_', '-')}" in spelt
    assert CliRunner().invoke(app, ["distill", *FULL.argv(), "--help"]).exit_code == 0


def test_an_identity_is_of_the_values_and_not_of_their_spelling() -> None:
    known = cell(FULL)
    swapped = replace(FULL, alpha=dict(reversed(FULL.alpha.items())), options=dict(reversed(FULL.options.items())))
    assert cell(swapped).identity == known.identity
    assert cell(replace(FULL, options={**FULL.options, "lora_alpha": 16.0})).identity == (
        cell(replace(FULL, options={**FULL.options, "lora_alpha": 16})).identity
    )
    changes: list[dict[str, Any]] = [
        {"seed": 0}, {"icl": None}, {"limit": None}, {"valid_limit": None}, {"method": None}, {"student": "x"},
        {"shuffle_rationales": False}, {"options": {}}, {"alpha": {"ann": 1.0}}, {"dataset": "x"},
    ]  # fmt: skip
    others = [cell(replace(FULL, **change)).identity for change in changes]
    others += [cell(FULL, edition="f").identity, cell(FULL, CellEvaluation(limit=1)).identity, cell(None).identity]
    assert len({known.identity, *others}) == 1 + len(others)


OLD_WORDS = ["--dataset", "toy", "--student", "tiny", "--alpha", "ann=1,bob=0.5", "--seed", "0", "--limit", "16"]
OLD_TEST = ["--split", "test", "--scoring", "rank", "--limit", "8"]


@pytest.mark.parametrize(
    ("distill_words", "evaluate_words", "training", "evaluation"),
    [
        (
            [*OLD_WORDS, "--lora", "4", "--lora=8", "--gates", "none", "--lr", "1e-3", "--gradient-checkpointing"],
            OLD_TEST,
            CellTraining(dataset="toy", student="tiny", alpha={"ann": 1.0, "bob": 0.5}, limit=16, options={
                "lora_rank": 8, "gates": False, "lr": 0.001, "gradient_checkpointing": True}),
            CellEvaluation(limit=8),
        ),
        (
            ["--dataset", "2024", "--student", "tiny", "--alpha", "0", "--seed", "1", "--method", "lora",
             "--shuffle-rationales", "--icl", "0", "--gates", "default"],
            [*OLD_TEST, "--trust-remote-code"],
            CellTraining(dataset="2024", student="tiny", seed=1, method="lora", shuffle_rationales=True, icl=0),
            CellEvaluation(limit=8, trust_remote_code=True),
        ),
        (None, ["--model", "tiny", "--dataset", "toy", "--max-input", "96", *OLD_TEST], None,
         CellEvaluation(model="tiny", dataset="toy", max_input=96, limit=8)),
        (OLD_WORDS, None, CellTraining(dataset="toy", student="tiny", alpha={"ann": 1.0, "bob": 0.5}, limit=16), None),
    ],
)  # fmt: skip
def test_a_stored_plan_of_words_becomes_the_typed_one(
    distill_words: list[str] | None, evaluate_words: list[str] | None, training: CellTraining | None,
    evaluation: CellEvaluation | None,
) -> None:  # fmt: skip
    """With the identity that the same command has now, so that a finished cell is not done again."""
    old = {"label": {"seed": 0}, "distill": distill_words, "evaluate": evaluate_words, "edition": "e", "identity": "o"}
    typed = ExperimentCell(label={"seed": 0}, distill=training, evaluate=evaluation, edition="e").as_json()
    plan = typed_plan({"name": "seeds", "cells": [old]})
    assert plan == {"name": "seeds", "cells": [typed]}
    assert typed_plan(json.loads(json.dumps(plan))) == plan
    assert typed_plan({"name": "alpha-search", "search": "s"}) == {"name": "alpha-search", "search": "s"}


def test_the_cells_of_every_plan_survive_the_store() -> None:
    for plan in (table1(setup()), ablation(setup()), train_size(setup()), alpha_grid(setup()), seeds(setup())):
        stored = json.loads(json.dumps([one.as_json() for one in plan.cells]))
        assert [one["identity"] for one in stored] == [one.identity for one in plan.cells]
        assert stored == [one.as_json() for one in plan.cells]


def training(*teachers: str, **changes: Any) -> ExperimentCell:
    return cell(CellTraining(**{"dataset": "d", "student": "s", "alpha": dict.fromkeys(teachers, 1.0), **changes}))


MODEL = cell(None, CellEvaluation(model="s", dataset="d"))


@pytest.mark.parametrize(
    ("one", "failed", "needs"),
    [
        (training("ann", seed=1), training("ann"), True),
        (training("ann", limit=8), training("ann"), True),
        (training("ann", "bob"), training(), True),
        (training(method="lora"), training(), True),
        (training("ann"), MODEL, True),
        (training(), training("ann"), False),
        (training("bob"), training("ann"), False),
        (training(), training(method="lora"), False),
        (training("ann"), training("ann", icl=0), False),
        (training("ann"), training("ann", student="t"), False),
        (training("ann"), training("ann", dataset="e"), False),
        (training("ann"), training("ann", method="pinto"), False),
        (MODEL, training(), False),
        (cell(None, CellEvaluation(teacher="ann", dataset="d")), MODEL, False),
        (training(), cell(None, CellEvaluation(teacher="ann", dataset="d")), False),
    ],
)
def test_a_cell_would_fail_as_another_that_needed_nothing_else(
    one: ExperimentCell, failed: ExperimentCell, needs: bool
) -> None:
    assert needs_all_of(one, failed) is needs
