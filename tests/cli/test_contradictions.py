"""Options without effect are reported where they can't be refused: several methods or teachers share them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Command, write_dataset, write_host
from tests.endpoint import Answer, serving

TEACHERS = """
[teachers.ann]
backend = "recorded"
path = "ann.jsonl"

[teachers.parrot]
backend = "scripted"
replies = ["It fits the number of this question."]
"""


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "toy", train=6)
    rows = [{"id": f"train-{number}", "rationale": "It fits the number of this question."} for number in range(6)]
    (tmp_path / "ann.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "tinyllm.toml").write_text(TEACHERS)
    return tmp_path


ELICIT = ("elicit", "-d", "toy")


def test_options_that_a_recorded_teacher_ignores_are_named(inside: Command, toy: Path) -> None:
    done = inside(*ELICIT, "-t", "ann", "-t", "parrot", "--temperature", "0.5", "--no-teacher-forcing")
    assert done.returncode == 0, done.stderr
    assert "ann is recorded: --temperature, --no-teacher-forcing without effect." in done.stderr
    assert "without effect" not in inside(*ELICIT, "-t", "ann").stderr


def test_top_p_needs_a_temperature(inside: Command, toy: Path) -> None:
    message = "parrot decodes greedily: --top-p needs a --temperature above 0."
    assert message in inside(*ELICIT, "-t", "parrot", "--top-p", "0.9").stderr
    assert message not in inside(*ELICIT, "-t", "parrot", "--top-p", "0.9", "--temperature", "0.7").stderr
    assert message not in inside(*ELICIT, "-t", "parrot", "--top-p", "1").stderr


def test_a_teacher_that_is_named_twice_is_asked_once(inside: Command, toy: Path) -> None:
    done = inside(*ELICIT, "-t", "parrot", "-t", "par", "--json")
    [teacher] = json.loads(done.stdout)["teachers"]
    assert (teacher["teacher"], teacher["new"]) == ("parrot", 6)


def test_a_pilot_in_batches_says_how_it_asks(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=7)
    with serving(lambda _n, _b: Answer()) as endpoint:
        write_host(tmp_path, endpoint.url, price_prompt=1.0, price_completion=2.0)
        done = inside(*ELICIT, "-t", "host", "--pilot", "--batch")
    assert done.returncode == 0, done.stderr
    assert "A pilot asks its questions one by one; only the estimate is that of batches." in done.stderr
    assert len(endpoint.bodies) == 5


WITHOUT_EFFECT = "--usefulness, --samples, --rationales, --per-question and --no-gates have no effect."
NO_RATIONALES = f"finetune trains on no rationales: {WITHOUT_EFFECT}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--no-gates",), NO_RATIONALES),
        (
            ("--samples", "1"),
            NO_RATIONALES,
        ),
        (("--lora-alpha", "4"), "finetune trains all weights: --lora-alpha has no effect without --lora-rank."),
    ],
)
def test_what_an_experiment_gives_all_methods_is_a_notice(
    inside: Command, toy: Path, options: tuple[str, ...], message: str
) -> None:
    assert inside(*ELICIT, "-t", "parrot").returncode == 0
    done = inside("distill", "--alpha", "0", "--dry-run", *options)
    assert done.returncode == 0, done.stderr
    assert message in done.stderr
    without = inside("distill", "--dry-run", *(options if "--lora-alpha" not in options else ()))
    assert message.replace("finetune", "distill-step-by-step") not in without.stderr


def test_the_method_lora_has_a_rank_of_its_own(inside: Command, toy: Path) -> None:
    assert inside(*ELICIT, "-t", "parrot").returncode == 0
    done = inside("distill", "--method", "lora", "--dry-run", "--json")
    assert json.loads(done.stdout)["method"] == "lora"
    plan = inside("experiment", "table1", "-d", "toy", "--methods", "lora", "--dry-run", "--", "--lora-rank", "0")
    assert "has no test split" in plan.stderr  # and no contradiction


def test_forcing_without_rationales_is_a_notice(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=2)
    done = inside("import", "toy", "--no-teacher-forcing")
    assert done.returncode == 0
    assert "No rationales were found, so --no-teacher-forcing had no effect." in done.stderr


def test_the_hint_shows_what_a_fraction_looks_like(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=2)
    done = inside("experiment", "train-size", "-d", "toy", "--fractions", "a", "--dry-run")
    assert done.returncode == 2
    assert "For example: --fractions 12.5,25,50,100 (percent)" in done.stderr
