"""LoRA, optimizers, schedules, checkpointing, early stopping, tracking: each does to the weights what it should."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import Command, write_dataset
from tests.models import KINDS, make_folder, weights
from tests.training.test_trainer import contrary, final_weights, interrupted_training, planned, run, taught
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.records.settings import Environment, RunSettings, SelectionRecord, TrainSettings
from tinyllm_cli.store import Store
from tinyllm_cli.students.base import Student
from tinyllm_cli.students.loading import load_student
from tinyllm_cli.training.optimizers import SCHEDULES, make_optimizer, optimizer_names
from tinyllm_cli.training.progress import StepReport
from tinyllm_cli.training.steps import Training

SHAKEN = ("adafactor", "adamw_torch", "sgd", "rmsprop", "adagrad")
"""Optimizers that need no further package."""


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("student"), request.param)


def trained(folder: Path, watch: Callable[[StepReport], None] = lambda report: None, **changes: Any) -> Student:
    student = load_student(str(folder))
    settings = TrainSettings(**{"epochs": 6, "batch_size": 4, "lr": 1e-3, "precision": "float32", **changes})
    for report in Training(student, taught(student), settings).steps():
        watch(report)
    return student


@pytest.mark.parametrize("name", SHAKEN)
def test_an_optimizer_learns(folder: Path, name: str) -> None:
    losses: list[float] = []
    trained(folder, lambda report: losses.append(report.losses["answer"]), optimizer=name, lr=1e-2)
    assert losses[-1] < losses[0]


def test_adamw_is_the_same_fused_or_not(folder: Path) -> None:
    fused, plain = weights(trained(folder)), weights(trained(folder, optimizer="adamw_torch"))
    assert all(torch.allclose(value, plain[name], atol=1e-4) for name, value in fused.items())


def test_weight_decay_reaches_every_optimizer_and_spares_norms_and_biases(folder: Path) -> None:
    model = load_student(str(folder)).model
    for name in ("adamw_torch_fused", *SHAKEN):
        decays = {
            id(value): group["weight_decay"]
            for group in make_optimizer(model, name, 1e-3, 0.25).param_groups
            for value in group["params"]
        }
        expected = {id(value): 0.25 if value.dim() > 1 else 0.0 for value in model.parameters()}
        assert decays == expected, name
        assert set(decays.values()) == {0.25, 0.0}


@pytest.mark.parametrize(("name", "value"), [("lr", math.inf), ("lr", math.nan), ("weight_decay", -1.0)])
def test_a_number_that_is_not_finite_is_refused(name: str, value: float) -> None:
    with pytest.raises(UsageProblem, match=f"--{name.replace('_', '-')} can't be"):
        TrainSettings(**{name: value})


def test_settings_are_read_as_they_were_written() -> None:
    written = RunSettings(
        train=TrainSettings(lr=0.1, lora_rank=4, reading="token"), limit=3, prefixes={"t5": "explain: "},
        selection=SelectionRecord(gates="ab12", shuffled=True), fingerprint="f", data="d",
        environment=Environment(device="cpu (AVX2)", precision="float32", threads=2),
    )  # fmt: skip
    assert RunSettings.from_json(json.loads(json.dumps(written.to_json()))) == written
    assert RunSettings.from_json({}) == RunSettings()
    assert "usefulness" not in written.to_json()


def test_a_lora_rank_beyond_every_layer_is_refused(store: Store, folder: Path, tmp_path: Path) -> None:
    plan = planned(store, write_dataset(tmp_path / "toy", train=4), folder, lora_rank=99_999_999)
    with pytest.raises(UsageProblem, match="99999999 is more than the rank of any layer"):
        run(store, plan, lambda progress, student: None)
    assert store.runs.everything() == []


def test_an_unknown_optimizer_lists_the_known_ones() -> None:
    with pytest.raises(UsageProblem, match="no optimizer 'adamwx'") as problem:
        make_optimizer(torch.nn.Linear(2, 2), "adamwx", 1e-3, 0.0)
    assert "adafactor" in problem.value.hint
    assert not {"lomo", "schedule_free_adamw"} & set(optimizer_names())


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_trains(folder: Path, schedule: str) -> None:
    losses: list[float] = []
    trained(folder, lambda report: losses.append(report.losses["answer"]), schedule=schedule, warmup_steps=2)
    assert losses[-1] < losses[0]


def test_lora_trains_a_few_parameters_and_saves_an_ordinary_model(store: Store, folder: Path, tmp_path: Path) -> None:
    before = weights(load_student(str(folder)))
    last: list[Student] = []
    plan = planned(store, write_dataset(tmp_path / "toy", train=12), folder, lora_rank=1, epochs=3)
    done = run(store, plan, lambda progress, student: last.append(student))
    model = last[-1].model
    total = sum(value.numel() for value in before.values())
    assert 0 < sum(value.numel() for value in model.parameters() if value.requires_grad) < 0.05 * total
    saved = load_student(done.folder)
    assert weights(saved).keys() == before.keys()
    assert any(not torch.equal(value, before[name]) for name, value in weights(saved).items())
    embedding = load_student(str(folder)).model.get_input_embeddings().weight
    assert torch.equal(saved.model.get_input_embeddings().weight, embedding)
    ids = torch.tensor([[5, 6, 7]])
    inputs = {"input_ids": ids, **({"decoder_input_ids": ids} if saved.kind == "seq2seq" else {})}
    with torch.no_grad():
        assert torch.allclose(saved.model(**inputs).logits, model(**inputs).logits, atol=1e-4)


def test_lora_resumes_where_it_was_interrupted(store: Store, folder: Path, tmp_path: Path) -> None:
    plan = planned(store, write_dataset(tmp_path / "toy", train=12, valid=4), folder, lora_rank=2, epochs=2)
    interrupted_training(store, plan, 4, KeyboardInterrupt())
    _, found = final_weights(store, plan)
    _, expected = final_weights(store, plan, restart=True)
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_adafactor_resumes_where_it_was_interrupted(store: Store, folder: Path, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "toy", train=12, valid=4)
    plan = planned(store, data, folder, optimizer="adafactor", epochs=2, schedule="cosine")
    interrupted_training(store, plan, 4, RuntimeError("killed"))
    _, found = final_weights(store, plan)
    _, expected = final_weights(store, plan, restart=True)
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_gradient_checkpointing_changes_memory_not_weights(folder: Path) -> None:
    plain, lean = weights(trained(folder)), weights(trained(folder, gradient_checkpointing=True))
    assert all(torch.allclose(value, lean[name], atol=1e-4) for name, value in plain.items())


def test_patience_ends_a_training_that_gets_no_better(store: Store, folder: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"epochs": 30, "evals_per_epoch": 1, "schedule": "constant"}
    plan = planned(store, contrary(tmp_path / "toy"), folder, patience=2, **changes)
    done = run(store, plan, lambda progress, student: None)
    curve = done.metrics["valid"]
    best = max(range(len(curve)), key=lambda place: (curve[place]["accuracy"], -curve[place]["loss"]))
    assert done.state == "done"
    assert done.metrics["steps"] == curve[-1]["step"] < 90
    assert len(curve) - 1 - best == 2
    assert done.metrics["best_step"] == curve[best]["step"]


def test_patience_ends_a_training_without_improvement(store: Store, folder: Path, tmp_path: Path) -> None:
    plan = planned(store, contrary(tmp_path / "toy"), folder, patience=2, epochs=9, evals_per_epoch=1, lr=0.0)
    assert len(run(store, plan, lambda progress, student: None).metrics["valid"]) == 3


@pytest.mark.parametrize("wrong", [{"lr": 1e-8}, {"warmup_steps": 500}])
def test_a_schedule_that_these_numbers_are_not_for_is_refused_before_a_step(
    store: Store, folder: Path, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    plan = planned(store, contrary(tmp_path / "toy"), folder, schedule="polynomial", **wrong)
    with pytest.raises(UsageProblem, match="polynomial"):
        run(store, plan, lambda progress, student: None)


def test_tensorboard_gets_the_curves(inside: Command, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write_dataset(tmp_path / "toy", train=8, valid=4)
    make_folder(tmp_path / "student", "causal")
    arguments = ("distill", "--alpha", "0", "--dataset", "toy", "--student", "student", "--batch-size", "2")
    done = inside(*arguments, "--recipe", "paper", "--track", "tensorboard")
    assert done.returncode == 0, done.stderr
    [run_folder] = (tmp_path / "tinyllm-tracking").iterdir()
    events = EventAccumulator(str(run_folder))
    events.Reload()
    assert [event.step for event in events.Scalars("loss/answer")] == [1, 2, 3, 4]
    assert [event.step for event in events.Scalars("valid accuracy")] == [2, 4]


def test_a_missing_tracker_says_what_to_install(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=8, valid=4)
    make_folder(tmp_path / "student", "causal")
    arguments = ("distill", "--alpha", "0", "--dataset", "toy", "--student", "student")
    done = inside(*arguments, "--track", "mlflow")
    assert done.returncode == 2
    assert "pip install mlflow" in done.stderr
    assert inside(*arguments, "--track", "paper").returncode == 2


def test_compiling_has_no_effect_on_a_cpu_and_says_so(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    plain, other = weights(trained(folder)), weights(trained(folder, compile_layers=True))
    assert all(torch.equal(value, other[name]) for name, value in plain.items())
    assert "The student's layers are not compiled: only packed rows on a GPU" in caplog.text
