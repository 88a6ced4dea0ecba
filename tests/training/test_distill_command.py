"""`tinyllm distill` and `tinyllm eval` as a user runs them: real commands, tiny models, a scripted teacher."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command, make_questions, write_dataset
from tests.models import KINDS, Kind, make_folder, word_tokenizer

OWL = '\n[teachers.owl]\nbackend = "scripted"\nreplies = ["Owls think so whenever they wake."]\nprefix = "hoot: "\n'


@pytest.fixture(scope="module", params=KINDS)
def student(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kind: Kind = request.param
    tokenizer = word_tokenizer() if kind == "seq2seq" else None
    return make_folder(tmp_path_factory.mktemp("student") / f"tiny-{kind}", kind, tokenizer=tokenizer)


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("student") / "tiny", "causal")


def elicited(inside: Command, tmp_path: Path, *teachers: str, **sizes: int) -> None:
    """The data set `toy`, and the rationales of these teachers for its training questions."""
    write_dataset(tmp_path / "toy", **sizes)
    for teacher in teachers:
        done = inside("elicit", "--teacher", teacher, "--dataset", "toy")
        assert done.returncode == 0, done.stderr


def succeed(inside: Command, *arguments: str | Path) -> Any:
    """What the command printed as JSON."""
    done = inside(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def last_run(tmp_path: Path) -> dict[str, Any]:
    with sqlite3.connect(tmp_path / "tinyllm.db") as connection:
        connection.row_factory = sqlite3.Row
        row = dict(connection.execute("SELECT * FROM runs ORDER BY id DESC").fetchone())
    connection.close()
    parsed = {name: json.loads(row[name]) for name in ("alpha", "settings", "sources", "metrics", "versions")}
    return row | parsed


def test_a_tiny_student_learns_sixteen_questions_by_heart(
    tinyllm: Command, scripted: Path, tmp_path: Path, student: Path
) -> None:
    elicited(tinyllm, tmp_path, "parrot", train=16)
    trained = succeed(
        tinyllm, "distill", "--alpha", "parrot=0.5", "--student", student, "--recipe", "paper",
        "--epochs", "80", "--batch-size", "4", "--lr", "4e-3", "--warmup-steps", "10", "--evals-per-epoch", "1",
    )  # fmt: skip
    assert trained["method"] == "distill-step-by-step"
    evaluated = succeed(tinyllm, "eval", "--split", "train")
    found = {one["scoring"]: (one["correct"], one["n"]) for one in evaluated["evaluations"]}
    assert found == {"rank": (16, 16), "generate": (16, 16)}


def test_the_number_of_teachers_that_speak_names_the_method(inside: Command, scripted: Path, tmp_path: Path) -> None:
    scripted.write_text(scripted.read_text("utf-8") + OWL, encoding="utf-8")
    elicited(inside, tmp_path, "parrot", "owl", train=8)
    for alpha, method, speaking in [
        ("0", "finetune", set()),
        ("", "finetune", set()),
        ("parrot=1", "distill-step-by-step", {"parrot"}),
        ("parrot=1,owl=0", "distill-step-by-step", {"parrot"}),
        ("p=1,ow=0.5", "tinyllm", {"owl", "parrot"}),
        ("0.5", "tinyllm", {"owl", "parrot"}),
        (None, "tinyllm", {"owl", "parrot"}),
    ]:
        said = [] if alpha is None else ["--alpha", alpha]
        found = succeed(inside, "distill", *said, "--student", "any", "--dry-run")
        assert (found["method"], set(found["rationales"])) == (method, speaking), alpha


def test_a_run_records_how_it_was_made(tinyllm: Command, scripted: Path, tmp_path: Path, causal: Path) -> None:
    scripted.write_text(scripted.read_text("utf-8") + OWL, encoding="utf-8")
    elicited(tinyllm, tmp_path, "parrot", "owl", train=10, valid=4)
    found = succeed(
        tinyllm, "distill", "--alpha", "parrot=1,owl=0.5", "--student", causal, "--limit", 6, "--recipe", "paper",
        "--batch-size", 2, "--seed", 7, "--loss", "token",
    )  # fmt: skip
    run = last_run(tmp_path)
    assert run["id"] == found["run"]
    assert (run["state"], run["method"], run["dataset"], run["seed"]) == ("done", "tinyllm", "toy", 7)
    assert run["student"] == str(causal)
    assert run["alpha"] == {"parrot": 1.0, "owl": 0.5}
    assert run["command"].startswith("tinyllm distill --alpha parrot=1,owl=0.5")
    assert run["settings"]["reading"] == "token"
    assert (run["settings"]["limit"], run["settings"]["batch_size"]) == (6, 2)
    assert {name: record["rationales"] for name, record in run["sources"].items()} == {"parrot": 6, "owl": 6}
    assert run["sources"]["parrot"]["digest"] != run["sources"]["owl"]["digest"]
    figures = run["metrics"]
    assert (figures["questions"], figures["valid_questions"], figures["steps"]) == (6, 4, 3)
    assert set(figures["curve"][0]) == {"step", "answer", "owl", "parrot"}
    assert figures["valid"][-1]["step"] == 3
    assert figures["tasks"] == {"answer": 6, "owl": 6, "parrot": 6}
    assert figures["tokens"] > 0
    card = (tmp_path / run["folder"] / "README.md").read_text("utf-8")
    assert run["command"] in card
    assert "owl=0.5, parrot=1" in card


def test_the_same_command_gives_the_same_student_and_the_lineage_the_same_digest(
    inside: Command, scripted: Path, tmp_path: Path, causal: Path
) -> None:
    elicited(inside, tmp_path, "parrot", train=8)
    kept = []
    for _ in range(2):
        succeed(inside, "distill", "--alpha", "parrot=1", "--student", causal, "--restart")
        run = last_run(tmp_path)
        kept.append((run["sources"], (tmp_path / run["folder"] / "model.safetensors").read_bytes()))
    assert kept[0] == kept[1]


def test_a_run_that_is_done_is_not_done_again(inside: Command, tmp_path: Path, causal: Path) -> None:
    write_dataset(tmp_path / "toy", train=8)
    command = ("distill", "--alpha", "0", "--dataset", "toy", "--student", causal, "--json")
    first, again, fresh = inside(*command), inside(*command), inside(*command, "--restart")
    runs = [json.loads(done.stdout)["run"] for done in (first, again, fresh)]
    assert runs == [1, 1, 2]
    assert "Run 1 has this configuration and is done." in again.stderr


def test_the_papers_own_command_on_recorded_rationales(inside: Command, tmp_path: Path, causal: Path) -> None:
    folder = write_dataset(tmp_path / "openbookqa", train=20, valid=4)
    (folder / "rationales").mkdir()
    for teacher, count in (("flan-t5-xl", 20), ("llama-2-7b-chat", 12)):
        rows = [
            {"id": question.key, "teacher": teacher, "rationale": f"It follows from {question.gold}."}
            for question in make_questions(count)
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "rationales" / f"{teacher}.train.jsonl").write_text(lines, encoding="utf-8")
    renames = ["--rename", "flan-t5-xl=t5", "--rename", "llama-2-7b-chat=llama2"]
    imported = inside("import", folder, *renames)
    assert imported.returncode == 0, imported.stderr
    arguments = ["--student", causal, "--limit", "16", "--evals-per-epoch", "1"]
    done = inside("distill", "--alpha", "t5=1,llama=0.5", *arguments)
    assert done.returncode == 0, done.stderr
    assert "Data set: openbookqa (the only one that fits)." in done.stderr
    run = last_run(tmp_path)
    assert (run["method"], run["alpha"]) == ("tinyllm", {"t5": 1.0, "llama2": 0.5})
    assert run["metrics"]["questions"] == 16
    assert run["metrics"]["tasks"] == {"answer": 16, "llama2": 12, "t5": 16}


def test_bfloat16_trains(inside: Command, tmp_path: Path, student: Path) -> None:
    write_dataset(tmp_path / "toy", train=8)
    succeed(
        inside, "distill", "--alpha", "0", "--dataset", "toy", "--student", student, "--recipe", "paper",
        "--epochs", 10, "--lr", "3e-3", "--precision", "bfloat16",
    )  # fmt: skip
    run = last_run(tmp_path)
    assert run["settings"]["precision"] == "bfloat16"
    assert run["metrics"]["curve"][-1]["answer"] < run["metrics"]["curve"][0]["answer"]
    assert json.loads((tmp_path / run["folder"] / "config.json").read_text("utf-8"))["dtype"] == "float32"


def test_inputs_and_targets_over_the_limit_are_counted(inside: Command, tmp_path: Path, causal: Path) -> None:
    write_dataset(tmp_path / "toy", train=5)
    arguments = ["--alpha", "0", "--dataset", "toy", "--student", str(causal), "--max-input", "20", "--max-target", "2"]
    done = inside("distill", *arguments)
    assert "Truncated at the limit: 5 inputs and 5 targets (--max-input 20, --max-target 2)." in done.stdout


def test_a_dry_run_trains_nothing(inside: Command, scripted: Path, tmp_path: Path) -> None:
    elicited(inside, tmp_path, "parrot", train=9)
    found = succeed(
        inside, "distill", "--alpha", "parrot=2", "--student", "no-such-model", "--recipe", "paper", "--dry-run"
    )
    assert (found["questions"], found["steps"], found["alpha"]) == (9, 2, {"parrot": 2.0})
    assert found["rationales"]["parrot"]["rationales"] == 9
    with sqlite3.connect(tmp_path / "tinyllm.db") as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (0,)
    connection.close()


def refused(inside: Command, *arguments: str, said: str) -> None:
    done = inside("distill", *arguments, "--student", "no-such-model")
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_data_set_without_rationales_is_refused(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=4)
    refused(inside, "--dataset", "toy", said="no rationales of any teacher for toy, split train")
    refused(inside, "--dataset", "toy", "--alpha", "expert=1", said="tinyllm elicit --teacher expert --dataset toy")
    refused(inside, "--alpha", "expert=1", said="No data set in the database has rationales of expert.")


def test_an_alpha_that_names_no_teacher_lists_those_there_are(inside: Command, scripted: Path, tmp_path: Path) -> None:
    elicited(inside, tmp_path, "parrot", train=4)
    refused(inside, "--alpha", "gpt=1", said="Known teachers: expert, llama2, parrot, smollm2, t5.")
    refused(inside, "--alpha", "parrot=1,parrot=2", said="--alpha names 'parrot' twice.")
    refused(inside, "--alpha", "parrot=1,par=2", said="--alpha names one teacher twice")


def test_several_fitting_data_sets_are_listed(inside: Command, scripted: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_dataset(tmp_path / name, train=4)
        assert inside("elicit", "--teacher", "parrot", "--dataset", name).returncode == 0
    refused(inside, "--alpha", "parrot=1", said="Several data sets have rationales of parrot: one, two.")
    refused(inside, said="Several data sets have rationales: one, two.")


def test_a_data_set_without_a_train_split_is_refused(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", test=4)
    refused(inside, "--dataset", "toy", "--alpha", "0", said="The data set toy has no train split.")


def test_a_student_in_bfloat16_is_another_run_of_half_the_size(
    inside: Command, scripted: Path, tmp_path: Path, causal: Path
) -> None:
    elicited(inside, tmp_path, "parrot", train=4, test=4)
    train = ("distill", "--alpha", "parrot=1", "--student", causal)
    whole, half = (succeed(inside, *train, *more) for more in ((), ("--save-dtype", "bfloat16")))
    assert half["run"] != whole["run"]
    assert last_run(tmp_path)["settings"]["save_dtype"] == "bfloat16"
    sizes = [(Path(one["folder"]) / "model.safetensors").stat().st_size for one in (whole, half)]
    assert 0.45 < sizes[1] / sizes[0] < 0.55
    assert succeed(inside, *train, "--save-dtype", "bfloat16")["run"] == half["run"], "done already"
    assert succeed(inside, "eval", "--run", str(half["run"]))["evaluations"]
