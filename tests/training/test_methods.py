"""The paper's methods: each teaches what it should, and runs are called by its name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.base import Completion, Sampling
from tests.conftest import Command, keep, write_dataset
from tests.models import KINDS, Kind, make_folder
from tests.training.test_trainer import run
from tinyllm_cli.datasets.catalogue import from_path
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.prompts import recorded_prompt
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.evaluation.evaluate import QuestionSlice, evaluate_student
from tinyllm_cli.evaluation.scoring import StudentScoring
from tinyllm_cli.evaluation.targets import run_subject
from tinyllm_cli.ingestion.ingest import ingest
from tinyllm_cli.rationales.teacher_answers import majority
from tinyllm_cli.records.elicitation import ElicitationConfig
from tinyllm_cli.records.settings import TrainSettings
from tinyllm_cli.store import Store
from tinyllm_cli.students.base import Limits
from tinyllm_cli.students.loading import load_student
from tinyllm_cli.training.alpha import WeightedTeacher
from tinyllm_cli.training.data import TrainingPlan, load_training_data


def toy(store: Store, folder: Path, count: int = 12) -> list[Question]:
    name = ingest(store, from_path(write_dataset(folder / "toy", train=count))).name
    return list(store.questions.iterate(name, "train"))


def answered(store: Store, teacher: str, questions: list[Question], options: list[int | None]) -> WeightedTeacher:
    """A teacher that gave these answers without having seen the gold ones; None where it stated none."""
    asking = ElicitationConfig(teacher=teacher, backend="recorded", model="m", revision="1", sampling=Sampling())
    store.rationales.add_asking(asking)
    for question, option in zip(questions, options, strict=True):
        text = "Who knows?" if option is None else f"Surely. Answer: ({'abcd'[option]})"
        prompt = recorded_prompt(question, teacher_forcing=False)
        keep(store, asking, prompt, 0, Completion(text=text, finish_reason="recorded"))
    return WeightedTeacher(teacher=teacher, prefix="explain: ", alpha=1.0)


def kd(teachers: tuple[WeightedTeacher, ...], student: Path | str = "any", **changes: object) -> TrainingPlan:
    settings = TrainSettings(**{"batch_size": 4, "lr": 3e-3, "precision": "float32", **changes})  # type: ignore[arg-type]
    return TrainingPlan(method="standard-kd", dataset="toy", student=str(student), teachers=teachers, settings=settings)


@pytest.mark.parametrize("kind", KINDS)
def test_a_teacher_with_wrong_labels_makes_a_kd_student_wrong(store: Store, tmp_path: Path, kind: str) -> None:
    questions = toy(store, tmp_path)
    wrong = [(question.answer + 1) % 4 for question in questions]
    student = make_folder(tmp_path / "student", kind)  # type: ignore[arg-type]
    done = run(store, kd((answered(store, "liar", questions, list(wrong)),), student, epochs=40), lambda *_: None)
    assert done.method == "standard-kd"
    assert done.sources["liar"]["right"] == 0
    evaluation = evaluate_student(
        store, run_subject(done), lambda: load_student(done.folder), QuestionSlice(dataset="toy", split="train"),
        StudentScoring(scoring="rank", limits=Limits()), lambda *_: None,
    )  # fmt: skip
    options = {found.key: found.option for found in store.evaluations.predictions(evaluation.id)}
    followed = sum(options[question.key] == label for question, label in zip(questions, wrong, strict=True))
    assert followed >= 10
    assert evaluation.correct is not None
    assert evaluation.correct <= 2


def test_labels_are_what_most_teachers_say(store: Store, tmp_path: Path) -> None:
    questions = toy(store, tmp_path, 4)
    teachers = (
        answered(store, "one", questions, [0, 1, None, None]),
        answered(store, "two", questions, [2, 3, 1, None]),
        answered(store, "three", questions, [2, 2, None, None]),
    )
    material = load_training_data(store, kd(teachers))
    assert [lesson.question.key for lesson in material.training_questions] == ["train-0", "train-1", "train-2"]
    targets = [lesson.tasks[0].segments[0].text for lesson in material.training_questions]
    assert targets == ["thing 0 c", "thing 1 b", "thing 2 b"]  # of equals, the teacher named first
    assert (material.lineage["one"]["questions"], material.lineage["one"]["silent"]) == (2, 2)


def test_teachers_that_say_nothing_teach_nothing(store: Store, tmp_path: Path) -> None:
    questions = toy(store, tmp_path, 2)
    with pytest.raises(UsageProblem, match="names an option"):
        load_training_data(store, kd((answered(store, "mute", questions, [None, None]),)))


@given(votes=st.lists(st.tuples(st.none() | st.integers(0, 3), st.floats(0.1, 10)), max_size=8))
def test_a_majority_has_the_most_weight(votes: list[tuple[int | None, float]]) -> None:
    found = majority(votes)
    weights = [sum(weight for option, weight in votes if option == one) for one in range(4)]
    if found is None:
        assert not any(weights)
    else:
        assert weights[found] == pytest.approx(max(weights))


def coloured(folder: Path, **sizes: int) -> Path:
    """Questions that only a hint can tell: nothing of them says which of the two options is right."""
    folder.mkdir()
    for split, count in sizes.items():
        rows = [
            {"id": f"{split}-{n}", "question": f"Case {n} of {split}?", "options": ["yes", "no"], "answer_index": n % 2}
            for n in range(count)
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def hint(store: Store, split: str, options: list[int]) -> None:
    """What the teacher `painter` wrote without the gold answers: a colour for each option."""
    asking = ElicitationConfig(teacher="painter", backend="recorded", model="m", revision="1", sampling=Sampling())
    store.rationales.add_asking(asking)
    for question, option in zip(store.questions.iterate("toy", split), options, strict=True):
        text = ("It is red.", "It is blue.")[option]
        prompt = recorded_prompt(question, text, teacher_forcing=False)
        keep(store, asking, prompt, 0, Completion(text=text, finish_reason="recorded"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_pinto_student_answers_by_what_it_reads(inside: Command, store: Store, tmp_path: Path, kind: Kind) -> None:
    coloured(tmp_path / "toy", train=16, valid=4, test=8)
    ingest(store, from_path(tmp_path / "toy"))
    for split, count in (("train", 16), ("valid", 4), ("test", 8)):
        hint(store, split, [n % 2 for n in range(count)])
    make_folder(tmp_path / "student", kind)
    train = (
        "--recipe",
        "paper",
        "--epochs",
        "30",
        "--batch-size",
        "4",
        "--lr",
        "5e-3",
        "--evals-per-epoch",
        "1",
        "--precision",
        "float32",
    )
    done = inside("distill", "--method", "pinto", "--dataset", "toy", "--student", "student", *train, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["method"] == "pinto"
    ask = ("eval", "--scoring", "rank", "--json")
    [honest] = json.loads(inside(*ask).stdout)["evaluations"]
    assert honest["correct"] >= 7, "the hint decides"
    hint(store, "test", [(n + 1) % 2 for n in range(8)])
    [misled] = json.loads(inside(*ask).stdout)["evaluations"]
    assert misled["correct"] <= 1, "other hints, other answers"
    refused = inside("predict", "Case 9 of test?", "--option", "yes", "--option", "no")
    assert refused.returncode == 2
    assert "tinyllm eval --run 1" in refused.stderr
    says = "    Rationale: WHAT painter WRITES, WITHOUT THE GOLD ANSWER\n"
    run = json.loads(done.stdout)
    assert says in (Path(run["folder"]) / "README.md").read_text(encoding="utf-8")
    if kind == "causal":
        out = inside("export", "--to", "gguf", "--out", "out", "--json")
        assert out.returncode == 0, out.stderr
        assert json.loads(out.stdout)["agreements"][0]["correct_after"] == 4, "it reads the hints here as well"
        assert says in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_pinto_needs_a_text_for_every_question(store: Store, tmp_path: Path) -> None:
    ingest(store, from_path(coloured(tmp_path / "toy", train=4, valid=2)))
    hint(store, "train", [0, 1, 0, 1])
    plan = replace(kd((WeightedTeacher(teacher="painter", prefix="paint: ", alpha=1.0),)), method="pinto")
    with pytest.raises(UsageProblem, match="painter has no own answers for toy, split valid"):
        load_training_data(store, plan)
    hint(store, "valid", [0, 1])
    material = load_training_data(store, plan)
    assert material.training_questions[1].tasks[0].input.endswith("\nRationale: It is blue.")
    assert list(material.extra_context.values()) == [["It is red."], ["It is blue."]]
    hint(store, "valid", [1, 0])
    assert load_training_data(store, plan).digest != material.digest, (
        "another training: its checkpoint is chosen by other hints"
    )


def test_inference_trains_nothing(inside: Command, tmp_path: Path) -> None:
    done = inside("distill", "--method", "inference", "--student", "smollm2", "--dataset", "everyday")
    assert done.returncode == 0, done.stderr
    assert "trains nothing" in done.stdout
    assert "Next: tinyllm eval --model smollm2 --dataset everyday" in done.stderr
    assert not (tmp_path / "tinyllm.db").exists()


def test_the_page_says_whose_answers_were_learned(inside: Command, tmp_path: Path) -> None:
    (tmp_path / "tinyllm.toml").write_text(
        '[teachers.oracle]\nbackend = "scripted"\nreplies = ["Answer: (a)", "I cannot tell."]\n', encoding="utf-8"
    )
    write_dataset(tmp_path / "toy", train=8)
    make_folder(tmp_path / "student", "seq2seq")
    asked = inside("elicit", "--teacher", "oracle", "--dataset", "toy", "--no-teacher-forcing")
    assert asked.returncode == 0, asked.stderr
    done = inside("distill", "--method", "standard-kd", "--dataset", "toy", "--student", "student", "--json")
    assert done.returncode == 0, done.stderr
    reported = inside("report", "--html", "report.html")
    assert reported.returncode == 0, reported.stderr
    stated = json.loads(done.stdout)["figures"]["questions"]
    assert 0 < stated < 8
    assert f"{stated} answers of oracle" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("method", ["pinto", "standard-kd"])
@pytest.mark.parametrize("option", [["--shuffle-rationales"], ["--icl", "0"]])
def test_a_control_that_a_method_has_no_use_for_is_refused(inside: Command, method: str, option: list[str]) -> None:
    done = inside("distill", "--method", method, *option)
    assert done.returncode == 2
    assert f"--method {method} trains on no rationales" in done.stderr


def test_methods_by_name(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=8)
    make_folder(tmp_path / "student", "seq2seq")
    common = ("distill", "--dataset", "toy", "--student", "student")
    for method in ("finetune", "lora"):
        done = inside(*common, "--method", method, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["method"] == method
    unknown = inside(*common, "--method", "magic")
    assert unknown.returncode == 2
    assert "standard-kd" in unknown.stderr
    other = inside(*common, "--method", "tinyllm", "--alpha", "0")
    assert other.returncode == 2
    assert "This is finetune, not tinyllm" in other.stderr
