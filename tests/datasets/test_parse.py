from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.conftest import Command
from tests.files import FORMATS, write_rows
from tinyllm_cli.datasets.catalogue import from_path
from tinyllm_cli.datasets.layout import NO_LAYOUT, Layout, parse_mapping, parse_options, parse_shares
from tinyllm_cli.datasets.parse import Where, parse_row
from tinyllm_cli.datasets.question import LETTERS, Question
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.store import open_store

WHERE = Where(file="quiz.csv", row=3)
ROW = {"id": "q1", "question": "Which is wet?", "options": ["rain", "sand", "smoke"], "answer": 0}

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12).map(str.strip)
words = texts.filter(bool)


@st.composite
def questions(draw: st.DrawFn) -> Question:
    options = draw(st.lists(words, min_size=2, max_size=26, unique=True))
    return Question(
        dataset="quiz",
        split="train",
        key=draw(words),
        text=draw(words),
        options=tuple(options),
        answer=draw(st.integers(0, len(options) - 1)),
        context=draw(st.none() | words),
    )


def labels_of(question: Question) -> list[str]:
    return [f"#{number}" for number in range(1, len(question.options) + 1)]


def as_row(question: Question, way: str) -> dict[str, Any]:
    """The question as a row of a user's file, its answer written in one of the ways."""
    letter = LETTERS[question.answer]
    shapes: dict[str, dict[str, Any]] = {
        "index": {"options": list(question.options), "answer_index": question.answer},
        "plain index": {"options": list(question.options), "answer": question.answer},
        "letter": {"options": list(question.options), "answer": letter},
        "capital": {"options": list(question.options), "answer": letter.upper()},
        "in brackets": {"options": list(question.options), "answer": f"({letter})"},
        "text": {"choices": list(question.options), "answer": question.gold},
        "label": {
            "choices": {"text": list(question.options), "label": labels_of(question)},
            "answerKey": labels_of(question)[question.answer],
        },
        "labelled list": {
            "choices": [
                {"label": label, "text": text}
                for label, text in zip(labels_of(question), question.options, strict=True)
            ],
            "answerKey": labels_of(question)[question.answer],
        },
    }
    row = {"id": question.key, "question": question.text, **shapes[way]}
    return row | ({"context": question.context} if question.context else {})


WAYS = ["index", "plain index", "letter", "capital", "in brackets", "text", "label", "labelled list"]


def unambiguous(question: Question, way: str) -> bool:
    """Letters and digits that are an option's text as well mean the text, so such questions are left out."""
    marks = {str(n) for n in range(26)} | {f"{a}{c}{b}" for c in LETTERS + LETTERS.upper() for a, b in ("  ", "()")}
    marks = {mark.strip() for mark in marks}
    return way in ("index", "text", "label", "labelled list") or not marks & set(question.options)


@pytest.mark.parametrize("way", WAYS)
@given(question=questions())
@settings(deadline=None)
def test_a_row_gives_the_question_however_its_answer_is_written(question: Question, way: str) -> None:
    assume(unambiguous(question, way))
    assert parse_row(as_row(question, way), WHERE, NO_LAYOUT, dataset="quiz", split="train") == question


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("way", ["index", "letter", "text", "label"])
@given(question=questions())
@settings(deadline=None, max_examples=10)
def test_questions_round_trip_through_every_format(question: Question, way: str, name: str) -> None:
    assume(unambiguous(question, way))
    with tempfile.TemporaryDirectory() as folder:
        path = write_rows(Path(folder) / name, [as_row(question, way)])
        assert list(from_path(path, name="quiz").read()) == [question]


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
@given(question=questions())
@settings(deadline=None, max_examples=20)
def test_questions_round_trip_through_columns_of_options(question: Question, name: str) -> None:
    assume(unambiguous(question, "letter"))
    cells = {f"option {n}": text for n, text in enumerate(question.options)}
    row = {"nr": question.key, "stem": question.text, **cells, "spare": "", "key": LETTERS[question.answer]}
    mapping = parse_mapping(["id=nr", "question=stem", f"options={','.join(cells)},spare", "answer=key"])
    with tempfile.TemporaryDirectory() as folder:
        path = write_rows(Path(folder) / name, [row])
        (found,) = from_path(path, Layout(columns=mapping), "quiz").read()
    assert (found.key, found.text, found.options, found.gold) == (
        question.key,
        question.text,
        question.options,
        question.gold,
    )


@pytest.mark.parametrize(
    ("changed", "field", "said"),
    [
        ({"id": None}, "id", "empty"),
        ({"id": ""}, "id", "empty"),
        ({"question": None}, "question", "empty"),
        ({"question": "  "}, "question", "empty"),
        ({"options": None}, "options", "empty"),
        ({"options": ["rain"]}, "options", "there are 1; a question has 2 to 26"),
        ({"options": []}, "options", "there are 0"),
        ({"options": [str(n) for n in range(27)]}, "options", "there are 27"),
        ({"options": ["rain", ""]}, "options", "one of them is empty"),
        ({"options": ["rain", None]}, "options", "expected a list of texts"),
        ({"options": "rain; sand"}, "options", "not a JSON array"),
        ({"options": 5}, "options", "expected a list of texts"),
        ({"options": {"label": ["A", "B"]}}, "options", "expected a list of texts"),
        ({"answer": None}, "answer", "empty"),
        ({"answer": "fog"}, "answer", "'fog' is not among the options ('rain', 'sand', 'smoke')"),
        ({"answer": "d"}, "answer", "'d' is not among the options"),
        ({"answer": "3"}, "answer", "3 is not an index from 0 to 2, and no option's text"),
        ({"answer": 3}, "answer", "3 is not an index from 0 to 2"),
        ({"answer": -1}, "answer", "-1 is not an index"),
        ({"answer": ["rain"]}, "answer", "is not among the options"),
    ],
)
def test_a_wrong_row_is_named_with_file_row_and_field(changed: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        parse_row(ROW | changed, WHERE, NO_LAYOUT, dataset="quiz", split="train")
    assert str(caught.value).startswith(f"quiz.csv, row 3, field '{field}': ")
    assert said in str(caught.value)


def test_a_missing_field_shows_the_columns_that_there_are() -> None:
    with pytest.raises(UsageProblem) as caught:
        parse_row(
            {"id": "1", "stem_text": "?", "options": ["a", "b"], "answer": 0},
            WHERE,
            NO_LAYOUT,
            dataset="quiz",
            split="train",
        )
    assert "id, stem_text, options" in caught.value.hint
    assert "--map question=COLUMN" in caught.value.hint


def test_a_mapped_column_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageProblem, match="row 3, field 'stem': it is missing"):
        parse_row(ROW, WHERE, Layout(columns={"question": "stem"}), dataset="quiz", split="train")
    with pytest.raises(UsageProblem, match="row 3, field 'c': it is missing"):
        parse_row(
            ROW | {"a": "x", "b": "y"}, WHERE, Layout(columns={"options": "a,b,c"}), dataset="quiz", split="train"
        )


def test_an_empty_option_column_between_two_others_is_refused() -> None:
    row = {"id": "1", "question": "?", "a": "x", "b": "", "c": "z", "answer": "c"}
    with pytest.raises(UsageProblem, match="row 3, field 'b': it is empty"):
        parse_row(row, WHERE, Layout(columns={"options": "a,b,c"}), dataset="quiz", split="train")


def test_a_label_means_its_option_even_where_another_option_reads_the_same() -> None:
    row = ROW | {"options": {"text": ["O", "AB", "B", "A"], "label": ["A", "B", "C", "D"]}, "answer": "A"}
    assert parse_row(row, WHERE, NO_LAYOUT, dataset="quiz", split="train").gold == "O"


def test_the_index_column_holds_an_index_even_in_csv() -> None:
    row = {"id": "1", "question": "?", "options": '["2", "1", "0"]', "answer_index": "2"}
    assert parse_row(row, WHERE, NO_LAYOUT, dataset="quiz", split="train").gold == "0"


def test_a_truth_value_is_an_answer() -> None:
    row = ROW | {"options": ["true", "false"], "answer": False}
    assert parse_row(row, WHERE, NO_LAYOUT, dataset="quiz", split="train").gold == "false"


@pytest.mark.parametrize("item", ["question", "question=", "=stem", "stem=question", ""])
def test_a_wrong_mapping_lists_the_fields(item: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        parse_mapping([item])
    assert "id, question, options, answer, context, split" in caught.value.hint


def test_rows_without_ids_can_be_numbered(inside: Command, tmp_path: Path) -> None:
    rows = [{"question": f"Is {n} odd?", "yes": "yes", "no": "no", "right": "ba"[n % 2]} for n in range(3)]
    write_rows(tmp_path / "odd.csv", rows)
    without = inside("import", "odd.csv", "--map", "options=yes,no", "--map", "answer=right")
    assert without.returncode == 2
    assert "odd.csv, row 1, field 'id': it is missing" in without.stderr
    assert "--map id=#" in without.stderr
    done = inside("import", "odd.csv", "--map", "options=yes,no", "--map", "answer=right", "--map", "id=#")
    assert done.stdout == "odd: train 3\n"


def imported_badly(inside: Command, path: Path, *said: str) -> None:
    """The import ends with a message that says all of `said`, and leaves nothing behind."""
    done = inside("import", path)
    assert done.returncode == 2, done.stderr
    for text in said:
        assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(inside("report", "--json").stdout)["datasets"] == []


def test_a_repeated_id_is_named_and_nothing_is_imported(inside: Command, tmp_path: Path) -> None:
    rows = [ROW | {"id": key} for key in ("a", "b", "c", "b")]
    imported_badly(inside, write_rows(tmp_path / "quiz.jsonl", rows), "quiz", "row 4", "id 'b' is there already")


def test_one_bad_row_among_many_is_named_and_nothing_is_imported(inside: Command, tmp_path: Path) -> None:
    rows = [ROW | {"id": n, "answer": "fog" if n == 700 else 0} for n in range(1, 800)]
    imported_badly(inside, write_rows(tmp_path / "quiz.jsonl", rows), "quiz.jsonl, row 700, field 'answer'", "'fog'")


def test_an_empty_file_holds_no_questions(inside: Command, tmp_path: Path) -> None:
    (tmp_path / "quiz.jsonl").write_text("", encoding="utf-8")
    imported_badly(inside, tmp_path / "quiz.jsonl", "quiz.jsonl holds no questions")


def read(path: Path, layout: Layout = NO_LAYOUT, name: str = "quiz") -> list[Question]:
    return list(from_path(path, layout, name).read())


def test_options_may_be_an_object_of_letters(tmp_path: Path) -> None:
    row = {"id": "1", "question": "?", "options": {"A": "rain", "B": "sand", "C": "fog"}, "answer": "C"}
    (question,) = read(write_rows(tmp_path / "q.jsonl", [row]))
    assert (question.options, question.gold) == (("rain", "sand", "fog"), "fog")


def test_options_may_be_the_same_for_all_rows(tmp_path: Path) -> None:
    rows = [{"id": n, "question": "?", "answer": answer} for n, answer in enumerate(["maybe", "No", "a", 1])]
    found = read(write_rows(tmp_path / "q.jsonl", rows), Layout(options=parse_options("yes, no,maybe")))
    assert [question.gold for question in found] == ["maybe", "no", "yes", "no"]


@pytest.mark.parametrize("text", ["yes", "yes,,no", "yes,yes", ",".join("abcdefghijklmnopqrstuvwxyz0")])
def test_a_wrong_list_of_options_is_refused(text: str) -> None:
    with pytest.raises(UsageProblem, match="--options"):
        parse_options(text)


@pytest.mark.parametrize(
    ("value", "options", "gold"),
    [
        (True, ["no", "yes"], "yes"),
        (False, ["yes", "no", "maybe"], "no"),
        ("True", ["false", "true"], "true"),
        ("true", ["True", "False"], "True"),
        (1.0, ["rain", "sand"], "sand"),
        ("1.0", ["rain", "sand"], "sand"),
        ("SAND", ["rain", "sand"], "sand"),
    ],
)
def test_answers_as_tools_write_them(value: object, options: list[str], gold: str) -> None:
    row = ROW | {"options": options, "answer": value}
    assert parse_row(row, WHERE, NO_LAYOUT, dataset="quiz", split="train").gold == gold


@pytest.mark.parametrize("value", [True, "1.5", "9" * 5000, 1e300, float("nan")])
def test_an_answer_that_is_no_option_is_refused(value: object) -> None:
    row = ROW | {"answer": value}
    with pytest.raises(UsageProblem, match="field 'answer'"):
        parse_row(row, WHERE, NO_LAYOUT, dataset="quiz", split="train")


def test_a_number_that_is_another_options_text_is_refused_until_it_is_said_what_it_means() -> None:
    row = ROW | {"options": ["2", "3", "4"], "answer": 2}
    with pytest.raises(UsageProblem, match="2 may be an index or the option '2'") as caught:
        parse_row(row, WHERE, NO_LAYOUT, dataset="quiz", split="train")
    assert "--answers-from 0" in caught.value.hint
    for start, gold in ((0, "4"), (1, "3")):
        assert parse_row(row, WHERE, Layout(answers_from=start), dataset="quiz", split="train").gold == gold
    assert parse_row(row | {"answer": "2"}, WHERE, NO_LAYOUT, dataset="quiz", split="train").gold == "2"


def test_fields_inside_objects_are_reached_with_dots(tmp_path: Path) -> None:
    choices = [{"label": "A", "text": "rain"}, {"label": "B", "text": "sand"}]
    row = {"id": "1", "question": {"stem": "Which is wet?", "choices": choices}, "answerKey": "A"}
    columns = parse_mapping(["question=question.stem", "options=question.choices"])
    (question,) = read(write_rows(tmp_path / "q.jsonl", [row]), Layout(columns=columns))
    assert (question.text, question.gold) == ("Which is wet?", "rain")
    with pytest.raises(UsageProblem, match=r"field 'question\.text': it is missing"):
        read(tmp_path / "q.jsonl", Layout(columns={**columns, "question": "question.text"}))


def test_all_missing_columns_are_named_at_once() -> None:
    with pytest.raises(UsageProblem) as caught:
        parse_row({"stem_text": "?", "right": "a"}, WHERE, NO_LAYOUT, dataset="quiz", split="train")
    assert "row 3, fields 'id', 'question', 'options', 'answer': they are missing" in str(caught.value)
    assert "--map question=COLUMN --map options=COLUMN --map answer=COLUMN" in caught.value.hint


def test_bytes_are_text_in_utf8_or_refused() -> None:
    assert parse_row(ROW | {"question": "Où?".encode()}, WHERE, NO_LAYOUT, dataset="quiz", split="train").text == "Où?"
    with pytest.raises(UsageProblem, match=r"field 'question'.*bytes that are not UTF-8"):
        parse_row(ROW | {"question": b"\xff"}, WHERE, NO_LAYOUT, dataset="quiz", split="train")


@pytest.mark.parametrize("options", [{"text": ["a", "b"], "label": 5}, "[" * 90_000, {"text": 5}, [["a"], ["b"]], {}])
def test_options_of_another_shape_are_refused(options: object) -> None:
    with pytest.raises(UsageProblem, match="field 'options'"):
        parse_row(ROW | {"options": options}, WHERE, NO_LAYOUT, dataset="quiz", split="train")


def counted_from_one(path: Path, count: int) -> Path:
    rows = [
        {"id": n, "question": f"Which is {n}?", "a": "w", "b": "x", "c": "y", "d": "z", "right": n % 3 + 1}
        for n in range(count)
    ]
    return write_rows(path, rows)


@pytest.mark.parametrize("name", ["one.csv", "one.jsonl"])
def test_answers_that_may_be_counted_from_one_are_warned_of_until_it_is_said(
    inside: Command, tmp_path: Path, name: str
) -> None:
    counted_from_one(tmp_path / name, 6)
    ask = ["import", name, "--map", "options=a,b,c,d", "--map", "answer=right"]
    assert "never 0" in inside(*ask).stderr
    for start, golds in (("1", {"w", "x", "y"}), ("0", {"x", "y", "z"})):
        done = inside(*ask, "--answers-from", start, "--name", f"from{start}")
        assert (done.returncode, "never 0" in done.stderr) == (0, False)
        with open_store(tmp_path / "tinyllm.db", create=False) as store:
            assert {question.gold for question in store.questions.iterate(f"from{start}", "train")} == golds


def test_an_answer_one_too_high_gets_a_hint(inside: Command, tmp_path: Path) -> None:
    write_rows(tmp_path / "q.jsonl", [ROW | {"answer": 3}])
    done = inside("import", "q.jsonl")
    assert (done.returncode, "Add --answers-from 1" in done.stderr) == (2, True)
    assert inside("import", "q.jsonl", "--answers-from", "1").returncode == 0


def test_a_column_may_say_the_split(inside: Command, tmp_path: Path) -> None:
    rows = [ROW | {"id": n, "part": part} for n, part in enumerate(["train", "dev", "test", "train"])]
    write_rows(tmp_path / "q.csv", rows)
    done = inside("import", "q.csv", "--map", "split=part", "--json")
    assert json.loads(done.stdout)["splits"] == {"train": 2, "valid": 1, "test": 1}
    done = inside("import", "q.csv", "--map", "split=fold")
    assert (done.returncode, "field 'fold': it is missing" in done.stderr) == (2, True)


def test_a_share_of_a_single_file_is_drawn_the_same_each_time(inside: Command, tmp_path: Path) -> None:
    write_rows(tmp_path / "q.jsonl", [ROW | {"id": n} for n in range(50)])
    ask = ["import", "q.jsonl", "--split-off", "test=0.2", "--split-off", "valid=0.1", "--json"]
    assert json.loads(inside(*ask).stdout)["splits"] == {"train": 35, "valid": 5, "test": 10}
    layout = Layout(split_off=parse_shares(["test=0.2", "valid=0.1"]))
    first, second = read(tmp_path / "q.jsonl", layout), read(tmp_path / "q.jsonl", layout)
    assert first == second
    assert len({question.key for question in first}) == 50


@pytest.mark.parametrize("items", [["test"], ["test=1.5"], ["train=0.1"], ["test=x"], ["test=0.5", "valid=0.5"]])
def test_a_wrong_share_is_refused(items: list[str]) -> None:
    with pytest.raises(UsageProblem, match="--split-off"):
        parse_shares(items)


def test_options_of_one_text_and_characters_that_t5_lacks_are_warned_of(inside: Command, tmp_path: Path) -> None:
    rows = [
        ROW | {"id": 1, "options": ["rain", "sand", "fire", " rain "], "answer": "D"},
        ROW | {"id": 2, "options": ["{rain}", "sand"], "answer": "A"},
        ROW | {"id": 3},
    ]
    write_rows(tmp_path / "q.jsonl", rows)
    done = inside("import", "q.jsonl")
    assert "In 1 questions of q, such as 1, two options have the same text, in 1 of them the right one" in done.stderr
    assert "options of 1 questions of q, such as 2, hold characters that a T5 student can't write ('{' '}')" in (
        done.stderr
    )
