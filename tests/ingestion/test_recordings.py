"""Rationales in files: joined by id and split, every sample, in parts, and what fits nowhere is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conftest import Command, write_dataset


def rows(path: Path, *items: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    return path


def numbered(folder: Path) -> Path:
    """A data set whose ids repeat from split to split, as row numbers do."""
    for split in ("train", "valid"):
        rows(
            folder / f"{split}.jsonl",
            *({"id": n, "question": f"{split} {n}?", "options": ["x", "y"], "answer": 0} for n in range(3)),
        )
    return folder


def stored(inside: Command, tmp_path: Path) -> list[tuple[str, str, int, str]]:
    """(split, key, sample, text) of every rationale."""
    import sqlite3

    with sqlite3.connect(tmp_path / "tinyllm.db") as connection:
        return connection.execute(
            "SELECT dq.split, dq.key, r.sample, r.text FROM rationales r"
            " JOIN dataset_questions dq ON dq.question = r.question ORDER BY 1, 2, 3, r.id"
        ).fetchall()


def test_ids_that_repeat_across_splits_are_told_apart_by_the_files_names(inside: Command, tmp_path: Path) -> None:
    folder = numbered(tmp_path / "toy")
    for split in ("train", "dev"):
        items = ({"id": n, "rationale": f"because {split} {n}"} for n in range(3))
        rows(folder / "rationales" / f"bob.{split}.jsonl", *items)
    done = inside("import", "toy")
    assert done.returncode == 0, done.stderr
    assert stored(inside, tmp_path) == [
        *(("train", str(n), 0, f"because train {n}") for n in range(3)),
        *(("valid", str(n), 0, f"because dev {n}") for n in range(3)),
    ]


def test_a_row_that_may_belong_to_two_questions_is_refused(inside: Command, tmp_path: Path) -> None:
    numbered(tmp_path / "toy")
    notes = rows(tmp_path / "notes.jsonl", {"id": 1, "rationale": "of which?"})
    assert inside("import", "toy").returncode == 0
    done = inside("import", notes, "--teacher", "notes", "--dataset", "toy")
    assert done.returncode == 2
    assert "The id '1' stands for different questions" in done.stderr
    assert stored(inside, tmp_path) == []


def test_a_split_in_the_row_goes_before_the_files_name(inside: Command, tmp_path: Path) -> None:
    numbered(tmp_path / "toy")
    notes = rows(
        tmp_path / "notes.jsonl",
        {"id": 0, "split": "validation", "rationale": "of valid"},
        {"id": 0, "split": "train", "rationale": "of train"},
    )
    assert inside("import", "toy").returncode == 0
    assert inside("import", notes, "--teacher", "notes", "--dataset", "toy").returncode == 0
    assert stored(inside, tmp_path) == [("train", "0", 0, "of train"), ("valid", "0", 0, "of valid")]


def test_every_sample_comes_along_and_what_fits_nowhere_is_said(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=3)
    notes = rows(
        tmp_path / "notes.jsonl",
        {"id": "train-0", "rationale": "one"},
        {"id": "train-0", "rationale": "two"},
        {"id": "train-2", "rationale": "three"},
        {"id": "train-99", "rationale": "lost"},
    )
    assert inside("import", "toy").returncode == 0
    done = inside("import", notes, "--teacher", "notes", "--dataset", "toy")
    assert "1 of the questions in its 4 rows are not in toy" in done.stderr
    assert "3 new rationales" in done.stdout
    assert "1 questions have none" in done.stdout
    assert stored(inside, tmp_path) == [
        ("train", "train-0", 0, "one"),
        ("train", "train-0", 1, "two"),
        ("train", "train-2", 0, "three"),
    ]


def test_parts_of_a_recording_add_up_and_an_edited_row_replaces_its_old_text(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=2, valid=1)
    assert inside("import", "toy").returncode == 0
    first = rows(tmp_path / "p1.jsonl", {"id": "train-0", "rationale": "old"})
    second = rows(tmp_path / "p2.jsonl", {"id": "train-1", "rationale": "kept"})
    for part in (first, second):
        assert inside("import", part, "--teacher", "bob", "--dataset", "toy").returncode == 0
    rows(first, {"id": "train-0", "rationale": "new"})
    assert "1 new" in inside("import", first, "--teacher", "bob", "--dataset", "toy").stdout
    plan = json.loads(inside("distill", "--alpha", "bob=1", "--no-gates", "--dry-run", "--json").stdout)
    assert plan["rationales"]["bob"]["rationales"] == 2
    assert [text for _, _, _, text in stored(inside, tmp_path)] == ["old", "new", "kept"]


def test_a_file_that_speaks_of_nothing_here_is_an_error(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=2)
    notes = rows(tmp_path / "notes.jsonl", {"id": "elsewhere", "rationale": "one"})
    assert inside("import", "toy").returncode == 0
    done = inside("import", notes, "--teacher", "notes", "--dataset", "toy")
    assert done.returncode == 2
    assert "None of the rationales of notes belongs to a question of toy" in done.stderr


def test_the_elicitation_that_covers_most_is_taken(inside: Command, scripted: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=8)
    asked = ("elicit", "--teacher", "parrot", "--dataset", "toy")
    assert inside(*asked).returncode == 0
    assert inside(*asked, "--limit", "2", "--seed", "1").returncode == 0
    plan = json.loads(inside("distill", "--alpha", "parrot=1", "--dry-run", "--json").stdout)
    assert plan["rationales"]["parrot"]["questions"] == 8
