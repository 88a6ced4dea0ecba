"""From a name or a path to questions, and when `ingest` reads them again."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Command, make_questions, write_dataset
from tests.files import FORMATS, write_rows
from tinyllm_cli.config import DatasetSpec, Settings, built_in_teachers
from tinyllm_cli.datasets.catalogue import Source, find_source, from_path, known_names, unknown_dataset
from tinyllm_cli.datasets.hub_presets import HUB_DATASETS
from tinyllm_cli.datasets.layout import Layout
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.ingestion.ingest import ingest, ingest_named
from tinyllm_cli.store import Store

ROWS = [{"id": str(n), "question": f"Is {n} odd?", "options": ["no", "yes"], "answer_index": n % 2} for n in range(4)]


def settings_with(**datasets: DatasetSpec) -> Settings:
    return Settings(teachers=built_in_teachers(), datasets=datasets, source=None)


NOTHING = settings_with()


def split_sizes(questions: list[Question]) -> dict[str, int]:
    splits = [question.split for question in questions]
    return {split: splits.count(split) for split in dict.fromkeys(splits)}


def test_a_folder_has_a_file_for_each_split(tmp_path: Path) -> None:
    source = from_path(write_dataset(tmp_path / "toy", train=5, valid=2, test=3))
    questions = list(source.read())
    assert source.name == "toy"
    assert split_sizes(questions) == {"train": 5, "valid": 2, "test": 3}
    assert [q for q in questions if q.split == "valid"] == make_questions(2, dataset="toy", split="valid")


@pytest.mark.parametrize(
    ("name", "split"), [("validation", "valid"), ("dev", "valid"), ("Val", "valid"), ("TEST", "test")]
)
def test_a_split_may_have_its_other_names(tmp_path: Path, name: str, split: str) -> None:
    write_rows(tmp_path / "toy" / f"{name}.json", ROWS)
    assert split_sizes(list(from_path(tmp_path / "toy").read())) == {split: 4}


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "lines.json"])
def test_a_folder_may_hold_any_format(tmp_path: Path, name: str) -> None:
    write_rows(tmp_path / "toy" / name.replace("rows", "train"), ROWS)
    assert split_sizes(list(from_path(tmp_path / "toy").read())) == {"train": 4}


def test_a_single_file_is_named_after_itself_and_a_split_after_its_folder(tmp_path: Path) -> None:
    assert from_path(write_rows(tmp_path / "quiz.jsonl.gz", ROWS)).name == "quiz"
    alone = from_path(write_rows(tmp_path / "toy" / "test.csv", ROWS))
    assert alone.name == "toy"
    assert split_sizes(list(alone.read())) == {"test": 4}
    assert from_path(tmp_path / "quiz.jsonl.gz", name="other").name == "other"


def test_a_single_file_may_say_the_split_of_each_row(tmp_path: Path) -> None:
    rows = [row | {"split": split} for row, split in zip(ROWS, ["train", "dev", "test", ""], strict=True)]
    source = from_path(write_rows(tmp_path / "quiz.jsonl", rows))
    assert split_sizes(list(source.read())) == {"train": 2, "valid": 1, "test": 1}


def test_an_unknown_split_of_a_row_is_an_error(tmp_path: Path) -> None:
    source = from_path(write_rows(tmp_path / "quiz.jsonl", [row | {"split": "testing"} for row in ROWS]))
    with pytest.raises(UsageProblem, match=r"row 1, field 'split': 'testing'"):
        list(source.read())


def test_a_file_in_a_folder_of_splits_is_of_its_own_split(tmp_path: Path) -> None:
    write_rows(tmp_path / "toy" / "train.jsonl", [row | {"split": "test"} for row in ROWS])
    write_rows(tmp_path / "toy" / "test.jsonl", ROWS)
    assert split_sizes(list(from_path(tmp_path / "toy").read())) == {"train": 4, "test": 4}


def test_two_files_for_one_split_are_an_error(tmp_path: Path) -> None:
    write_rows(tmp_path / "toy" / "dev.jsonl", ROWS)
    write_rows(tmp_path / "toy" / "valid.csv", ROWS)
    with pytest.raises(UsageProblem, match=r"two files for the split valid: dev\.jsonl, valid\.csv"):
        from_path(tmp_path / "toy")


def test_a_folder_without_splits_says_what_was_expected(tmp_path: Path) -> None:
    write_rows(tmp_path / "notes.jsonl", ROWS)
    with pytest.raises(UsageProblem, match="holds no data set") as caught:
        from_path(tmp_path)
    assert "train.jsonl, valid.jsonl, test.jsonl" in caught.value.hint
    with pytest.raises(UsageProblem, match="no file or folder"):
        from_path(tmp_path / "gone")


def test_rationales_beside_the_questions_are_found_by_teacher(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "toy", train=2)
    for name in ("llama-2.train.jsonl.gz", "llama-2.valid.jsonl", "t5.train.csv", "README.md"):
        write_rows(folder / "rationales" / name, [{"id": "train-0", "rationale": "Yes."}])
    found = from_path(folder).rationale_files
    assert {teacher: [path.name for path in paths] for teacher, paths in found.items()} == {
        "llama-2": ["llama-2.train.jsonl.gz", "llama-2.valid.jsonl"],
        "t5": ["t5.train.csv"],
    }


def test_a_table_of_the_settings_names_a_data_set_with_its_columns(tinyllm: Command, tmp_path: Path) -> None:
    rows = [{"nr": n, "stem": f"Is {n} odd?", "a": "no", "b": "yes", "right": "ab"[n % 2]} for n in range(4)]
    write_rows(tmp_path / "files" / "questions.csv", rows)
    (tmp_path / "tinyllm.toml").write_text(
        '[teachers.parrot]\nbackend = "scripted"\nreplies = ["Even numbers can be halved."]\n'
        '[datasets.parity]\ntrain = "files/questions.csv"\n'
        'columns = { id = "nr", question = "stem", options = "a,b", answer = "right" }\n',
        encoding="utf-8",
    )
    done = tinyllm("elicit", "--teacher", "parrot", "--dataset", "parity", "--json")
    assert json.loads(done.stdout)["teachers"][0]["new"] == 4


def test_a_table_whose_file_is_gone_is_named(tmp_path: Path) -> None:
    spec = DatasetSpec(name="quiz", splits={"train": str(tmp_path / "gone.csv")})
    with pytest.raises(UsageProblem, match=r"\[datasets\.quiz\]: there is no file .*gone\.csv"):
        find_source("quiz", settings_with(quiz=spec))


def test_a_table_wins_over_a_built_in_name(tmp_path: Path) -> None:
    spec = DatasetSpec(name="riddle", splits={"test": str(write_rows(tmp_path / "mine.jsonl", ROWS))})
    source = find_source("riddle", settings_with(riddle=spec))
    assert source is not None
    assert split_sizes(list(source.read())) == {"test": 4}


def test_every_known_name_has_a_source_or_says_what_to_do() -> None:
    own, paper = {"everyday", "bioasq"}, {"obqa", "arc", "piqa", "riddle", "pubmedqa"}
    assert set(known_names(NOTHING)) == own | paper | {"arc-easy", "csqa", "strategyqa", "sciq", "mmlu"}
    for name in {"everyday", *HUB_DATASETS}:
        source = find_source(name, NOTHING)
        assert source is not None
        assert source.name == name
    with pytest.raises(UsageProblem, match="BioASQ has no open copy") as caught:
        find_source("bioasq", NOTHING)
    assert "tinyllm import training.json --name bioasq" in caught.value.hint


def test_an_unknown_name_lists_the_known_and_the_stored_ones() -> None:
    assert find_source("no such thing", NOTHING) is None
    problem = unknown_dataset("no such thing", NOTHING, ["mine"])
    assert "'no such thing'" in str(problem)
    assert "arc, arc-easy, bioasq, csqa, everyday, mine, mmlu, obqa" in problem.hint


def touch(path: Path) -> None:
    """Let the file look changed, whatever the resolution of the clock."""
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))


def test_an_unchanged_source_is_not_read_again(tmp_path: Path, store: Store) -> None:
    folder = write_dataset(tmp_path / "toy", train=5)
    assert ingest(store, from_path(folder)).fresh
    before = store.questions.find("toy")
    again = ingest(store, from_path(folder))
    assert (again.fresh, again.splits) == (False, {"train": 5})
    assert store.questions.find("toy") == before


@pytest.mark.parametrize("change", ["more rows", "another time", "another mapping", "another split"])
def test_a_changed_source_is_read_again(tmp_path: Path, store: Store, change: str) -> None:
    folder = write_dataset(tmp_path / "toy", train=5)
    ingest(store, from_path(folder))
    if change == "more rows":
        write_dataset(folder, train=6)
    elif change == "another split":
        write_dataset(folder, test=1)
    else:
        touch(folder / "train.jsonl")
    mapping = {"id": "question"} if change == "another mapping" else {}
    result = ingest(store, from_path(folder, Layout(columns=mapping)))
    assert result.fresh
    assert result.splits == store.questions.splits("toy")
    assert result.splits == {"train": 6 if change == "more rows" else 5} | ({"test": 1} if "split" in change else {})
    keys = {question.key for question in store.questions.iterate("toy", "train")}
    assert ("train-0" in keys) == (change != "another mapping")


def test_a_wrong_row_leaves_what_was_there(tmp_path: Path, store: Store) -> None:
    folder = write_dataset(tmp_path / "toy", train=5)
    ingest(store, from_path(folder))
    write_rows(folder / "train.jsonl", [*ROWS, ROWS[0]])
    with pytest.raises(UsageProblem, match="row 5: the id '0' is there already"):
        ingest(store, from_path(folder))
    assert list(store.questions.iterate("toy", "train")) == make_questions(5, dataset="toy")


def test_two_sources_of_one_name_are_a_conflict(tmp_path: Path, store: Store) -> None:
    ingest(store, from_path(write_dataset(tmp_path / "one" / "toy", train=2)))
    other = write_dataset(tmp_path / "two" / "toy", train=3)
    with pytest.raises(UsageProblem, match=r"already has a data set 'toy', from .*one/toy") as caught:
        ingest(store, from_path(other))
    assert "--name" in caught.value.hint
    assert ingest(store, from_path(other, name="toy2")).splits == {"train": 3}
    assert store.questions.splits("toy") == {"train": 2}


def test_a_local_copy_replaces_the_hub(tmp_path: Path, store: Store) -> None:
    ingest(store, from_path(write_dataset(tmp_path / "copy", train=2), name="riddle"))
    found = ingest_named(store, "riddle", NOTHING)
    assert (found.fresh, found.splits) == (False, {"train": 2})


def test_a_path_works_where_a_name_does(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(tmp_path / "toy", train=2)
    monkeypatch.chdir(tmp_path)
    assert ingest_named(store, "./toy", NOTHING).name == "toy"
    write_dataset(tmp_path / "toy", train=3)
    assert ingest_named(store, "./toy", NOTHING).splits == {"train": 3}


def test_the_embedded_data_set_comes_without_any_file(store: Store) -> None:
    assert ingest_named(store, "everyday", NOTHING).splits == {"train": 240, "valid": 60, "test": 100}
    assert not ingest_named(store, "everyday", NOTHING).fresh


def test_others_may_write_while_a_source_is_fetched(store: Store) -> None:
    def read() -> Iterator[Question]:
        with closing(sqlite3.connect(store.path, timeout=0, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        yield from make_questions(3)

    assert ingest(store, Source(name="toy", origin="here", fingerprint="1", read=read)).splits == {"train": 3}
    with pytest.raises(UsageProblem, match="holds no questions"):
        ingest(store, Source(name="none", origin="here", fingerprint="1", read=lambda: iter(())))


def test_the_same_file_updates_a_data_set_with_and_without_a_settings_file(inside: Command, tmp_path: Path) -> None:
    """Imported by its path, then named by tinyllm.toml, then by its path again: one data set with the newest rows."""
    row = {"id": "1", "question": "What floats?", "options": ["cork", "iron"], "answer": "cork"}

    def write(question: str) -> None:
        (tmp_path / "quiz.jsonl").write_text(json.dumps({**row, "question": question}) + "\n", encoding="utf-8")

    def stored() -> str:
        done = inside("inspect", "1", "--dataset", "quiz", "--json")
        return str(json.loads(done.stdout)["question"]["text"])

    settings = '[datasets.quiz]\ntrain = "quiz.jsonl"\n'
    write("What floats?")
    first = inside("import", "quiz.jsonl")
    assert (first.returncode, "quiz has no test split" in first.stderr) == (0, True), first.stderr
    assert "--split-off test=0.2" in first.stderr
    for number, toml in enumerate((settings, "", settings, "")):
        (tmp_path / "tinyllm.toml").write_text(toml, encoding="utf-8")
        write(f"What floats, {number}?")
        command = ("audit", "--dataset", "quiz") if toml else ("import", "quiz.jsonl")
        done = inside(*command)
        assert "already has a data set" not in done.stderr
        assert stored() == f"What floats, {number}?"
    (tmp_path / "other.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert inside("import", "other.jsonl", "--name", "quiz").returncode == 2, "another file is another data set"
