"""Recipes: what they choose, that a given setting wins, and that the paper's is exactly the paper's training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Command, write_dataset
from tests.models import make_folder
from tinyllm_cli.api.training_events import Outlook
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.records.settings import TrainSettings
from tinyllm_cli.students.shape import StudentShape, student_shape
from tinyllm_cli.training.progress import StepReport
from tinyllm_cli.training.recipes import RECIPES, Situation, with_recipe
from tinyllm_cli.training.steps import step_batches
from tinyllm_cli.training.trainer import checkpoint_steps

SITUATIONS = st.builds(
    Situation,
    shape=st.builds(
        StudentShape,
        kind=st.sampled_from(["seq2seq", "causal"]),
        parameters=st.none() | st.floats(1e4, 1e12, allow_nan=False),
    ),
    questions=st.integers(1, 10**6),
    valid=st.integers(0, 10**4),
)
SMALL = Situation(shape=StudentShape(kind="seq2seq", parameters=8e7), questions=1000, valid=500)


def test_the_paper_is_one_epoch_of_batches_of_8() -> None:
    assert with_recipe("paper", SMALL, {}) == TrainSettings()
    assert (TrainSettings().epochs, TrainSettings().batch_size, TrainSettings().lr) == (1, 8, 5e-5)
    assert TrainSettings().steps(1000) == 125


def test_the_authors_train_10_000_steps_of_64_questions() -> None:
    chosen = with_recipe("authors", SMALL, {})
    assert (chosen.steps(1000), chosen.batch_size, chosen.lr, chosen.schedule) == (10_000, 64, 5e-5, "linear")
    assert chosen.questions_after(10_000, 1000) == 625_000


@given(situation=SITUATIONS, recipe=st.sampled_from(RECIPES), lr=st.floats(0, 1), epochs=st.integers(1, 5))
def test_what_is_given_wins(situation: Situation, recipe: str, lr: float, epochs: int) -> None:
    chosen = with_recipe(recipe, situation, {"lr": lr, "epochs": epochs, "warmup_steps": 3})  # type: ignore[arg-type]
    assert (chosen.lr, chosen.epochs, chosen.max_steps, chosen.warmup_ratio) == (lr, epochs, 0, 0.0)
    assert chosen.steps(100) == epochs * chosen.steps_per_epoch(100)


@given(situation=SITUATIONS, recipe=st.sampled_from(RECIPES))
def test_every_recipe_trains_and_evaluates(situation: Situation, recipe: str) -> None:
    chosen = with_recipe(recipe, situation, {})  # type: ignore[arg-type]
    steps = chosen.steps(situation.questions)
    assert steps >= 1
    points = checkpoint_steps(situation.questions, chosen)
    assert max(points) == steps
    assert min(points) >= 1
    assert chosen.warmup(steps) <= steps
    assert len(points) == chosen.evaluations(situation.questions)


def test_a_warm_up_is_a_fraction() -> None:
    with pytest.raises(UsageProblem, match="--warmup-ratio"):
        TrainSettings(warmup_ratio=1.5)


@given(
    questions=st.integers(1, 40), batch=st.integers(1, 9), steps=st.integers(1, 60),
)  # fmt: skip
def test_steps_beyond_an_epoch_begin_another(questions: int, batch: int, steps: int) -> None:
    settings = TrainSettings(max_steps=steps, batch_size=batch)
    batches = list(step_batches([[number] for number in range(questions)], settings))  # type: ignore[list-item]
    assert len(batches) == steps
    assert sum(map(len, batches)) == settings.questions_after(steps, questions)
    seen = [one for own in batches for one in own]
    for start in range(0, len(seen) - questions + 1, questions):
        assert len(set(seen[start : start + questions])) == questions  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "kind", "parameters"),
    [
        ("google/flan-t5-small", "seq2seq", 80e6),
        ("google/flan-t5-xl", "seq2seq", 3e9),
        ("google/mt5-base", "seq2seq", 250e6),
        ("facebook/bart-large", "seq2seq", 780e6),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "causal", 135e6),
        ("Qwen/Qwen2.5-0.5B", "causal", 0.5e9),
        ("meta-llama/Llama-3.2-1B", "causal", 1e9),
        ("openai-community/gpt2", "causal", None),
        ("smollm2", "causal", 135e6),
        ("models/any-1.5B-q8.gguf", "causal", 1.5e9),
    ],
)
def test_what_a_name_says(name: str, kind: str, parameters: float | None) -> None:
    assert student_shape(name) == StudentShape(kind=kind, parameters=parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["seq2seq", "causal"])
def test_what_a_folder_says(tmp_path: Path, kind: str) -> None:
    folder = make_folder(tmp_path / "student", kind)  # type: ignore[arg-type]
    shape = student_shape(str(folder))
    assert shape.kind == kind
    assert shape.parameters == pytest.approx((folder / "model.safetensors").stat().st_size / 4)
    (folder / "config.json").write_text("{", encoding="utf-8")
    assert student_shape(str(folder)).kind == "causal"


def test_the_command_trains_by_the_recipe(tinyllm: Command, tmp_path: Path) -> None:
    """--recipe paper --target multitask --no-gates is the paper's objective, data and number of steps."""
    write_dataset(tmp_path / "toy", train=20, valid=4)
    student = make_folder(tmp_path / "student", "seq2seq")
    common = ("--dataset", "toy", "--student", student, "--alpha", "0", "--dry-run", "--json")
    for words, steps in (
        (("--recipe", "paper", "--target", "multitask", "--no-gates"), 3),
        ((), 20 * 3),
        (("--recipe", "authors"), 10_000),
        (("--recipe", "quick"), 6),
        (("--max-steps", "7"), 7),
        (("--epochs", "2", "--batch-size", "5"), 8),
    ):
        done = tinyllm("distill", *common, *words)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["steps"] == steps


def estimates(steps: int, *, again: int = 1) -> list[str]:
    """What a training of so many steps of 2 s says of its time, where each step is reported `again` times."""
    outlook = Outlook(recipe="best", batch_size=8, seen={"best": 8 * steps, "quick": 80})
    reports = [
        StepReport(step=step, steps=steps, losses={}, tokens=1, seconds=2.0, token_budget=1)
        for step in range(1, steps + 1)
    ]
    return [text for report in reports for _ in range(again) if (text := outlook.after(report))]


def test_the_time_that_is_left_is_said_once_and_only_where_there_is_any() -> None:
    left = "About 28 s of training left at this pace, less with early stopping, and evaluations."
    assert estimates(20) == estimates(20, again=2) == [f"{left} A whole training with another --recipe: quick 20 s."]
    assert estimates(6) == estimates(4, again=2) == []
