"""Files as people have them: what would be read wrongly is refused, what can be read is."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from tests.conftest import Command, write_dataset
from tinyllm_cli.config import load_settings
from tinyllm_cli.datasets.catalogue import find_source

ROW = {"id": "train-0", "question": "What floats?", "options": ["cork", "iron"], "answer_index": 0}


def test_a_row_with_more_cells_than_names_is_refused(inside: Command, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id,answer,question,a,b\n1,a,Which, if any, floats?,cork,iron\n")
    done = inside("import", "train.csv", "--name", "toy", "--map", "options=a,b")
    assert done.returncode == 2
    assert "more cells" in done.stderr


def test_as_many_labels_as_options(inside: Command, tmp_path: Path) -> None:
    options = {"text": ["a", "b", "c"], "label": ["A", "B", "C", "D"]}
    row = {"id": "1", "question": "Which?", "options": options, "answer": "D"}
    (tmp_path / "train.jsonl").write_text(json.dumps(row))
    done = inside("import", "train.jsonl", "--name", "toy")
    assert (done.returncode, "4 labels" in done.stderr) == (2, True)


def test_a_file_that_moves_to_another_split_is_another_edition(tmp_path: Path) -> None:
    write_dataset(tmp_path / "files", train=2, valid=1)
    editions = set()
    for split in ("valid", "test"):
        table = f'[datasets.toy]\ntrain = "files/train.jsonl"\n{split} = "files/valid.jsonl"\n'
        (tmp_path / "tinyllm.toml").write_text(table)
        source = find_source("toy", load_settings(tmp_path / "tinyllm.toml"))
        assert source is not None
        editions.add(source.fingerprint)
    assert len(editions) == 2


def test_recordings_of_names_with_dots_and_byte_order_marks(inside: Command, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "toy", train=2)
    (folder / "rationales").mkdir()
    for name in ("gpt-4.1.jsonl", "gpt-4.5.train.jsonl"):
        text = json.dumps({"id": "train-0", "rationale": "It is plain."})
        (folder / "rationales" / name).write_text(text, encoding="utf-8-sig")
    done = inside("import", "toy", "--json")
    assert done.returncode == 0, done.stderr
    assert {"gpt-4.1", "gpt-4.5"} <= {one["teacher"] for one in json.loads(done.stdout)["teachers"]}


def test_a_damaged_archive_of_recordings_is_reported(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=2)
    whole = gzip.compress(json.dumps({"id": "train-0", "rationale": "It is plain. " * 50}).encode())
    (tmp_path / "r.jsonl.gz").write_bytes(whole[:20] + b"\xff\xff\xff" + whole[23:])
    assert inside("import", "toy").returncode == 0
    done = inside("import", "r.jsonl.gz", "--teacher", "ann", "--dataset", "toy")
    assert done.returncode != 0
    assert "can't be read" in done.stderr
    assert "defect" not in done.stderr


def test_a_recorded_text_that_a_comma_would_cut_is_refused(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=2)
    (tmp_path / "r.csv").write_text("id,rationale\ntrain-0,It is plain, as anybody sees.\n")
    assert inside("import", "toy").returncode == 0
    done = inside("import", "r.csv", "--teacher", "ann", "--dataset", "toy")
    assert done.returncode == 2
    assert "more cells" in done.stderr


def test_structured_values_where_a_text_belongs_are_refused(inside: Command, tmp_path: Path) -> None:
    for field in ("id", "question"):
        (tmp_path / "train.jsonl").write_text(json.dumps({**ROW, field: ["What", "floats?"]}))
        done = inside("import", "train.jsonl", "--name", "toy")
        assert (done.returncode, f"field '{field}': expected a text, found a list" in done.stderr) == (2, True)
    (tmp_path / "train.jsonl").write_text(json.dumps({**ROW, "options": [["cork"], ["iron"]]}))
    assert inside("import", "train.jsonl", "--name", "toy").returncode == 2
    (tmp_path / "train.jsonl").write_text(json.dumps({**ROW, "context": {"passages": []}}))
    assert "found an object" in inside("import", "train.jsonl", "--name", "toy").stderr


def test_a_structured_rationale_is_refused(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=1)
    assert inside("import", "toy").returncode == 0
    (tmp_path / "notes.jsonl").write_text(json.dumps({"id": "train-0", "rationale": {"steps": ["cork is light"]}}))
    done = inside("import", "notes.jsonl", "--teacher", "notes", "--dataset", "toy")
    assert (done.returncode, "expected a text, found an object" in done.stderr) == (2, True)


def test_rationales_that_are_taken_for_questions_are_reported(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=1)
    assert inside("import", "toy").returncode == 0
    (tmp_path / "notes.jsonl").write_text(json.dumps({"id": "train-0", "rationale": "cork is light"}))
    done = inside("import", "notes.jsonl")
    assert (done.returncode, "--teacher NAME --dataset NAME" in done.stderr) == (2, True)
    done = inside("import", "toy", "--teacher", "notes", "--dataset", "toy")
    assert (done.returncode, "toy is a folder" in done.stderr) == (2, True)


def test_a_single_files_split_may_stand_at_the_end_of_its_name(inside: Command, tmp_path: Path) -> None:
    (tmp_path / "quiz_test.jsonl").write_text(json.dumps(ROW))
    assert json.loads(inside("import", "quiz_test.jsonl", "--json").stdout)["splits"] == {"test": 1}


def test_rationales_in_a_format_that_is_not_read_are_reported(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=1)
    (tmp_path / "toy" / "rationales").mkdir()
    (tmp_path / "toy" / "rationales" / "ann.parquet").write_bytes(b"PAR1")
    done = inside("import", "toy")
    assert (done.returncode, "ann.parquet" in done.stderr) == (2, True)


def test_what_belongs_to_a_data_set_does_not_go_with_rationales(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=1)
    assert inside("import", "toy").returncode == 0
    (tmp_path / "notes.jsonl").write_text(json.dumps({"id": "train-0", "rationale": "cork is light"}))
    for extra in (["--name", "x"], ["--map", "id=nr"], ["--rename", "a=b"]):
        done = inside("import", "notes.jsonl", "--teacher", "notes", "--dataset", "toy", *extra)
        assert (done.returncode, "Remove them" in done.stderr) == (2, True)
