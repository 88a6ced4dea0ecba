"""Which text a student writes when its answers are explained, from the run to the command."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Command, write_dataset
from tests.models import make_folder
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.evaluation.targets import explaining_model, explaining_run, run_target, scorings_of
from tinyllm_cli.records.runs import Run
from tinyllm_cli.records.settings import RunSettings, Target, TrainSettings

TRAIN = ("--recipe", "paper", "--batch-size", "4", "--max-target", "24")


def a_run(target: Target, prefixes: dict[str, str], alpha: dict[str, float]) -> Run:
    return Run(
        id=3, method="tinyllm", student="s", dataset="toy", alpha=alpha, seed=0, state="done", sources={}, metrics={},
        settings=RunSettings(train=TrainSettings(target=target), prefixes=prefixes), folder="f", command="",
        versions={}, started="",
    )  # fmt: skip


def test_a_multitask_student_explains_as_the_teacher_with_the_highest_alpha() -> None:
    run = a_run("multitask", {"ann": "a: ", "bob": "b: "}, {"ann": 0.5, "bob": 1.0})
    how, teacher = explaining_run(run)
    assert (how.prefix, how.begins_with, teacher) == ("b: ", "rationale", "bob")
    how, teacher = explaining_run(run, "an", votes=5)
    assert (how.prefix, how.votes, teacher) == ("a: ", 5, "ann")
    with pytest.raises(UsageProblem, match="no teacher called 'cid'"):
        explaining_run(run, "cid")


def test_a_text_that_is_generated_is_read_as_an_answer_whatever_the_target() -> None:
    """What a free text states counts for explained answers alone."""
    options = ("rain", "sand")
    for target in ("multitask", "answer-first"):
        reading = run_target(a_run(target, {"ann": "a: "}, {"ann": 1.0})).explaining  # type: ignore[arg-type]
        assert [reading.option(text, options) for text in ("rain", "So the answer is rain.")] == [0, None]


def test_a_student_of_one_sequence_has_no_style_of_one_teacher() -> None:
    run = a_run("rationale-first", {"ann": "a: ", "bob": "b: "}, {"ann": 1.0, "bob": 1.0})
    how, teacher = explaining_run(run, votes=3)
    assert (how.target, how.prefix, how.votes, teacher) == ("rationale-first", "explain and predict: ", 3, None)
    with pytest.raises(UsageProblem, match="no style of one teacher"):
        explaining_run(run, "ann")
    assert scorings_of(run_target(run), None) == ("explain",)
    with pytest.raises(UsageProblem, match="explains before it answers"):
        scorings_of(run_target(run), "generate")
    assert scorings_of(run_target(run), "rank") == ("rank",)


def test_a_student_of_answers_alone_writes_its_answer() -> None:
    how, teacher = explaining_run(a_run("multitask", {}, {}))
    assert (how.begins_with, teacher) == ("answer", None)
    assert explaining_model({"ann": "a: "}, None)[0].begins_with == "answer"
    assert explaining_model({"ann": "a: "}, "ann")[0].prefix == "a: "


@pytest.mark.parametrize("kind", ["seq2seq", "causal"])
def test_from_training_to_votes(tinyllm: Command, scripted: Path, tmp_path: Path, kind: str) -> None:
    """A rationale-first student is scored by explain, with its tokens and votes beside the accuracy, and predicts."""
    write_dataset(tmp_path / "toy", train=12, valid=4, test=4)
    student = make_folder(tmp_path / "student", kind)  # type: ignore[arg-type]
    assert tinyllm("elicit", "--teacher", "parrot", "--dataset", "toy").returncode == 0
    trained = tinyllm(
        "distill", "--alpha", "parrot=1", "--student", student, "--target", "rationale-first", *TRAIN, "--json"
    )
    assert trained.returncode == 0, trained.stderr
    for words, votes in (((), None), (("--votes", "3"), 3)):
        done = tinyllm("eval", *words, *(("--scoring", "explain") if words else ()), "--json")
        assert done.returncode == 0, done.stderr
        [found] = json.loads(done.stdout)["evaluations"]
        assert found["scoring"] == ("explain" if votes is None else "explain, 3 votes")
        assert found["written_tokens"] > 0
    with closing(sqlite3.connect(tmp_path / "tinyllm.db")) as connection:
        rows = connection.execute("SELECT scoring, votes, explain_as, written_tokens FROM evaluations").fetchall()
    assert [row[:3] for row in rows] == [("explain", None, None), ("explain", 3, None)]
    assert rows[1][3] > rows[0][3]
    said = tinyllm("predict", "Which of these is number 1?", "--option", "thing 0", "--option", "thing 1", "--json")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["scoring"] == "explain"
    for style in ("all", "parrot"):
        options = ("--option", "thing 0", "--option", "thing 1", "--explain-as", style)
        refused = tinyllm("predict", "Which of these is number 1?", *options)
        assert refused.returncode == 2
        assert "has no style of one teacher" in refused.stderr
    shown = tinyllm("report")
    assert shown.returncode == 0, shown.stderr
    assert "explain" in shown.stdout


def test_votes_need_explained_answers(tinyllm: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=4, test=4)
    student = make_folder(tmp_path / "student", "causal")
    assert tinyllm("distill", "--alpha", "0", "--dataset", "toy", "--student", student, *TRAIN).returncode == 0
    for command in (("eval", "--votes", "3"), ("predict", "Q?", "--option", "a", "--option", "b", "--votes", "3")):
        done = tinyllm(*command)
        assert done.returncode == 2
        assert "Add --scoring explain." in done.stderr
