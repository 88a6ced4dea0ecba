"""`tinyllm predict`: answers, rationales in a teacher's style on request, and no question of a file twice."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import tinyllm_cli
from tests.conftest import make_questions
from tests.files import FORMATS, write_rows
from tests.models import KINDS, diverged, make_folder, make_student, record_run
from tinyllm_cli.cli import app
from tinyllm_cli.datasets.question import UNKNOWN, Question
from tinyllm_cli.errors import Busy, UsageProblem, WorldProblem
from tinyllm_cli.evaluation.predict import (
    PredictionFiles,
    PredictorConfig,
    answer,
    answer_file,
    check_file,
    choose_prefixes,
    probabilities,
    typed_question,
)
from tinyllm_cli.files import exclusive
from tinyllm_cli.records.evaluations import Scoring
from tinyllm_cli.store import open_store
from tinyllm_cli.students.base import Limits, Student
from tinyllm_cli.students.inputs import Task, student_input
from tinyllm_cli.students.predict import rank

LIMITS = Limits(input=256, target=12)
PREFIXES = {"owl": "hoot: ", "parrot": "squawk: "}


@pytest.fixture(scope="module", params=KINDS)
def student(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Student:
    return make_student(tmp_path_factory.mktemp("student"), request.param)


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Student:
    return make_student(tmp_path_factory.mktemp("student"), "causal")


def config(scoring: Scoring = "rank", **settings: Any) -> PredictorConfig:
    return PredictorConfig(**{"name": "run 1", "model": "tiny", "scoring": scoring, "limits": LIMITS, **settings})


def rows_of(questions: Sequence[Question], *, answers: bool = True) -> list[dict[str, Any]]:
    return [
        {"id": q.key, "question": q.text, "options": list(q.options)} | ({"answer": q.answer} if answers else {})
        for q in questions
    ]


def never() -> Student:
    raise AssertionError("nothing is missing, and yet the student is loaded")


def answered(student: Student | None, path: Path, out: Path, how: PredictorConfig | None = None) -> Any:
    """What `answer_file` reports; without a student it must not need one."""
    load: Callable[[], Student] = never if student is None else lambda: student
    files = PredictionFiles(questions=path, out=out)
    return answer_file(load, files, how or config(), check_file(path, {}), lambda done, total: None)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_likeliest_option_is_the_answer_and_probabilities_are_its_share(student: Student) -> None:
    questions = make_questions(7)
    scores = {one.key: one.scores for one in rank(student, questions, LIMITS)}
    for question, one in zip(questions, answer(student, questions, config()), strict=True):
        assert one.question == question
        own = scores[question.key]
        assert own is not None
        total = sum(map(math.exp, own))
        assert one.probabilities == pytest.approx([math.exp(score) / total for score in own])
        assert one.prediction.option == max(range(4), key=one.probabilities.__getitem__)
        assert one.text == question.options[one.prediction.option]
        assert one.correct == (one.prediction.option == question.answer)


def test_probabilities_of_very_unlikely_options_are_finite() -> None:
    assert probabilities([-2000.0, -2000.0]) == (0.5, 0.5)
    assert sum(probabilities([-1e4, 0.0, -3.0])) == pytest.approx(1)


def test_written_text_that_is_no_option_is_no_answer(student: Student) -> None:
    [one] = answer(student, make_questions(1), config("generate"))
    assert (one.prediction.option, one.text, one.probabilities) == (None, None, ())
    assert one.prediction.text
    assert one.correct is False


def test_an_answer_without_a_gold_answer_is_neither_right_nor_wrong(causal: Student) -> None:
    question = typed_question("Which is it?", ["this", "that"], "Somewhere.")
    [one] = answer(causal, [question], config())
    assert question.answer == UNKNOWN
    assert one.text in ("this", "that")
    assert one.correct is None


def test_a_rationale_is_the_students_text_after_that_teachers_prefix(student: Student) -> None:
    questions = make_questions(5)
    for one in answer(student, questions, config(prefixes=PREFIXES)):
        for teacher, prefix in PREFIXES.items():
            task = Task.single(teacher, student_input(prefix, one.question))
            [alone] = student.generate([student.encode([task], LIMITS)[0].input], LIMITS.target)
            assert one.rationales[teacher] == alone


def test_teachers_are_chosen_by_the_beginning_of_their_names_or_all_together() -> None:
    assert choose_prefixes([], {}, "Run 1") == {}
    assert choose_prefixes(["pa"], PREFIXES, "Run 1") == {"parrot": "squawk: "}
    assert choose_prefixes(["all"], PREFIXES, "Run 1") == PREFIXES
    with pytest.raises(UsageProblem, match="no teacher called 'crow'") as caught:
        choose_prefixes(["crow"], PREFIXES, "Run 1")
    assert "owl, parrot" in caught.value.hint
    with pytest.raises(UsageProblem, match="Run 1 writes no rationales"):
        choose_prefixes(["owl"], {}, "Run 1")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (" ", ["a", "b"], "question is empty"),
        ("Which?", ["a"], "needs 2 to 26 options; this one has 1"),
        ("Which?", ["a"] * 27, "this one has 27"),
        ("Which?", ["a", " "], "options is empty"),
        ("Which?", ["a", "b", " a"], "Two options have the same text: 'a'."),
        ("Which\ud800?", ["a", "b"], "incomplete Unicode character"),
    ],
)
def test_a_typed_question_that_cannot_be_answered_is_refused(text: str, options: list[str], message: str) -> None:
    with pytest.raises(UsageProblem, match=message):
        typed_question(text, options, None)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_of_any_format_is_answered_in_its_order(name: str, causal: Student, tmp_path: Path) -> None:
    questions = make_questions(5)
    path = write_rows(tmp_path / name, rows_of(questions))
    report = answered(causal, path, tmp_path / "answers.jsonl")
    written = lines(tmp_path / "answers.jsonl")
    assert [row["id"] for row in written] == [question.key for question in questions]
    assert [row["gold"] for row in written] == [question.answer for question in questions]
    assert all(row["correct"] == (row["option"] == row["gold"]) for row in written)
    assert (len(report.lines), report.graded, report.correct) == (5, 5, sum(row["correct"] for row in written))


def test_rows_need_neither_answers_nor_ids(causal: Student, tmp_path: Path) -> None:
    rows = [{"question": q.text, "options": list(q.options)} for q in make_questions(3)]
    report = answered(causal, write_rows(tmp_path / "q.jsonl", rows), tmp_path / "out.jsonl")
    assert [(row["id"], row["gold"], row["correct"]) for row in lines(tmp_path / "out.jsonl")] == [
        ("1", None, None), ("2", None, None), ("3", None, None),
    ]  # fmt: skip
    assert report.graded == 0


def test_rows_that_cannot_be_used_are_named_and_the_others_answered(causal: Student, tmp_path: Path) -> None:
    good, twin = rows_of(make_questions(2))
    bad = [
        {**good, "id": "x", "options": ["one"]},
        {**good, "id": "y", "answer": "elsewhere"},
        {**twin, "id": good["id"]},
    ]
    path = write_rows(tmp_path / "q.jsonl", [good, *bad, twin])
    found = check_file(path, {})
    assert found.questions == 2
    message = [str(problem) for problem in found.problems]
    for text, expected in zip(
        message, ("row 2, field 'options'", "row 3, field 'answer'", "row 4, field 'id'"), strict=True
    ):
        assert expected in text
    answered(causal, path, tmp_path / "out.jsonl")
    assert [row["id"] for row in lines(tmp_path / "out.jsonl")] == [good["id"], twin["id"]]


def test_a_csv_row_with_too_many_cells_is_named_and_the_others_answered(causal: Student, tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("id,question,a,b\n1,Which, if any, floats?,cork,iron\n2,Which sinks?,cork,iron\n")
    columns = {"options": "a,b"}
    found = check_file(path, columns)
    assert [str(problem) for problem in found.problems] == [
        "q.csv, row 1: it has more cells than there are names in the first line."
    ]
    files = PredictionFiles(questions=path, out=tmp_path / "out.jsonl", columns=columns)
    answer_file(lambda: causal, files, config(), found, lambda *_: None)
    assert [row["id"] for row in lines(tmp_path / "out.jsonl")] == ["2"]


def test_a_file_without_rows_is_no_file_of_questions(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text("\n")
    with pytest.raises(UsageProblem, match=r"q\.jsonl has no questions"):
        check_file(tmp_path / "q.jsonl", {})


def test_a_second_run_asks_nothing_again(causal: Student, tmp_path: Path) -> None:
    path, out = write_rows(tmp_path / "q.jsonl", rows_of(make_questions(4))), tmp_path / "out.jsonl"
    first = answered(causal, path, out)
    before = out.read_bytes()
    again = answered(None, path, out)
    assert out.read_bytes() == before
    assert (first.before, again.before, again.lines) == (0, 4, first.lines)


def test_only_questions_that_are_new_or_changed_are_asked_again(causal: Student, tmp_path: Path) -> None:
    questions, out = make_questions(4), tmp_path / "out.jsonl"
    answered(causal, write_rows(tmp_path / "q.jsonl", rows_of(questions[:3])), out)
    rows = rows_of(questions)
    rows[1]["question"] = "Another one?"
    report = answered(causal, write_rows(tmp_path / "q.jsonl", rows), out)
    assert [row["id"] for row in lines(out)] == ["train-0", "train-1", "train-2", "train-1", "train-3"]
    assert (report.before, report.changed, len(report.lines)) == (2, 1, 4)
    assert answered(None, tmp_path / "q.jsonl", out).before == 4


@pytest.mark.parametrize(
    "other",
    [config("generate"), config(name="run 2"), config(prefixes=PREFIXES), config(limits=Limits(input=99, target=12))],
)
def test_answers_of_another_config_are_never_mixed_in(other: PredictorConfig, causal: Student, tmp_path: Path) -> None:
    path, out = write_rows(tmp_path / "q.jsonl", rows_of(make_questions(2))), tmp_path / "out.jsonl"
    answered(causal, path, out)
    before = out.read_bytes()
    with pytest.raises(UsageProblem, match="has answers by run 1"):
        answered(causal, path, out, other)
    assert out.read_bytes() == before


@pytest.mark.parametrize("scoring", ["rank", "generate"])
def test_a_student_without_finite_scores_has_no_answers(scoring: Scoring, tmp_path: Path) -> None:
    student = diverged(make_student(tmp_path / "student", "causal"))
    path, out = write_rows(tmp_path / "q.jsonl", rows_of(make_questions(3))), tmp_path / "out.jsonl"
    with pytest.raises(WorldProblem, match="The scores of run 1 are not finite"):
        answered(student, path, out, config(scoring))
    assert out.read_bytes() == b""


def test_a_second_process_on_the_same_answers_is_refused(causal: Student, tmp_path: Path) -> None:
    path, out = write_rows(tmp_path / "q.jsonl", rows_of(make_questions(3))), tmp_path / "out.jsonl"
    with exclusive(out) as ours:
        assert ours
        with pytest.raises(Busy, match=r"Another process writes answers to .*out\.jsonl"):
            answered(causal, path, out)
    assert len(answered(causal, path, out).lines) == 3
    assert sorted(found.name for found in tmp_path.iterdir()) == ["out.jsonl", "q.jsonl"]


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., Result]:
    """Run `tinyllm predict` on a database with one run of a tiny student, in this process."""
    folder = make_folder(tmp_path / "student", "causal")
    with open_store(tmp_path / "tinyllm.db") as store:
        record_run(store, folder, prefixes=PREFIXES)

    def run(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, ["predict", *map(str, arguments), "--db", str(tmp_path / "tinyllm.db")])

    return run


QUESTIONS = str(Path(tinyllm_cli.__file__).parent / "data" / "everyday" / "test.jsonl")
TWO = ("--option", "[bold]this[/bold]", "--option", "that\x1b[31m")


def test_the_command_shows_answer_probabilities_and_rationales_as_plain_text(
    ask: Callable[..., Result],
) -> None:
    done = ask("Which is it?", *TWO, "--explain-as", "ow")
    assert done.exit_code == 0, done.output
    shown = done.stdout.splitlines()
    assert shown[0].startswith(("Answer: (a) [bold]this[/bold]", "Answer: (b) that�[31m"))
    shares = [float(line.split("%")[0]) for line in shown[1:3]]
    assert sum(shares) == pytest.approx(100, abs=0.11)
    assert shown[3].startswith("Explained as owl: ")
    assert "parrot" not in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr.splitlines()[-1].startswith("Next: tinyllm eval --run 1")


def test_the_commands_json_has_it_all(ask: Callable[..., Result]) -> None:
    found = json.loads(ask("Which is it?", *TWO, "--explain-as", "all", "--json").stdout)
    assert found["by"] == "run 1"
    assert found["answer"] == found["options"][found["option"]]
    assert sum(found["probabilities"]) == pytest.approx(1)
    assert set(found["rationales"]) == {"owl", "parrot"}


def test_a_model_outside_a_run_needs_no_database_and_takes_the_teachers_prefixes(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "student", "causal")
    common = ["predict", "Which?", *TWO, "--model", str(folder), "--db", str(tmp_path / "none.db")]
    done = CliRunner().invoke(app, [*common, "--explain-as", "llama", "--json"])
    assert done.exit_code == 0, done.output
    assert set(json.loads(done.stdout)["rationales"]) == {"llama2"}
    assert not (tmp_path / "none.db").exists()
    refused = CliRunner().invoke(app, [*common, "--explain-as", "gpt"])
    assert refused.exit_code == 2
    assert "expert, llama2, smollm2, t5" in refused.stderr


def test_a_model_is_the_same_one_however_its_path_was_typed(
    causal: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(tmp_path / "student", "causal")
    write_rows(tmp_path / "q.jsonl", rows_of(make_questions(2)))
    monkeypatch.chdir(tmp_path)
    for model in ("./student", str(folder)):
        done = CliRunner().invoke(app, ["predict", "--file", "q.jsonl", "--out", "a.jsonl", "--model", model])
        assert done.exit_code == 0, done.output
    assert "2 of 2 questions answered, 2 of them before" in done.output


def test_long_options_that_begin_alike_are_distinguished_and_a_cut_one_is_reported(causal: Student) -> None:
    long = "thing " * 20
    [one] = make_questions(1)
    asked = replace(one, options=(f"{long}first", f"{long}second"), answer=1)
    short = PredictorConfig(name="run 1", model="tiny", scoring="rank", limits=Limits(input=96, target=8), prefixes={})
    [found] = answer(causal, [asked], short)
    assert found.probabilities[0] != found.probabilities[1]
    assert not found.prediction.input_truncated
    endless = replace(asked, options=("thing " * 600 + "first", "thing " * 600 + "second"))
    [found] = answer(causal, [endless], short)
    assert found.prediction.input_truncated


def test_the_command_ends_with_1_when_rows_were_unusable(ask: Callable[..., Result], tmp_path: Path) -> None:
    good, bad = rows_of(make_questions(2))
    path = write_rows(tmp_path / "q.jsonl", [good, {**bad, "options": []}])
    done = ask("--file", path, "--out", tmp_path / "out.jsonl", "--json")
    assert done.exit_code == 1
    assert "q.jsonl, row 2, field 'options'" in done.stderr
    assert "1 of 2 rows could not be used." in done.stderr
    found = json.loads(done.stdout)
    assert (found["questions"], found["answered"], len(found["unusable"])) == (1, 1, 1)
    assert len(lines(tmp_path / "out.jsonl")) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "What is the question?"),
        (("--json",), "What is the question?"),
        (("Which?",), "this one has 0"),
        (("--option", "a"), "options or a context, but no question"),
        (("Which?", *TWO, "--scoring", "vibes"), "Invalid value for '--scoring'"),
        (("Which?", *TWO, "--run", "1", "--model", "x"), "exclude each other"),
        (("Which?", *TWO, "--run", "9"), "There is no run 9"),
        (("--file", "q.jsonl"), "belong together"),
        (("--out", "q.jsonl"), "belong together"),
        (("Which?", "--file", "q.jsonl", "--out", "a.jsonl"), "exclude each other"),
        (("Which?", *TWO, "--map", "id=n"), "--map belongs to --file"),
        (("--file", "nowhere.jsonl", "--out", "a.jsonl"), "There is no file nowhere.jsonl"),
        (("--file", QUESTIONS, "--out", "-"), "answers need a regular file"),
        (("--file", QUESTIONS, "--out", "/dev/null"), "answers need a regular file"),
    ],
)
def test_a_command_that_cannot_be_carried_out_says_why(
    ask: Callable[..., Result], arguments: Sequence[str], message: str
) -> None:
    done = ask(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
