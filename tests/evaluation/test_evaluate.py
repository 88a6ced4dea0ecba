"""Accuracy as rows: of students by rank and by generating, of teachers by what they answered unforced."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.checkpoints import load as load_checkpoint
from tests.conftest import Command, make_questions, write_dataset
from tests.models import KINDS, diverged, make_folder, make_student, record_run
from tinyllm_cli.config import load_settings
from tinyllm_cli.datasets.catalogue import from_path
from tinyllm_cli.errors import UsageProblem, WorldProblem
from tinyllm_cli.evaluation.evaluate import QuestionSlice, evaluate, evaluate_student
from tinyllm_cli.evaluation.scoring import StudentScoring
from tinyllm_cli.evaluation.targets import model_subject, model_target, run_target, scorings_of, teacher_target
from tinyllm_cli.ingestion.ingest import ingest
from tinyllm_cli.records.evaluations import Evaluation, Scoring
from tinyllm_cli.records.runs import RunIdentity
from tinyllm_cli.records.settings import RunSettings
from tinyllm_cli.stats import wilson
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.students.base import Limits, Student
from tinyllm_cli.students.loading import load_student

LIMITS = Limits()


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("student"), request.param)


def evaluated(
    store: Store, folder: Path, asked: list[int], *, scoring: Scoring = "rank", limit: int | None = None,
    stop_after: int | None = None,
) -> Evaluation:  # fmt: skip
    """Evaluate on `toy`'s test split. `asked` gets the size of every batch; Ctrl-C after `stop_after` questions."""
    base = type(load_student(str(folder)))

    class Counting(base):  # type: ignore[misc,valid-type]
        def option_scores(
            self, inputs: Sequence[Sequence[int]], options: Sequence[Sequence[Sequence[int]]]
        ) -> list[list[float]]:
            if scoring == "rank":  # a generating student ranks one question, to see that its scores are finite
                asked.append(len(inputs))
            return super().option_scores(inputs, options)  # type: ignore[no-any-return]

        def generate(self, inputs: Sequence[Sequence[int]], max_new_tokens: int) -> list[str]:
            asked.append(len(inputs))
            return super().generate(inputs, max_new_tokens)  # type: ignore[no-any-return]

    def load() -> Student:
        return Counting(load_checkpoint(str(folder), device="cpu"))

    def watch(answered: int, total: int) -> None:
        if stop_after is not None and answered >= stop_after:
            raise KeyboardInterrupt

    subject = model_subject("model", str(folder), str(folder), LIMITS)
    questions = QuestionSlice(dataset="toy", split="test", limit=limit)
    return evaluate_student(store, subject, load, questions, StudentScoring(scoring=scoring, limits=LIMITS), watch)


def imported(store: Store, tmp_path: Path, **sizes: int) -> None:
    ingest(store, from_path(write_dataset(tmp_path / "toy", **sizes)))


def test_every_prediction_of_rank_is_a_row_with_its_scores(store: Store, folder: Path, tmp_path: Path) -> None:
    imported(store, tmp_path, test=10)
    evaluation = evaluated(store, folder, [])
    questions = {question.key: question for question in make_questions(10, split="test")}
    rows = {row.key: row for row in store.evaluations.predictions(evaluation.id)}
    assert set(rows) == set(questions)
    for key, row in rows.items():
        assert row.question == questions[key].hash
        assert row.scores is not None
        assert len(row.scores) == 4
        assert row.option == max(range(4), key=row.scores.__getitem__)
        assert row.correct == (row.option == questions[key].answer)
    assert evaluation.correct == sum(row.correct for row in rows.values())
    assert (evaluation.questions, evaluation.unparseable) == (10, 0)


def test_generated_text_that_names_no_option_is_counted_as_unparseable(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    imported(store, tmp_path, test=6)
    evaluation = evaluated(store, folder, [], scoring="generate")
    rows = list(store.evaluations.predictions(evaluation.id))
    assert [row.option for row in rows] == [None] * 6
    assert all(row.text and not row.correct for row in rows)
    assert (evaluation.correct, evaluation.unparseable) == (0, 6)


@pytest.mark.parametrize("scoring", ["rank", "generate"])
def test_an_evaluation_that_was_stopped_asks_only_what_is_missing(
    store: Store, folder: Path, tmp_path: Path, scoring: Scoring
) -> None:
    imported(store, tmp_path, test=150)
    first: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        evaluated(store, folder, first, scoring=scoring, stop_after=64)
    assert sum(first) == 64
    assert store.evaluations.everything() == []
    second: list[int] = []
    evaluation = evaluated(store, folder, second, scoring=scoring)
    assert sum(second) == 150 - 64
    assert len(list(store.evaluations.predictions(evaluation.id))) == 150
    assert store.evaluations.everything() == [evaluation]


def test_a_finished_evaluation_is_not_repeated(store: Store, folder: Path, tmp_path: Path) -> None:
    imported(store, tmp_path, test=5)
    asked: list[int] = []
    first = evaluated(store, folder, asked)
    assert evaluated(store, folder, asked) == first
    assert sum(asked) == 5


def test_a_limited_evaluation_and_a_whole_one_are_kept_apart(store: Store, folder: Path, tmp_path: Path) -> None:
    imported(store, tmp_path, test=9)
    few, whole = evaluated(store, folder, [], limit=4), evaluated(store, folder, [])
    assert (few.questions, whole.questions) == (4, 9)
    assert [row.key for row in store.evaluations.predictions(few.id)] == [f"test-{n}" for n in range(4)]
    assert evaluated(store, folder, [], limit=99).id == whole.id


def test_a_changed_model_folder_is_evaluated_anew(store: Store, tmp_path: Path) -> None:
    imported(store, tmp_path, test=5)
    model = make_folder(tmp_path / "model", "causal")
    first = evaluated(store, model, [])
    student = load_student(str(model))
    student.model.model.norm.weight.data += 0.5
    student.model.save_pretrained(model)
    asked: list[int] = []
    assert evaluated(store, model, asked).id != first.id
    assert sum(asked) == 5


@pytest.mark.parametrize("scoring", ["rank", "generate"])
def test_scores_that_are_not_finite_are_no_answers(store: Store, tmp_path: Path, scoring: Scoring) -> None:
    """A diverged student has no accuracy, and the message names it."""
    imported(store, tmp_path, test=3)
    run = record_run(store, tmp_path / "student")
    target = run_target(run)
    student = diverged(make_student(tmp_path / "student", "causal"))
    questions = QuestionSlice(dataset="toy", split="test")
    with pytest.raises(WorldProblem, match="The scores of run 1 are not finite") as caught:
        evaluate(store, target, questions, [scoring], lambda: student, lambda *_: None)
    assert "smaller --lr" in caught.value.hint
    assert store.evaluations.everything() == []
    assert store.execute("SELECT count(*) FROM predictions").fetchone() == (0,)


def test_scorings_of_a_target_are_those_it_can_have(inside: Command, store: Store, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "student", "causal")
    teachers = f"""
        [teachers.near]
        backend = "huggingface"
        model = {json.dumps(str(folder))}
        [teachers.far]
        backend = "huggingface"
        model = "org/far"
        [teachers.parrot]
        backend = "scripted"
        replies = ["x"]
    """
    (tmp_path / "tinyllm.toml").write_text(teachers, encoding="utf-8")
    settings = load_settings()
    near, far, parrot = (teacher_target(store, settings, name, "toy", 64) for name in ("near", "far", "parr"))
    assert parrot.subject.name == "parrot"
    assert scorings_of(model_target(str(folder), 64), "both") == ("rank", "generate")
    assert scorings_of(near, "both") == ("generate", "rank")
    assert scorings_of(far, "both") == ("generate",)
    assert scorings_of(far, "rank") == ("rank",)
    with pytest.raises(UsageProblem, match="parrot can't be ranked"):
        scorings_of(parrot, "rank")


def test_chance_and_majority_come_from_the_questions_asked(store: Store, folder: Path, tmp_path: Path) -> None:
    rows = [
        {"id": str(n), "question": f"Which {n}?", "options": [f"o{n}{k}" for k in range(size)], "answer_index": answer}
        for n, (size, answer) in enumerate([(2, 0), (2, 0), (4, 0), (4, 3)])
    ]
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    ingest(store, from_path(tmp_path / "toy"))
    whole, few = evaluated(store, folder, []), evaluated(store, folder, [], limit=2)
    assert (whole.chance, whole.majority) == (pytest.approx((0.5 + 0.5 + 0.25 + 0.25) / 4), 0.75)
    assert (few.chance, few.majority) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(correct: int, total: int, low: float, high: float) -> None:
    """R. G. Newcombe, Two-sided confidence intervals for the single proportion (1998), table I, method 3."""
    assert wilson(correct, total) == pytest.approx((low, high), abs=5e-5)


@given(total=st.integers(1, 5000), share=st.floats(0, 1))
def test_wilson_holds_the_proportion_and_stays_within_0_and_1(total: int, share: float) -> None:
    correct = round(total * share)
    low, high = wilson(correct, total)
    assert 0 <= low <= correct / total <= high <= 1


ORACLE = """
[teachers.oracle]
backend = "scripted"
replies = ["It is the first. Answer: (a)", "Surely it must be. The answer is (b).", "I can't tell."]
"""


@pytest.fixture
def oracle(tmp_path: Path) -> None:
    (tmp_path / "tinyllm.toml").write_text(ORACLE, encoding="utf-8")
    write_dataset(tmp_path / "toy", train=4, test=12)


def ask(inside: Command, *arguments: str) -> None:
    done = inside("elicit", "--teacher", "oracle", "--dataset", "toy", "--split", "test", *arguments)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("oracle")
def test_a_teachers_accuracy_is_of_its_unforced_answers(inside: Command, tmp_path: Path) -> None:
    ask(inside, "--no-teacher-forcing")
    done = inside("eval", "--teacher", "oracle", "--dataset", "toy", "--json")
    assert done.returncode == 0, done.stderr
    [found] = json.loads(done.stdout)["evaluations"]
    with open_store(tmp_path / "tinyllm.db") as opened:
        [evaluation] = opened.evaluations.everything()
        rows = list(opened.evaluations.predictions(evaluation.id))
    answers = {question.key: question.answer for question in make_questions(12, split="test")}
    for row in rows:
        assert row.text is not None
        stated = {"(a)": 0, "(b)": 1}.get(row.text[-4:].strip(" ."))
        assert row.option == stated
        assert row.correct == (stated == answers[row.key])
    assert 0 < found["correct"] == sum(row.correct for row in rows)
    assert 0 < found["unparseable"] * 12 == pytest.approx(sum(row.option is None for row in rows))
    assert (found["kind"], found["scoring"], found["n"]) == ("teacher", "generate", 12)
    assert (found["chance"], found["majority"]) == (0.25, 0.25)


@pytest.mark.usefixtures("oracle")
def test_a_teacher_that_saw_the_answers_is_not_evaluated_by_them(inside: Command) -> None:
    ask(inside)
    done = inside("eval", "--teacher", "oracle", "--dataset", "toy")
    assert done.returncode == 2
    assert "It saw the gold answers, so its rationales do not measure its own accuracy." in done.stderr
    assert "elicit --teacher oracle --dataset toy --split test --no-teacher-forcing" in done.stderr


@pytest.mark.usefixtures("oracle")
def test_a_teacher_that_answered_only_some_questions_is_not_evaluated_on_all(inside: Command) -> None:
    ask(inside, "--no-teacher-forcing", "--limit", "5")
    done = inside("eval", "--teacher", "oracle", "--dataset", "toy")
    assert done.returncode == 2
    assert "oracle has not answered all 12 questions of toy, split test." in done.stderr
    limited = inside("eval", "--teacher", "oracle", "--dataset", "toy", "--limit", "5", "--json")
    assert json.loads(limited.stdout)["evaluations"][0]["n"] == 5


@pytest.mark.usefixtures("oracle")
def test_a_scripted_teacher_cannot_be_ranked(inside: Command) -> None:
    ask(inside, "--no-teacher-forcing")
    done = inside("eval", "--teacher", "oracle", "--dataset", "toy", "--scoring", "rank")
    assert done.returncode == 2
    assert "can't be ranked" in done.stderr


def test_a_run_whose_folder_is_gone_says_how_to_make_it_again(inside: Command, store: Store, tmp_path: Path) -> None:
    imported(store, tmp_path, train=4, test=4)
    run = store.runs.start(
        RunIdentity(
            method="finetune",
            student="any",
            dataset="toy",
            alpha={},
            seed=0,
            settings=RunSettings(),
            sources={},
            versions={},
        ),
        command="tinyllm distill --alpha 0 --student any",
    )
    store.runs.locate(run.id, str(tmp_path / "gone"))
    store.runs.finish(run.id, "done", {})
    done = inside("eval")
    assert done.returncode == 1
    assert f"Run {run.id} (done) has no student at {tmp_path / 'gone'}." in done.stderr
    assert "Train it again: tinyllm distill --alpha 0 --student any" in done.stderr
