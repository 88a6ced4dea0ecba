"""Rationales in files: joined by id and split, every sample, in parts, and what fits nowhere is said."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

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


def test_ids_that_repeat_across_splits_are_distinguished_by_the_files_names(inside: Command, tmp_path: Path) -> None:
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
    assert "The id '1' belongs to different questions" in done.stderr
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


def learned(inside: Command, teacher: str) -> int:
    plan = json.loads(inside("distill", "--alpha", f"{teacher}=1", "--no-gates", "--dry-run", "--json").stdout)
    return plan["rationales"][teacher]["rationales"]


def used(tmp_path: Path, teacher: str) -> dict[str, str]:
    """key -> the text of `teacher` that training would use."""
    from tinyllm_cli.store import open_store

    with open_store(tmp_path / "tinyllm.db", create=False) as store:
        (best, *_others) = sorted(
            (one for one in store.rationales.variants("toy", "train") if one.teacher == teacher),
            key=lambda one: -one.questions,
        )
        return {one.key: one.text for one in store.rationales.of(list(store.questions.iterate("toy", "train")), best)}


def test_edited_rationales_replace_those_that_the_teacher_was_asked_for(
    inside: Command, scripted: Path, tmp_path: Path
) -> None:
    write_dataset(tmp_path / "toy", train=8)
    assert inside("elicit", "--teacher", "parrot", "--dataset", "toy").returncode == 0
    before = used(tmp_path, "parrot")
    fix = rows(tmp_path / "fix.jsonl", {"id": "train-0", "rationale": "Better by hand."})
    done = inside("import", fix, "--teacher", "parrot", "--dataset", "toy")
    assert done.returncode == 0, done.stderr
    assert "1 new rationales" in done.stdout
    assert "these replace the ones they edit" in done.stderr
    assert used(tmp_path, "parrot") == {**before, "train-0": "Better by hand."}
    assert learned(inside, "parrot") == 8
    assert "0 new rationales" in inside("import", fix, "--teacher", "parrot", "--dataset", "toy").stdout
    rows(fix, {"id": "train-0", "rationale": "Better still."})
    assert "1 new rationales" in inside("import", fix, "--teacher", "parrot", "--dataset", "toy").stdout
    assert used(tmp_path, "parrot") == {**before, "train-0": "Better still."}
    assert "0 new rationales" in inside("elicit", "--teacher", "parrot", "--dataset", "toy").stdout


def test_recordings_that_were_not_forced_do_not_join_a_set_that_was(
    inside: Command, scripted: Path, tmp_path: Path
) -> None:
    write_dataset(tmp_path / "toy", train=8)
    assert inside("elicit", "--teacher", "parrot", "--dataset", "toy").returncode == 0
    before = used(tmp_path, "parrot")
    own = rows(tmp_path / "own.jsonl", {"id": "train-0", "rationale": "On my own.", "answer_index": 0})
    done = inside("import", own, "--teacher", "parrot", "--dataset", "toy", "--no-teacher-forcing")
    assert "1 new rationales" in done.stdout
    assert used(tmp_path, "parrot") == before


def test_a_recorded_answer_that_no_option_has_fails_its_question(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=3)
    assert inside("import", "toy").returncode == 0
    items = [{"id": f"train-{n}", "rationale": "so", "answer_index": answer} for n, answer in enumerate((7, -1, 3))]
    done = inside("import", rows(tmp_path / "r.jsonl", *items), "--teacher", "ann", "--dataset", "toy")
    assert "2 new rationales" in done.stdout
    assert "failed: train-0: answer_index 7 is none of the 4 options" in done.stderr


def test_more_samples_than_are_recorded_end_at_once(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=3)
    rows(tmp_path / "r.jsonl", *({"id": "train-0", "rationale": text} for text in ("one", "two")))
    table = (
        '[teachers.ann]\nbackend = "recorded"\npath = "r.jsonl"\n[teachers.x]\nbackend = "scripted"\nreplies = ["a"]\n'
    )
    (tmp_path / "tinyllm.toml").write_text(table, encoding="utf-8")
    done = inside("elicit", "--teacher", "ann", "--dataset", "toy", "--samples", "1000")
    assert done.returncode == 0, done.stderr
    assert "2 new rationales" in done.stdout
    assert "2 questions have none" in done.stdout
    assert inside("elicit", "--teacher", "x", "--dataset", "toy", "--samples", "999999999999").returncode == 2


@pytest.mark.parametrize("name", ["a=b.jsonl", "a\x1b[31m.jsonl", "a\u202e.jsonl"])
def test_a_teacher_from_a_file_name_follows_the_rule_for_names(inside: Command, tmp_path: Path, name: str) -> None:
    folder = write_dataset(tmp_path / "toy", train=1)
    rows(folder / "rationales" / name, {"id": "train-0", "rationale": "so"})
    done = inside("import", "toy")
    assert (done.returncode, "A teacher can't be called" in done.stderr) == (2, True)
    assert inside("import", "toy", "--rename", f"{name.removesuffix('.jsonl')}=ann").returncode in (0, 2)


def test_rationales_may_be_an_array_or_a_table_of_tabs(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=2)
    assert inside("import", "toy").returncode == 0
    items = [{"id": "train-0", "rationale": "a"}, {"id": "train-1", "rationale": "b"}]
    (tmp_path / "r.json").write_text(json.dumps(items, indent=2), encoding="utf-8")
    (tmp_path / "r.tsv").write_text("id\trationale\ntrain-0\ta, b\n", encoding="utf-16")
    assert "2 new" in inside("import", "r.json", "--teacher", "ann", "--dataset", "toy").stdout
    assert "1 new" in inside("import", "r.tsv", "--teacher", "bob", "--dataset", "toy").stdout


def test_a_teacher_to_rename_that_is_not_there_is_refused(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=1)
    done = inside("import", "toy", "--rename", "nobody=b")
    assert (done.returncode, "there are no rationales of 'nobody'" in done.stderr) == (2, True)


def test_recordings_are_read_from_regular_files_only(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=1)
    assert inside("import", "toy").returncode == 0
    os.mkfifo(tmp_path / "r.jsonl")
    done = inside("import", "r.jsonl", "--teacher", "ann", "--dataset", "toy")
    assert (done.returncode, "not a regular file" in done.stderr) == (2, True)
