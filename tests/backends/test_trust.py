"""Figures that could be wrong without a word: diverged trainings, changed questions, lost students, failed replies."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import Command, write_dataset
from tests.models import make_folder


def results(inside: Command) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(inside("report", "--json").stdout)["results"]
    return found


def test_a_training_that_diverges_fails_and_says_so(inside: Command, tmp_path: Path) -> None:
    make_folder(tmp_path / "student", "causal")
    write_dataset(tmp_path / "toy", train=16)
    done = inside("distill", "--alpha", "0", "-d", "toy", "-s", "./student", "--lr", "1e30")
    assert done.returncode == 2
    assert "diverged" in done.stderr
    assert "--lr" in done.stderr
    [run] = json.loads(inside("report", "--json").stdout)["runs"]
    assert run["state"] == "failed"


def test_a_new_database_does_not_take_the_folder_of_an_older_ones_student(inside: Command, tmp_path: Path) -> None:
    make_folder(tmp_path / "student", "causal")
    write_dataset(tmp_path / "toy", train=4)
    train = ("distill", "--alpha", "0", "-d", "toy", "-s", "./student", "--json", "--quiet")
    first = json.loads(inside(*train).stdout)["folder"]
    before = (Path(first) / "model.safetensors").read_bytes()
    for name in ("tinyllm.db", "tinyllm.db-wal", "tinyllm.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    second = json.loads(inside(*train, "--seed", "1").stdout)["folder"]
    assert second != first
    assert (Path(first) / "model.safetensors").read_bytes() == before


def test_questions_that_changed_are_answered_anew(inside: Command, tmp_path: Path) -> None:
    make_folder(tmp_path / "student", "causal")
    write_dataset(tmp_path / "toy", train=1, test=8)
    assert inside("import", "toy").returncode == 0
    ask = ("eval", "--model", "./student", "-d", "toy", "--scoring", "rank", "--limit", "5")
    assert inside(*ask).returncode == 0
    path = tmp_path / "toy" / "test.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    changed = json.loads(lines[0]) | {"question": "Something else?", "answer_index": 3}
    path.write_text("\n".join([*lines[3:], json.dumps(changed)]) + "\n", encoding="utf-8")
    assert inside("import", "toy").returncode == 0
    assert inside(*ask).returncode == 0
    [result] = results(inside)
    assert result["n"] == 5
    assert 0 <= int(str(result["correct"])) <= 5
    assert result["majority"] == 2 / 5


def test_a_failed_reply_is_unparseable_not_a_dead_end(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=1, test=6)
    settings = '[teachers.shy]\nbackend = "scripted"\nreplies = ["Answer: (a)", " "]\n'
    (tmp_path / "tinyllm.toml").write_text(settings, encoding="utf-8")
    ask = ("elicit", "-t", "shy", "-d", "toy", "--split", "test", "--no-teacher-forcing", "--icl", "0", "--json")
    failed = json.loads(inside(*ask).stdout)["teachers"][0]["failed"]
    assert 0 < failed < 6
    assert inside("eval", "--teacher", "shy", "-d", "toy").returncode == 0
    [result] = results(inside)
    assert result["unparseable"] == failed / 6


def test_a_student_whose_generation_config_samples_can_be_saved(inside: Command, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "student", "causal")
    path = folder / "generation_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"temperature": 0.6, "top_p": 0.9}
    path.write_text(json.dumps(config), encoding="utf-8")
    write_dataset(tmp_path / "toy", train=4)
    done = inside("distill", "--alpha", "0", "-d", "toy", "-s", "./student")
    assert done.returncode == 0, done.stderr


def test_a_prompt_is_shown_as_it_is_sent_and_control_characters_are_not_obeyed(
    inside: Command, scripted: Path, tmp_path: Path
) -> None:
    row = {"id": "1", "question": "Is :heart: [bold]x[/bold] \x1b[31mred?", "options": ["yes", "no"], "answer": 0}
    (tmp_path / "odd.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    shown = inside("elicit", "-t", "parrot", "-d", "odd.jsonl", "--icl", "0", "--dry-run").stdout
    assert "Is :heart: [bold]x[/bold] \N{REPLACEMENT CHARACTER}[31mred?" in shown
    assert "\x1b" not in shown


def test_labels_that_are_numbers_are_labels(inside: Command, tmp_path: Path) -> None:
    options = {"text": ["a", "b", "c"], "label": [1, 2, 3]}
    row = {"id": "1", "question": "Which?", "options": options, "answer": 1}
    (tmp_path / "odd.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert inside("import", "odd.jsonl").returncode == 0
    import sqlite3

    with sqlite3.connect(tmp_path / "tinyllm.db") as connection:
        assert connection.execute("SELECT answer FROM questions").fetchall() == [(0,)]
