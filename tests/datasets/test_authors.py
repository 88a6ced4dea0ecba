"""The layout of the TinyLLM authors' repository, and the real data that came out of it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Command, make_questions
from tinyllm_cli.datasets.authors import is_authors_layout, parse_pair, strings_of, write_rationales
from tinyllm_cli.datasets.question import LETTERS, Question
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.store import open_store

MARKS = ("\n\nQ:", "\nAnswer Choices:", "llama rationale:", "Thus, the answer is")
prose = st.text(max_size=60).map(str.strip).filter(lambda text: not any(mark.strip() in text for mark in MARKS))


def pair_string(question: Question, flan: str, llama: str, *, asked: str | None = None) -> str:
    """One string as the authors' code wrote it."""
    choices = "\n".join(f"({LETTERS[n]}) {text}" for n, text in enumerate(question.options))
    return (
        f"{flan} Thus, the answer is ({LETTERS[question.answer]}) {question.gold}"
        f"\n\nQ: {asked or question.text}\nAnswer Choices:\n{choices}\nllama rationale: {llama}"
    )


def strings_for(questions: list[Question]) -> list[str]:
    return [pair_string(q, f"Flan on {q.key}.", f"Llama on {q.key},\nat length.") for q in questions]


def authors_folder(folder: Path, *, form: str = "array", files: int = 1, **sizes: int) -> Path:
    """Splits with both teachers' strings, spread over `files` files in numeric order."""
    (folder / "llm").mkdir(parents=True)
    for split, count in sizes.items():
        questions = make_questions(count, dataset=folder.name, split=split)
        rows = [{"id": q.key, "question": q.text, "choices": list(q.options), "answer": q.gold} for q in questions]
        write_json(folder / f"{split}.json", rows, form)
        write_strings(folder, split, strings_for(questions), files)
    return folder


def write_json(path: Path, items: list[Any], form: str = "array") -> None:
    lines = "".join(json.dumps(item) + "\n" for item in items)
    path.write_text(json.dumps(items, indent=2) if form == "array" else lines, encoding="utf-8")


def write_strings(folder: Path, split: str, strings: list[str], files: int = 1) -> None:
    size = -(-len(strings) // files)
    for number in range(files):
        write_json(folder / "llm" / f"{split}_CoT_{number}.json", strings[number * size : (number + 1) * size])


def rationales_of(database: Path, dataset: str, split: str = "train") -> dict[tuple[str, str], str]:
    """(teacher, key) -> raw text of everything that the database holds for a split."""
    with open_store(database, create=False) as store:
        return {
            (variant.teacher, rationale.key): rationale.text
            for variant in store.rationales.variants(dataset, split)
            for rationale in store.rationales.of(list(store.questions.iterate(dataset, split)), variant)
        }


@given(flan=prose, asked=prose, options=st.lists(prose, min_size=2, max_size=26), llama=prose, data=st.data())
def test_a_composed_string_comes_apart_into_its_parts(
    flan: str, asked: str, options: list[str], llama: str, data: st.DataObject
) -> None:
    answer = data.draw(st.integers(0, len(options) - 1))
    question = Question(dataset="d", split="train", key="1", text=asked or "?", options=tuple(options), answer=answer)
    pair = parse_pair(pair_string(question, flan, llama))
    assert pair.flan == (flan or None)
    assert pair.flan_answer == answer
    assert pair.echo == question.text
    assert pair.llama == (llama or None)


@given(st.text(max_size=80) | st.lists(st.sampled_from([*MARKS, " (b) ", "text", "\n"]), max_size=8).map("".join))
def test_any_string_comes_apart_without_an_error(text: str) -> None:
    pair = parse_pair(text)
    assert pair.flan is None or pair.flan == pair.flan.strip() != ""
    assert pair.llama is None or pair.llama == pair.llama.strip() != ""


def test_parts_that_are_missing_are_none() -> None:
    assert parse_pair("").flan is None
    bare = parse_pair("Rain is wet.")
    assert (bare.flan, bare.flan_answer, bare.llama, bare.echo) == ("Rain is wet.", None, None, None)
    cut = parse_pair("Rain. Thus, the answer is (b) rain\n\nQ: Which?\nAnswer Choices:\n(a) x")
    assert (cut.flan, cut.flan_answer, cut.llama, cut.echo) == ("Rain.", 1, None, "Which?")
    direct = parse_pair("Rain. Thus, the answer is (b) rain llama rationale: It falls.")
    assert (direct.flan, direct.llama, direct.echo) == ("Rain.", "It falls.", None)


@pytest.mark.parametrize("form", ["array", "lines"])
@pytest.mark.parametrize("files", [1, 3, 12])
def test_one_import_brings_both_teachers(inside: Command, tmp_path: Path, form: str, files: int) -> None:
    authors_folder(tmp_path / "toy", form=form, files=files, train=24, valid=13, test=3)
    done = inside("import", "toy", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["splits"] == {"train": 24, "valid": 13, "test": 3}
    counts = {(item["teacher"], item["split"]): item["new"] for item in result["teachers"]}
    sizes = {"train": 24, "valid": 13, "test": 3}
    assert counts == {(teacher, split): sizes[split] for teacher in ("t5", "llama2") for split in sizes}
    found = rationales_of(tmp_path / "tinyllm.db", "toy")
    assert found["t5", "train-23"] == "Flan on train-23."
    assert found["llama2", "train-0"] == "Llama on train-0,\nat length."
    assert len(found) == 48


def test_importing_the_folder_twice_changes_nothing(inside: Command, tmp_path: Path) -> None:
    authors_folder(tmp_path / "toy", train=5)
    assert inside("import", "toy").returncode == 0
    before = rationales_of(tmp_path / "tinyllm.db", "toy")
    again = json.loads(inside("import", "toy", "--json").stdout)
    assert [item["new"] for item in again["teachers"]] == [0, 0]
    assert rationales_of(tmp_path / "tinyllm.db", "toy") == before


def test_the_teachers_can_be_given_other_names(inside: Command, tmp_path: Path) -> None:
    authors_folder(tmp_path / "toy", train=2)
    assert inside("import", "toy", "--rename", "llama2=paper-llama").returncode == 0
    assert {teacher for teacher, _ in rationales_of(tmp_path / "tinyllm.db", "toy")} == {"t5", "paper-llama"}


def test_an_empty_part_is_a_failure_of_that_teacher_alone(inside: Command, tmp_path: Path) -> None:
    folder = authors_folder(tmp_path / "toy", train=3)
    questions = make_questions(3, dataset="toy")
    strings = strings_for(questions)
    strings[1] = pair_string(questions[1], "Only flan.", "")
    write_strings(folder, "train", strings)
    assert inside("import", "toy").returncode == 0
    found = rationales_of(tmp_path / "tinyllm.db", "toy")
    assert found["t5", "train-1"] == "Only flan."
    assert ("llama2", "train-1") not in found
    assert len(found) == 5


def joined(folder: Path, questions: list[Question]) -> dict[str, list[dict[str, Any]]]:
    targets = {"t5": io.StringIO(), "llama2": io.StringIO()}
    write_rationales(folder, "train", iter(questions), targets)
    return {name: [json.loads(line) for line in file.getvalue().splitlines()] for name, file in targets.items()}


def test_rows_carry_the_id_and_the_answer_that_flan_states(tmp_path: Path) -> None:
    questions = make_questions(3)
    rows = joined(authors_folder(tmp_path / "toy", train=3), questions)
    assert [row["id"] for row in rows["t5"]] == [question.key for question in questions]
    assert [row["answer_index"] for row in rows["t5"]] == [question.answer for question in questions]
    assert [row["answer_index"] for row in rows["llama2"]] == [None] * 3


def test_more_rationales_than_questions_are_an_error(inside: Command, tmp_path: Path) -> None:
    folder = authors_folder(tmp_path / "toy", train=5)
    write_strings(folder, "train", strings_for(make_questions(6)))
    done = inside("import", "toy")
    assert done.returncode == 2
    assert "split train: there are more rationales than questions (from row 6 on)" in done.stderr
    assert rationales_of(tmp_path / "tinyllm.db", "toy") == {}


def test_fewer_rationales_than_questions_are_an_error_where_they_name_no_question(tmp_path: Path) -> None:
    folder = authors_folder(tmp_path / "toy", train=3)
    write_json(folder / "llm" / "train_CoT_0.json", ["Rain. Thus, the answer is (a) x llama rationale: It falls."])
    with pytest.raises(UsageProblem, match=r"more questions than rationales \(from row 2 on\)"):
        joined(folder, make_questions(3))


@pytest.mark.parametrize("missing", [(0,), (1,), (3,), (0, 2)])
def test_parts_of_a_split_may_be_missing(inside: Command, tmp_path: Path, missing: tuple[int, ...]) -> None:
    folder = authors_folder(tmp_path / "toy", train=12, files=4)
    for number in missing:
        (folder / "llm" / f"train_CoT_{number}.json").unlink()
    done = inside("import", "toy")
    assert done.returncode == 0, done.stderr
    found = rationales_of(tmp_path / "tinyllm.db", "toy")
    there = [n for n in range(12) if n // 3 not in missing]
    assert found == {
        **{("t5", f"train-{n}"): f"Flan on train-{n}." for n in there},
        **{("llama2", f"train-{n}"): f"Llama on train-{n},\nat length." for n in there},
    }
    assert f"{12 - len(there)} questions have none" in done.stdout


def with_the_authors_names(folder: Path) -> Path:
    """`riddle/train.json` becomes `riddle/riddle_train.json`, as in their repository."""
    for path in folder.glob("*.json"):
        path.rename(folder / f"{folder.name}_{path.name}")
    return folder


def test_the_authors_folders_are_imported_as_they_are(inside: Command, tmp_path: Path) -> None:
    with_the_authors_names(authors_folder(tmp_path / "datasets" / "riddle", train=5, valid=2, test=3))
    with_the_authors_names(authors_folder(tmp_path / "datasets" / "arc", form="lines", train=4, valid=2, test=2))
    one = inside("import", "datasets/riddle", "--json")
    assert one.returncode == 0, one.stderr
    assert json.loads(one.stdout)["splits"] == {"train": 5, "valid": 2, "test": 3}
    both = inside("import", "datasets", "--json")
    assert both.returncode == 0, both.stderr
    assert [found["dataset"] for found in json.loads(both.stdout)["datasets"]] == ["arc", "riddle"]
    assert len(rationales_of(tmp_path / "tinyllm.db", "arc")) == 8
    named = inside("import", "datasets", "--name", "arc")
    assert (named.returncode, "holds 2 data sets" in named.stderr) == (2, True)


def test_a_string_about_another_question_is_an_error_that_names_the_row(inside: Command, tmp_path: Path) -> None:
    folder = authors_folder(tmp_path / "toy", train=5)
    strings = strings_for(make_questions(5))
    strings[2], strings[3] = strings[3], strings[2]
    write_strings(folder, "train", strings)
    done = inside("import", "toy")
    assert done.returncode == 2
    assert "split train, row 3: the rationale repeats another question" in done.stderr
    assert "number 3 of train" in done.stderr
    assert rationales_of(tmp_path / "tinyllm.db", "toy") == {}


def test_white_space_and_case_do_not_make_another_question(tmp_path: Path) -> None:
    (question,) = make_questions(1)
    folder = authors_folder(tmp_path / "toy", train=1)
    write_strings(folder, "train", [pair_string(question, "F.", "L.", asked=question.text.upper().replace(" ", "  "))])
    assert joined(folder, [question])["llama2"][0]["rationale"] == "L."


def test_an_item_that_is_no_string_is_named(tmp_path: Path) -> None:
    folder = authors_folder(tmp_path / "toy", train=1)
    write_json(folder / "llm" / "train_CoT_0.json", ["text", {"a": 1}])
    with pytest.raises(UsageProblem, match=r"train_CoT_0\.json, item 2: expected a string, found dict"):
        list(strings_of(folder, "train"))


def test_a_folder_without_paired_strings_is_no_authors_folder(tmp_path: Path) -> None:
    (tmp_path / "llm").mkdir()
    assert not is_authors_layout(tmp_path)
    assert is_authors_layout(authors_folder(tmp_path / "toy", train=1))
