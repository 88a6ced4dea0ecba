from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from pathlib import Path

import pytest

from tests.conftest import Command
from tests.files import FORMATS, write_rows
from tinyllm_cli.datasets.bioasq import bioasq_questions
from tinyllm_cli.datasets.rows import format_of, is_object_of_questions, read_rows, reading_notes
from tinyllm_cli.errors import UsageProblem

ROWS = [
    {"id": "1", "question": 'Wo fällt am meisten Regen,\n"heute"?', "answer": "Über, allem"},
    {"id": "2", "question": "a line\u2028separator is no line end", "answer": "雨"},
    {"id": "3", "question": " spaces stay ", "answer": "'"},
]


def rejected(path: Path, *said: str) -> None:
    """Reading `path` raises a UsageProblem that names the file and says every one of `said`."""
    with pytest.raises(UsageProblem) as caught:
        list(read_rows(path))
    for text in (path.name, *said):
        assert text in str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_back_its_rows(tmp_path: Path, name: str) -> None:
    assert list(read_rows(write_rows(tmp_path / name, ROWS))) == ROWS


@pytest.mark.parametrize("name", [name for name in FORMATS if "csv" not in name and "tsv" not in name])
def test_numbers_lists_and_nulls_survive(tmp_path: Path, name: str) -> None:
    rows = [{"id": 7, "options": ["a", "b"], "score": 0.5, "context": None}]
    assert list(read_rows(write_rows(tmp_path / name, rows))) == rows


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_known_by_its_name(name: str) -> None:
    assert format_of(Path(name)) == "." + name.removesuffix(".gz").split(".")[-1]
    assert format_of(Path(name.upper())) == format_of(Path(name))


@pytest.mark.parametrize("name", ["rows.txt", "rows", "rows.gz", "rows.jsonl.zip"])
def test_another_format_is_refused_with_the_list_of_formats(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}", encoding="utf-8")
    with pytest.raises(UsageProblem) as caught:
        list(read_rows(tmp_path / name))
    assert name in str(caught.value)
    assert ".jsonl, .json, .csv, .tsv, .parquet" in caught.value.hint


def test_blank_lines_in_jsonl_are_nothing(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('\n{"id": 1}\n  \n{"id": 2}', encoding="utf-8")
    assert list(read_rows(path)) == [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "lines.json", "rows.csv"])
def test_a_byte_order_mark_is_no_part_of_the_data(tmp_path: Path, name: str) -> None:
    path = write_rows(tmp_path / name, ROWS)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert list(read_rows(path)) == ROWS


@pytest.mark.parametrize("name", ["rows.jsonl", "lines.json"])
def test_bad_json_is_named_with_its_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"id": 1}\n{"id": \n', encoding="utf-8")
    rejected(tmp_path / name, "line 2", "not JSON")


@pytest.mark.parametrize("text", ['[{"id": 1}, {"id"', '[{"id": 1} {"id": 2}]', "", "   \n"])
def test_a_broken_json_array_is_not_valid_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "rows.json").write_text(text, encoding="utf-8")
    rejected(tmp_path / "rows.json", "not valid JSON")


@pytest.mark.parametrize(("name", "text"), [("rows.jsonl", '{"a": 1}\n[1]\n'), ("rows.json", '[{"a": 1}, "text"]')])
def test_a_row_that_is_no_object_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    rejected(tmp_path / name, "row 2", "expected an object")


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.json.gz", "rows.csv.gz", "rows.parquet", "rows.parquet.gz"])
def test_a_file_that_only_has_the_name_of_its_format_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"this is something else altogether, long enough to be read as a header")
    rejected(tmp_path / name)


@pytest.mark.parametrize("damage", ["cut short", "garbled"])
def test_a_damaged_gzip_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = write_rows(tmp_path / "rows.jsonl.gz", [{"id": n, "text": str(n * 7919)} for n in range(500)])
    content = path.read_bytes()
    middle = len(content) // 2
    garbled = content[:middle] + bytes(byte ^ 0xFF for byte in content[middle : middle + 40]) + content[middle + 40 :]
    path.write_bytes(content[:middle] if damage == "cut short" else garbled)
    rejected(path, "can't be read" if damage == "cut short" else "")


def test_bytes_that_are_no_utf8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'{"id": "caf\xe9"}\n')
    rejected(tmp_path / "rows.jsonl", "can't be read", "utf-8")


def test_a_table_that_is_no_utf8_is_read_as_windows_1252_with_a_note(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes("id;question\n1;café – “so”\n".encode("cp1252"))
    assert list(read_rows(tmp_path / "rows.csv")) == [{"id": "1", "question": "café – “so”"}]
    (note,) = reading_notes(tmp_path / "rows.csv")
    assert "rows.csv is not UTF-8, so it is read as Windows-1252" in note
    assert reading_notes(write_rows(tmp_path / "plain.csv", ROWS)) == ()
    (tmp_path / "rows.csv").write_bytes(b"id,question\n1,\x81\n")  # no character in Windows-1252 either
    rejected(tmp_path / "rows.csv", "can't be read")


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.json", "rows.jsonl", "lines.json"])
@pytest.mark.parametrize("order", ["le", "be"])
def test_utf16_is_known_by_its_mark(tmp_path: Path, name: str, order: str) -> None:
    path = write_rows(tmp_path / name, ROWS)
    text = path.read_bytes().decode()
    path.write_bytes(("\ufeff" + text).encode(f"utf-16-{order}"))
    assert list(read_rows(path)) == ROWS


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,answer,question,answer\n1,a,Which?,b\n", encoding="utf-8")
    rejected(tmp_path / "rows.csv", "two columns are called 'answer'")
    (tmp_path / "rows.csv").write_text("id,question,,\n1,Which?,,\n", encoding="utf-8")
    assert [row["question"] for row in read_rows(tmp_path / "rows.csv")] == ["Which?"]


def test_an_array_under_a_name_for_lines_is_an_array(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROWS, indent=2), encoding="utf-8")
    assert list(read_rows(tmp_path / "rows.jsonl")) == ROWS


@pytest.mark.parametrize("size", [10, 70_000, 200_000])
def test_items_longer_than_what_is_read_at_once_are_whole(tmp_path: Path, size: int) -> None:
    rows = [{"id": n, "text": '\\"é' * size, "n": 12345} for n in range(3)]
    assert list(read_rows(write_rows(tmp_path / "rows.json", rows))) == rows


def test_a_spreadsheet_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "rows.xlsx").write_bytes(b"PK")
    with pytest.raises(UsageProblem, match="spreadsheet") as caught:
        list(read_rows(tmp_path / "rows.xlsx"))
    assert "CSV" in caught.value.hint


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv", "rows.parquet"])
def test_only_regular_files_are_read(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    rejected(tmp_path / name, "not a regular file")
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    rejected(tmp_path / name, "not a regular file")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("rows.json", "[" * 600_000, "nested too deeply"),
        ("rows.jsonl", '{"a": ' + "[" * 90_000 + "]" * 90_000 + "}\n", "nested too deeply"),
        ("rows.json", '[{"a": ' + "9" * 5000 + "}]", "number"),
        ("rows.jsonl", '{"a": ' + "9" * 5000 + "}", "not JSON"),
        ("rows.jsonl", '{"a": "' + "x" * (9 << 20), "longer than 8 MiB"),
        ("rows.json", '[{"a": "' + "x" * (9 << 20), "longer than 8 MiB"),
        ("rows.csv", "id,question\n" + "x" * (9 << 20), "longer than 8 MiB"),
        ("rows.json", '[{"a": 1}, {"a" 2}' + " " * 200_000 + "]", "not valid JSON"),
    ],
)
def test_depth_and_length_are_bounded(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    rejected(tmp_path / name, said)


def test_a_small_archive_of_one_endless_line_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(b'{"a": "' + b"x" * (64 << 20)))
    rejected(tmp_path / "rows.jsonl.gz", "longer than 8 MiB")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    rejected(tmp_path / "gone.jsonl", "no file")


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.json.gz", "rows.csv"])
def test_reading_holds_a_few_rows_however_long_the_file_is(tmp_path: Path, name: str) -> None:
    path = write_rows(tmp_path / name, [{"id": n, "text": "x" * 1000} for n in range(8000)])
    next(read_rows(path))
    tracemalloc.start()
    count = sum(1 for _ in read_rows(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 8000
    assert peak < 2_000_000


def bioasq_file(path: Path, yes_no: int = 20) -> Path:
    questions = [
        {
            "id": f"id{n}",
            "type": "yesno",
            "body": f"Does gene {n} matter? ",
            "exact_answer": ["yes", "no", "Yes.", ["no"]][n % 4],
            "snippets": [{"text": f"Finding {n}."}, {"text": "Another."}],
        }
        for n in range(yes_no)
    ]
    others = [{"id": "f", "type": "factoid", "body": "Which?", "exact_answer": [["x"]]}]
    path.write_text(json.dumps({"questions": others + questions}), encoding="utf-8")
    return path


def test_bioasq_gives_the_yes_no_questions_in_the_papers_proportions(tmp_path: Path) -> None:
    path = bioasq_file(tmp_path / "training13b.json")
    questions = list(bioasq_questions(path, "bioasq"))
    assert is_object_of_questions(path)
    assert [question.key for question in questions] == [f"id{n}" for n in range(20)]
    assert [question.gold for question in questions] == ["yes", "no"] * 10
    assert questions[3].text == "Does gene 3 matter?"
    assert questions[3].context == "Finding 3.\nAnother."
    splits = [question.split for question in questions]
    assert (splits.count("train"), splits.count("valid"), splits.count("test")) == (14, 2, 4)
    assert questions == list(bioasq_questions(path, "bioasq"))


@pytest.mark.parametrize("field", ["id", "body", "exact_answer"])
def test_a_bioasq_question_without_a_field_is_named(tmp_path: Path, field: str) -> None:
    path = bioasq_file(tmp_path / "training.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["questions"][2][field]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UsageProblem, match=rf"training\.json, row 3, field '{field}': it is missing"):
        list(bioasq_questions(path, "bioasq"))


def test_a_list_of_rows_is_no_bioasq_file(tmp_path: Path) -> None:
    assert not is_object_of_questions(write_rows(tmp_path / "rows.json", [{"questions": 1}]))
    assert not is_object_of_questions(write_rows(tmp_path / "rows.jsonl", [{"questions": 1}]))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_the_organisers_file_is_imported_as_bioasq(tinyllm: Command, tmp_path: Path, suffix: str) -> None:
    path = bioasq_file(tmp_path / "training.json")
    if suffix:
        (tmp_path / "training.json.gz").write_bytes(gzip.compress(path.read_bytes()))
    done = tinyllm("import", f"training.json{suffix}", "--name", "bioasq")
    assert done.returncode == 0, done.stderr
    assert "bioasq: train 14, valid 2, test 4" in done.stdout
