"""`tinyllm gate` as a user runs it, and what `distill` makes of its verdicts."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.conftest import Command, write_dataset
from tests.models import make_folder

REPLIES = [
    "It stands in the list, as one sees at once.",
    "Let's think step by step. It stands in the list, as one sees [bold]at once[/bold].",
    "Because.\x1b[31m",
    "It stands in the list, as one sees at once. Therefore the",
]
MIXED = f"""
[teachers.mixed]
backend = "scripted"
replies = {json.dumps(REPLIES)}
"""


def prepared(tinyllm: Command, folder: Path, gates: str = "") -> None:
    (folder / "tinyllm.toml").write_text(MIXED + gates, encoding="utf-8")
    write_dataset(folder / "toy", train=24, valid=4)
    asked = tinyllm("elicit", "--teacher", "mixed", "--dataset", "toy")
    assert asked.returncode == 0, asked.stderr


EVIL = "[/b]ev[red]il\x1b[2J"


def test_the_names_of_data_sets_and_teachers_are_no_markup_and_steer_no_terminal(
    inside: Command, tmp_path: Path
) -> None:
    toml = f'[teachers.teacher]\nbackend = "scripted"\nreplies = {json.dumps(REPLIES)}\n'
    (tmp_path / "tinyllm.toml").write_text(toml, encoding="utf-8")
    folder = write_dataset(tmp_path / "toy", train=24, valid=4, test=4)
    refused = inside("import", str(folder), "--name", f"d{EVIL}")
    assert (refused.returncode, "\x1b" in refused.stderr) == (2, False)
    assert inside("import", str(folder), "--name", "data").returncode == 0
    with sqlite3.connect(tmp_path / "tinyllm.db") as connection:  # as an earlier tinyllm took it
        connection.execute("UPDATE datasets SET name = ?", (f"d{EVIL}",))
        connection.execute("UPDATE dataset_questions SET dataset = ?", (f"d{EVIL}",))
    for split in ("train", "test"):
        ask = ["elicit", "--teacher", "teacher", "--dataset", f"d{EVIL}", "--split", split, "--no-teacher-forcing"]
        asked = inside(*ask)
        assert asked.returncode == 0, asked.stderr
    with sqlite3.connect(tmp_path / "tinyllm.db") as connection:
        for table in ("rationales", "elicitations"):
            connection.execute(f"UPDATE {table} SET teacher = ?", (f"t{EVIL}",))
    answered = inside("eval", "--teacher", f"t{EVIL}", "--dataset", f"d{EVIL}")
    assert answered.returncode == 0, answered.stderr
    for command in (["gate"], ["audit"], ["report", "--html", "page.html"], ["inspect", "train-1"]):
        done = inside(*command)
        assert done.returncode == 0, done.stderr
        assert "[/b]ev[red]il" in done.stdout.replace("\n", ""), command
        assert "\x1b" not in done.stdout + done.stderr, command


def test_a_teacher_that_wrote_nothing_for_these_questions_has_no_share(inside: Command, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "toy", train=9, valid=4)
    (folder / "rationales").mkdir()
    row = {"id": "train-8", "rationale": REPLIES[0]}
    (folder / "rationales" / "ann.train.jsonl").write_text(json.dumps(row), encoding="utf-8")
    assert inside("import", str(folder)).returncode == 0
    done = inside("gate", "--limit", "3", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["teachers"][0]["rationales"] == 0


def test_verdicts_are_shown_and_kept(inside: Command, tmp_path: Path) -> None:
    prepared(inside, tmp_path)
    done = inside("gate", "--show", "boilerplate", "--samples", "1")
    assert done.returncode == 0, done.stderr
    assert "Verdicts on toy/train" in done.stdout
    assert "opens with 'Let's think step by step.'" in " ".join(done.stdout.split())
    assert "[bold]at once[/bold]" in " ".join(done.stdout.split()), "a teacher's words are no markup"
    assert "\x1b" not in done.stdout
    found = json.loads(inside("gate", "--json").stdout)
    [mixed] = found["teachers"]
    assert mixed["rationales"] == 24 == mixed["kept"] + mixed["repaired"] + mixed["rejected"]
    assert min(mixed["kept"], mixed["repaired"], mixed["rejected"]) > 0
    with closing(sqlite3.connect(tmp_path / "tinyllm.db")) as connection:
        stored = dict(connection.execute("SELECT verdict, count(*) FROM verdicts GROUP BY 1").fetchall())
    assert stored == {name: mixed[name] for name in ("kept", "repaired", "rejected")}


def test_a_reason_that_quotes_the_teacher_steers_no_terminal(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=4, valid=4)
    (tmp_path / "toy" / "rationales").mkdir()
    row = {
        "id": "train-1",
        "rationale": "Let's think\x1b[2J\u202e step by step. It stands in the list, as one sees at once.",
    }
    (tmp_path / "toy" / "rationales" / "ann.train.jsonl").write_text(json.dumps(row), encoding="utf-8")
    assert inside("import", str(tmp_path / "toy")).returncode == 0
    done = inside("gate", "--show", "boilerplate")
    assert "opens with 'Let's think\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER} step by" in " ".join(
        done.stdout.split()
    )
    assert not {"\x1b", "\u202e"} & set(done.stdout)


def test_distill_learns_what_the_gates_leave(inside: Command, tmp_path: Path) -> None:
    prepared(inside, tmp_path)
    make_folder(tmp_path / "student", "causal")
    [mixed] = json.loads(inside("gate", "--json").stdout)["teachers"]
    train = ("distill", "--alpha", "mixed=1", "--student", "student", "--json")
    gated, raw = (json.loads(inside(*train, *more).stdout) for more in ((), ("--no-gates",)))
    assert gated["run"] != raw["run"]
    assert gated["figures"]["tasks"]["mixed"] == mixed["kept"] + mixed["repaired"]
    assert raw["figures"]["tasks"]["mixed"] == 24
    with closing(sqlite3.connect(tmp_path / "tinyllm.db")) as connection:
        rows = connection.execute("SELECT settings, sources FROM runs ORDER BY id").fetchall()
        [hash] = connection.execute("SELECT hash FROM gates").fetchone()
    settings, lineage = (json.loads(text) for text in rows[0])
    assert settings["gates"] == hash
    assert sum(lineage["mixed"]["rejected"].values()) == mixed["rejected"]
    assert "gates" not in json.loads(rows[1][0])
    again = json.loads(inside(*train).stdout)
    assert again["run"] == gated["run"]


def test_gates_that_reject_everything_say_so(inside: Command, tmp_path: Path) -> None:
    prepared(inside, tmp_path, "\n[gates]\nmin_words = 100\n")
    done = inside("distill", "--alpha", "mixed=1", "--student", "student")
    assert done.returncode == 2
    assert "The gates reject every rationale of mixed for toy (too-short" in done.stderr
    assert "--no-gates" in done.stderr


def test_wrong_names_are_errors(inside: Command, tmp_path: Path) -> None:
    assert "tinyllm elicit" in inside("gate", "--db", "none.db").stderr
    prepared(inside, tmp_path)
    for arguments, message in (
        (("--show", "cutoff"), "There is no gate 'cutoff'"),
        (("--teacher", "nobody"), "no teacher called 'nobody'"),
        (("--dataset", "riddle"), "no data set called 'riddle'"),
        (("--split", "valid"), "No data set has rationales for its valid split"),
        (("--split", "valid", "--dataset", "toy"), "tinyllm elicit --teacher NAME --dataset toy --split valid"),
        (("--split", "tset", "--dataset", "toy"), "'tset' is not one of"),
    ):
        done = inside("gate", *arguments)
        assert done.returncode == 2
        assert message in done.stderr
    (tmp_path / "tinyllm.toml").write_text("[gates]\nmin_word = 3\n", encoding="utf-8")
    assert "[gates] has no setting 'min_word'" in inside("gate").stderr
