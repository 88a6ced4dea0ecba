"""`tinyllm export-data`: the texts that `distill` learns, in the layouts and files of other trainers."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command, write_dataset
from tests.models import make_folder

LIST = 'It is "in" the list again.'
REPLIES = ["It is in the list, as one sees at once.", "Because.", f"Let's think step by step. {LIST}"]
FORMATS = ("messages", "prompt-completion", "alpaca", "llama-factory")


@pytest.fixture
def toy(inside: Command, tmp_path: Path) -> Command:
    toml = f'[teachers.mixed]\nbackend = "scripted"\nreplies = {json.dumps(REPLIES)}\n'
    (tmp_path / "tinyllm.toml").write_text(toml, encoding="utf-8")
    write_dataset(tmp_path / "toy", train=12, valid=4, test=3)
    rows = [json.loads(line) for line in (tmp_path / "toy" / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    rows[0]["context"] = "A long story."
    (tmp_path / "toy" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert inside("elicit", "--teacher", "mixed", "--dataset", "toy").returncode == 0
    assert inside("gate", "--edit", "1", "--text", "It is written by hand.").returncode == 0
    return inside


def exported(command: Command, *arguments: str) -> dict[str, Any]:
    done = command("export-data", "--dataset", "toy", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_it_has_the_texts_that_distill_learns(toy: Command, tmp_path: Path) -> None:
    make_folder(tmp_path / "student", "causal")
    train = toy("distill", "--alpha", "mixed=0.5", "--student", "student", "--json", "--dry-run")
    planned = json.loads(train.stdout)["rationales"]
    found = exported(toy, "--out", "data", "--alpha", "mixed=0.5")
    assert found["rationales"] == planned, "the same digest of the same texts"
    assert planned["mixed"]["rejected"]["too-short"] > 0
    rows = rows_of(tmp_path / "data" / "train.jsonl")
    taught = [row for row in rows if row["teacher"]]
    assert len(taught) == planned["mixed"]["rationales"]
    assert len(rows) == found["rows"]["train"] == 12, "questions without a rationale have the answer"
    assert {row["weight"] for row in taught} == {0.5}
    texts = [row["messages"][1]["content"].partition("\n\nAnswer: ")[0] for row in taught]
    assert set(texts) == {REPLIES[0], "It is written by hand.", LIST}
    assert exported(toy, "--out", "raw", "--no-gates")["rationales"]["mixed"]["rationales"] == 12
    [first] = exported(toy, "--out", "one", "--limit", "1", "--alpha", "0")["rationales"].values() or [{}]
    assert first == {}, "no teacher: answers alone"


@pytest.mark.parametrize("form", FORMATS)
def test_a_row_has_the_question_the_rationale_and_the_answer(toy: Command, tmp_path: Path, form: str) -> None:
    exported(toy, "--out", "data", "--format", form)
    first, second, *_ = rows_of(tmp_path / "data" / "train.jsonl")
    options = "Options:\n(a) thing 0 a\n(b) thing 0 b\n(c) thing 0 c\n(d) thing 0 d"
    asked = f"Which of these is number 0 of train?\n\n{options}"
    prompt, completion = f"Context: A long story.\n\n{asked}", first_text(first, form)
    assert completion.endswith("\n\nAnswer: (a) thing 0 a")
    expected: dict[str, dict[str, Any]] = {
        "messages": {
            "messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]
        },
        "prompt-completion": {"prompt": f"{prompt}\n\n", "completion": completion},
        "alpaca": {"instruction": asked, "input": "A long story.", "output": completion},
        "llama-factory": {
            "conversations": [{"from": "human", "value": prompt}, {"from": "gpt", "value": completion}]
        },
    }  # fmt: skip
    assert {name: first[name] for name in expected[form]} == expected[form]
    assert set(first) == {"id", "teacher", "weight", *expected[form]} == set(second)
    [test, *_] = rows_of(tmp_path / "data" / "test.jsonl")
    assert (first_text(test, form), test["teacher"], test["id"]) == ("Answer: (a) thing 0 a", "", "test-0")


def first_text(row: dict[str, Any], form: str) -> str:
    if form == "messages":
        return str(row["messages"][1]["content"])
    if form == "llama-factory":
        return str(row["conversations"][1]["value"])
    return str(row["completion" if form == "prompt-completion" else "output"])


@pytest.mark.parametrize("files", ["jsonl", "parquet", "hf"])
def test_the_folder_loads_with_the_library_datasets(toy: Command, tmp_path: Path, files: str) -> None:
    import datasets

    exported(toy, "--out", "rows", "--format", "messages")
    found = exported(toy, "--out", "data", "--files", files)
    folder = str(tmp_path / "data")
    loaded = (
        datasets.load_from_disk(folder) if files == "hf"
        else datasets.load_dataset(folder, cache_dir=str(tmp_path / "cache"))
    )  # fmt: skip
    names = {"valid": "valid" if files == "hf" else "validation"}
    assert {split: len(rows) for split, rows in loaded.items()} == {
        names.get(split, split): count for split, count in found["rows"].items()
    }
    assert list(loaded["train"]) == rows_of(tmp_path / "rows" / "train.jsonl")


def test_llama_factory_finds_every_file(toy: Command, tmp_path: Path) -> None:
    exported(toy, "--out", "data", "--format", "llama-factory")
    registry = json.loads((tmp_path / "data" / "dataset_info.json").read_text(encoding="utf-8"))
    assert set(registry) == {"toy_train", "toy_valid", "toy_test"}
    for entry in registry.values():
        row = rows_of(tmp_path / "data" / entry["file_name"])[0]
        assert [turn["from"] for turn in row[entry["columns"]["messages"]]] == ["human", "gpt"]


def test_it_is_whole_or_absent(toy: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(import_module("tinyllm_cli.export.data_files"), "to_disk", full)
        done = toy("export-data", "--dataset", "toy", "--out", "data")
    assert (done.returncode, "The disk is full" in done.stderr) == (1, True), done.stderr
    assert [path.name for path in tmp_path.iterdir() if "data" in path.name] == []
    exported(toy, "--out", "data")
    again = toy("export-data", "--dataset", "toy", "--out", "data")
    assert (again.returncode, "data exists already." in again.stderr) == (2, True)


def test_the_test_split_is_a_task_of_lm_evaluation_harness(toy: Command, tmp_path: Path) -> None:
    """That the YAML is a task and finds its rows anywhere. docs/interop.md has what the harness does with it."""
    import yaml

    found = exported(toy, "--out", "data")
    assert found["tasks"] == ["tinyllm_toy", "tinyllm_toy_seq2seq"]
    (tmp_path / "data" / "lm-eval").rename(tmp_path / "moved")
    functions: list[str] = []

    class Loader(yaml.SafeLoader):
        """The harness has one tag of its own."""

    Loader.add_constructor("!function", lambda loader, node: functions.append(str(node.value)) or str(node.value))
    for name, prompt in (("tinyllm_toy", "prompt"), ("tinyllm_toy_seq2seq", "input")):
        task = yaml.load((tmp_path / "moved" / f"{name}.yaml").read_text(encoding="utf-8"), Loader)
        assert (task["task"], task["output_type"], task["test_split"]) == (name, "multiple_choice", "test")
        namespace: dict[str, Any] = {"__file__": str(tmp_path / "moved" / "questions.py")}
        exec((tmp_path / "moved" / "questions.py").read_text(encoding="utf-8"), namespace)
        assert functions.pop() == task["custom_dataset"] == "questions.load"
        rows = namespace["load"]()[task["test_split"]]
        assert len(rows) == found["rows"]["test"] == 3
        first = rows[0]
        assert task["doc_to_text"] == prompt
        assert set(first) >= {task["doc_to_text"], task["doc_to_choice"], task["doc_to_target"]}, (
            "columns: no templates"
        )
        assert first["options"][first["answer"]] == "thing 0 a"
        asked = "predict: Which of these is number 0 of test?\nOptions:\n(a) thing 0 a\n(b) thing 0 b"
        assert first[prompt].startswith(asked)
        assert first["prompt"] == first["input"] + "\nAnswer:", "as a causal student reads it"
