"""What commands print under --json is what docs/json.md says: real output against the generated schemas."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.conftest import ROOT, SCRIPTED, Command, write_dataset
from tests.models import make_folder
from tinyllm_cli.api.json_results import RESULTS

SECOND = """
[teachers.crow]
backend = "scripted"
replies = ["The number in the question decides which of them fits."]
"""
SCHEMAS = ROOT / "docs" / "schemas"


def check(done: Any, name: str) -> dict[str, Any]:
    """The object that was printed, valid by the schema of this name."""
    assert done.returncode == 0, done.stderr
    return valid(json.loads(done.stdout), name)


def valid(value: dict[str, Any], name: str) -> dict[str, Any]:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    assert [error.message for error in Draft202012Validator(schema).iter_errors(value)] == []
    assert set(value) <= set(schema["properties"])
    return value


def test_every_command_has_its_types() -> None:
    from tinyllm_cli.cli import app

    assert {command.name for command in app.registered_commands} == {name for name in RESULTS if " " not in name}


@pytest.fixture
def toy(inside: Command, tmp_path: Path) -> Command:
    """A data set with a scripted teacher's rationales, and a tiny student."""
    (tmp_path / "tinyllm.toml").write_text(SCRIPTED, encoding="utf-8")
    write_dataset(tmp_path / "toy", train=8, valid=4, test=4)
    make_folder(tmp_path / "student", "causal")
    return inside


def test_output_is_valid_by_its_schema(toy: Command, tmp_path: Path) -> None:
    check(toy("import", "toy", "--json"), "ImportResult")
    ask = ("elicit", "--teacher", "parrot", "--dataset", "toy", "--json")
    check(toy(*ask, "--dry-run"), "PreviewResult")
    check(toy(*ask), "ElicitResult")
    check(toy("gate", "--json", "--show", "echo"), "GateResult")
    check(toy("gate", "--keep", "1", "--json"), "DecisionResult")
    check(toy("review", "export", "sheet.csv", "--json"), "SheetResult")
    check(toy("review", "import", "sheet.csv", "--json"), "SheetImportResult")
    check(toy("review", "--json"), "ReviewResult")
    check(toy("audit", "--json", "--student", "student"), "AuditJson")
    check(toy("usefulness", "--model", "student", "--show", "1", "--json"), "UsefulnessResult")
    check(toy("usefulness", "--model", "student", "--leakage", "2", "--json"), "LeakageResult")
    train = ("distill", "--student", "student", "--json")
    check(toy(*train, "--dry-run"), "DistillPlanJson")
    run = check(toy(*train), "DistillJson")["run"]
    check(toy(*train, "--method", "inference"), "InferenceJson")
    check(toy("eval", "--run", str(run), "--json"), "EvalJson")
    check(toy("predict", "Which is it?", "-o", "this", "-o", "that", "--json"), "PredictJson")
    (tmp_path / "new.jsonl").write_text(json.dumps({"question": "Which?", "options": ["a", "b"]}) + "\n")
    check(toy("predict", "--file", "new.jsonl", "--out", "answers.jsonl", "--json"), "PredictFileJson")
    check(toy("inspect", "train-0", "--json"), "InspectJson")
    check(toy("inspect", "number", "--json"), "CandidatesJson")
    plan = ("experiment", "seeds", "--dataset", "toy", "--student", "student", "--dry-run", "--json")
    check(toy(*plan), "ExperimentPlanJson")
    check(toy("report", "--json"), "Report")
    check(toy("export-data", "--dataset", "toy", "--out", "data", "--json"), "DataExportResult")
    check(toy("list", "--json"), "Inventory")
    check(toy("backup", "copy.db", "--json"), "BackupResult")
    check(toy("merge", "copy.db", "--json"), "MergeResult")
    check(toy("split", "--shards", "2", "--json"), "SplitResult")
    check(toy("rename", "teacher", "parrot", "polly", "--json"), "RenameResult")
    check(toy("prune", "--yes", "--json"), "Pruning")
    check(toy("delete", "run", str(run), "--yes", "--json"), "Removal")
    check(toy("check", "--json"), "StoreCheck")


def test_the_output_of_finished_experiments_is_valid_by_its_schema(toy: Command) -> None:
    """With excluded parts, as a grid with its best alphas, and with a failed cell."""
    assert toy("import", "toy").returncode == 0
    assert toy("elicit", "--teacher", "parrot", "--dataset", "toy").returncode == 0
    common = ("--dataset", "toy", "--student", "student", "--yes", "--json")
    table = check(toy("experiment", "table1", *common, "--methods", "inference,finetune,tinyllm"), "ExperimentJson")
    assert [cell["state"] for cell in table["cells"]] == ["done", "done"]
    assert all(0 <= cell["result"]["accuracy"] <= 1 for cell in table["cells"])
    grid = check(toy("experiment", "alpha", *common, "--grid", "0.5"), "ExperimentJson")
    assert len(grid["best_on_valid"]) == 1
    done = toy("experiment", "seeds", *common, "--seeds", "1", "--", "--lora-rank", "1000")
    assert done.returncode == 1, done.stderr
    assert {cell["state"] for cell in json.loads(done.stdout)["cells"]} == {"failed"}
    valid(json.loads(done.stdout), "ExperimentJson")


@pytest.mark.skipif(find_spec("optuna") is None, reason="optuna is not installed")
def test_the_output_of_a_search_is_valid_by_its_schema(toy: Command, tmp_path: Path) -> None:
    (tmp_path / "tinyllm.toml").write_text(SCRIPTED + SECOND, encoding="utf-8")
    for teacher in ("parrot", "crow"):
        assert toy("elicit", "--teacher", teacher, "--dataset", "toy").returncode == 0
    common = ("--dataset", "toy", "--student", "student", "--json")
    check(toy("experiment", "alpha", "--search", "1", *common, "--dry-run"), "SearchPlanJson")
    found = check(toy("experiment", "alpha", "--search", "1", *common, "--yes"), "ExperimentJson")
    assert found["best"]["run"] == 1


def test_the_output_of_an_export_is_valid_by_its_schema(toy: Command) -> None:
    assert toy("import", "toy").returncode == 0
    assert toy("distill", "--dataset", "toy", "--alpha", "0", "--student", "student").returncode == 0
    found = check(toy("export", "--to", "gguf", "--out", "out", "--questions", "3", "--json"), "ExportJson")
    assert (found["format"], found["quantize"], found["run"]) == ("gguf", None, 1)
    small = check(toy("export", "--to", "gguf", "--out", "small", "--quantize", "int8", "--json"), "ExportJson")
    assert small["quantize"] == "int8"
    check(toy("info", "--json"), "InfoResult")


def test_an_error_is_valid_by_its_schema(inside: Command) -> None:
    for arguments in (("report", "--json"), ("eval", "--scoring", "vibes", "--json"), ("frobnicate", "--json")):
        done = inside(*arguments)
        value = json.loads(done.stderr.splitlines()[-1])
        schema = json.loads((SCHEMAS / "ErrorJson.json").read_text(encoding="utf-8"))
        assert list(Draft202012Validator(schema).iter_errors(value)) == []
        assert value["exit_code"] == done.returncode > 0
