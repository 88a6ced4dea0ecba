"""Review sheets: what is exported comes back exactly, whatever a spreadsheet or a person does to the file."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.base import Completion, Sampling
from tests.conftest import Command, keep, write_dataset
from tinyllm_cli.audit.reviewers import cohens_kappa
from tinyllm_cli.datasets.catalogue import from_path
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.prompts import recorded_prompt
from tinyllm_cli.ingestion.ingest import ingest
from tinyllm_cli.rationales.review_sheet import SheetRow, escaped, read_sheet, sheet_text, unescaped
from tinyllm_cli.records.elicitation import ElicitationConfig
from tinyllm_cli.records.human_verdicts import HumanVerdict, ReviewableRationale
from tinyllm_cli.store import Store, open_store

GOOD = "Its number is in the list, as the list of things shows."
TEXTS = {"kept": GOOD, "repaired": f"Let's think step by step. {GOOD}", "rejected": "No idea."}
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")) | st.sampled_from(
    ["=1+1", "'=1", "''x", "'Tis so", "'", "-2", "+", "@x", "\tx", "\r\nx", '"a"\n"b"', "a\rb", "a;b,c", "'-'"]
)


@given(text=texts)
def test_a_cell_is_no_formula_and_comes_back(text: str) -> None:
    cell = escaped(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert unescaped(cell) == text


@given(text=texts.filter(str.strip), edited=texts.filter(str.strip), reason=texts)
def test_a_sheet_comes_back_as_it_went_out(
    tmp_path_factory: pytest.TempPathFactory, text: str, edited: str, reason: str
) -> None:
    path = tmp_path_factory.mktemp("sheet") / "sheet.csv"
    question = Question(dataset="=d", split="train", key="-1", text="+q", options=("=a", "@b"), answer=0)
    rationale = ReviewableRationale(id=7, question=question, teacher="=t", text=f"raw {text}")
    row = SheetRow(rationale=rationale, text=text, gates="kept", findings="")
    rows = list(csv.DictReader(io.StringIO(sheet_text([row, row], blind=False, reviewer="ann"), newline="")))
    assert all(unescaped(cell) == cell or cell.startswith("'") for one in rows for cell in one.values())
    rows[0] |= {"verdict": "accept"}
    rows[1] |= {"verdict": "edit", "edited": escaped(edited), "reason": escaped(reason), "reviewer": "bob"}
    write(path, rows)
    found = read_sheet(path, lambda ids: {7: rationale})
    assert found.refused == ()
    first, second = found.verdicts
    assert (first.text, first.reviewer, first.verdict) == (text, "ann", "accept")
    assert (second.text, second.reason, second.reviewer) == (edited.strip(), reason.strip() or None, "bob")


def write(path: Path, rows: list[dict[str, Any]], **style: Any) -> None:
    with path.open("w", encoding=style.pop("encoding", "utf-8"), newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), **style)
        writer.writeheader()
        writer.writerows(rows)


def sheet(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def reviewed(store: Store, inside: Command, tmp_path: Path) -> Command:
    """Two teachers, each with 20 kept, 8 repaired and 2 rejected texts: ids 1 to 60."""
    ingest(store, from_path(write_dataset(tmp_path / "toy", train=30)))
    for teacher in ("ann", "tom"):
        asking = ElicitationConfig(teacher=teacher, backend="scripted", model="m", revision="1", sampling=Sampling())
        store.rationales.add_asking(asking)
        kinds = ["kept"] * 20 + ["repaired"] * 8 + ["rejected"] * 2
        for question, kind in zip(store.questions.iterate("toy", "train"), kinds, strict=True):
            prompt = recorded_prompt(question, teacher_forcing=True)
            keep(store, asking, prompt, 0, Completion(text=TEXTS[kind], finish_reason="stop"))
    return inside


def export(command: Command, name: str, *more: str) -> dict[str, Any]:
    done = command("review", "export", name, "--json", *more)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def imported(command: Command, name: str, *more: str, code: int = 0) -> dict[str, Any]:
    done = command("review", "import", name, "--json", *more)
    assert done.returncode == code, done.stderr
    return dict(json.loads(done.stdout))


def test_a_sample_is_balanced_reproducible_and_blind(reviewed: Command, tmp_path: Path) -> None:
    assert export(reviewed, "a.csv", "--sample", "20")["rationales"] == 20
    rows = sheet(tmp_path / "a.csv")
    assert Counter((row["teacher"], row["gates"]) for row in rows) == {
        (teacher, verdict): count
        for teacher in ("ann", "tom") for verdict, count in (("kept", 4), ("repaired", 4), ("rejected", 2))
    }  # fmt: skip
    assert [row["id"] for row in rows] != sorted(row["id"] for row in rows)
    export(reviewed, "b.csv", "--sample", "20", "--blind", "--reviewer", "bob")
    blind = sheet(tmp_path / "b.csv")
    assert [row["id"] for row in blind] == [row["id"] for row in rows]
    assert set(rows[0]) - set(blind[0]) == {"teacher", "gates", "findings"}
    assert {row["reviewer"] for row in blind} == {"bob"}
    assert not {"ann", "tom", "kept", "rejected"} & {cell for row in blind for cell in row.values()}
    assert {row["text"] for row in rows if row["gates"] != "rejected"} == {GOOD}, "as the repairs leave it"
    export(reviewed, "c.csv", "--sample", "20", "--seed", "1")
    assert {row["id"] for row in sheet(tmp_path / "c.csv")} != {row["id"] for row in rows}
    for row in rows:
        assert reviewed("gate", "--reject", row["id"], "--because", "no").returncode == 0
    export(reviewed, "d.csv", "--sample", "20")
    assert (tmp_path / "d.csv").read_bytes() == (tmp_path / "a.csv").read_bytes(), "also for a second reviewer"
    assert export(reviewed, "e.csv", "--sample", "500", "--teacher", "tom")["rationales"] == 30


def test_a_sheet_is_imported_once(reviewed: Command, tmp_path: Path) -> None:
    export(reviewed, "a.csv", "--sample", "12", "--blind")
    rows = sheet(tmp_path / "a.csv")
    rows[0] |= {"verdict": "accept"}
    rows[1] |= {"verdict": " Reject ", "reason": "wrong"}
    rows[2] |= {"verdict": "EDIT", "edited": "A text of my own, =not a formula"}
    write(tmp_path / "a.csv", rows[::-1], encoding="utf-16", delimiter=";")
    found = imported(reviewed, "a.csv", "--reviewer", "bob")
    assert (found["verdicts"], found["new"], found["blank"]) == (3, 3, 9)
    assert imported(reviewed, "a.csv", "--reviewer", "bob")["new"] == 0
    os.utime(tmp_path / "a.csv")  # a copy is as new as its copying
    assert imported(reviewed, "a.csv", "--reviewer", "bob")["new"] == 0
    assert imported(reviewed, "a.csv", "--reviewer", "eve")["new"] == 3, "another reader of the same sheet"
    with open_store(tmp_path / "tinyllm.db") as store:
        ids = [int(row["id"]) for row in rows[:3]]
        assert [len(store.human_verdicts.history(id)) for id in ids] == [2, 2, 2]
        assert store.human_verdicts.latest(ids)[ids[2]].text == "A text of my own, =not a formula"


def test_an_older_offline_verdict_does_not_replace_a_newer_one(reviewed: Command, tmp_path: Path) -> None:
    export(reviewed, "a.csv", "--sample", "2")
    rows = sheet(tmp_path / "a.csv")
    for row in rows:
        row |= {"verdict": "accept", "reviewer": "off"}
    rows[1]["time"] = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    write(tmp_path / "a.csv", rows)
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).timestamp()
    os.utime(tmp_path / "a.csv", (hour_ago, hour_ago))
    first, second = (int(row["id"]) for row in rows)
    with open_store(tmp_path / "tinyllm.db") as store:
        half = (datetime.now(UTC) - timedelta(minutes=30)).isoformat(timespec="milliseconds")
        online = [
            HumanVerdict(rationale=id, reviewer="on", at=half, verdict="reject", reason="no") for id in (first, second)
        ]
        store.human_verdicts.add(online)
        assert imported(reviewed, "a.csv")["new"] == 2
        assert store.human_verdicts.latest([first, second])[first].reviewer == "on"
        assert store.human_verdicts.latest([first, second])[second].reviewer == "off"
        assert [one.reviewer for one in store.human_verdicts.history(first)] == ["off", "on"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"verdict": "maybe"}, "'maybe' is no verdict; write accept, reject, edit"),
        ({"verdict": "reject"}, "'reject' needs a reason"),
        ({"verdict": "edit"}, "'edit' needs a text"),
        ({"verdict": "accept", "edited": "x"}, "it has an edited text, and the verdict 'accept'"),
        ({"reason": "x"}, "'' is no verdict"),
        ({"verdict": "accept", "id": "999"}, "this database has no rationale '999'"),
        ({"verdict": "accept", "id": "=1"}, "this database has no rationale '=1'"),
        ({"verdict": "accept", "text": "Other."}, "its text, id or check was changed"),
        ({"verdict": "accept", "id": "1"}, "its text, id or check was changed"),
        ({"verdict": "accept", "reviewer": "../x"}, "A reviewer can't be called"),
        ({"verdict": "accept", "reviewer": ""}, "it names no reviewer"),
        ({"verdict": "accept", "time": "yesterday"}, "'yesterday' is no time"),
        ({"verdict": "accept", "time": "2999-01-01"}, "is in the future"),
    ],
)
def test_a_bad_row_is_refused_with_its_number(
    reviewed: Command, tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    export(reviewed, "a.csv", "--sample", "4", "--seed", "3")
    rows = sheet(tmp_path / "a.csv")
    assert rows[1]["id"] != "1"
    for row in rows[:3]:
        row |= {"verdict": "accept", "reviewer": "bob"}
    rows[1] |= {"verdict": ""} | change
    write(tmp_path / "a.csv", rows)
    found = imported(reviewed, "a.csv", code=1)
    [refused] = found["refused"]
    assert (found["new"], refused["row"], reason in refused["reason"]) == (2, 3, True), refused
    assert f"a.csv, row 3: {refused['reason']}" in reviewed("review", "import", "a.csv").stderr


def test_a_file_that_is_no_sheet_is_refused(reviewed: Command, tmp_path: Path) -> None:
    (tmp_path / "quiz.csv").write_text("id,question\n1,what\n", encoding="utf-8")
    (tmp_path / "mine.csv").write_text("filled in", encoding="utf-8")
    for arguments, message in (
        (("import", "quiz.csv"), "is not a review sheet: it has no column 'text'."),
        (("import", "nowhere.csv"), "There is no file nowhere.csv."),
        (("import", "tinyllm.db"), "is not a file that tinyllm reads"),
        (("import",), "Which sheet does import mean?"),
        (("summary", "a.csv"), "review summary takes no file."),
        (("export", "mine.csv"), "mine.csv exists: somebody may have filled it in."),
        (("export", "a.txt"), "does not end in .csv"),
        (("export", "a.csv", "--split", "valid"), "No data set has rationales for its valid split."),
        (("export", "a.csv", "--reviewer", " "), "A reviewer can't be called"),
    ):
        done = reviewed("review", *arguments)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert (tmp_path / "mine.csv").read_text(encoding="utf-8") == "filled in"


def test_the_summary_compares_people_and_gates(reviewed: Command, tmp_path: Path) -> None:
    assert "No rationale was reviewed yet." in reviewed("review").stdout
    export(reviewed, "a.csv", "--sample", "12")
    rows = sheet(tmp_path / "a.csv")  # 4 rejected by the gates, as too short
    rejected = [row["id"] for row in rows if row["gates"] == "rejected"]
    others = [row["id"] for row in rows if row["gates"] != "rejected"]
    assert (len(rejected), len(others)) == (4, 8)
    bad = {*rejected[:3], *others[:3]}
    for row in rows:
        row |= {"reviewer": "ann"} | (
            {"verdict": "reject", "reason": "bad"} if row["id"] in bad else {"verdict": "accept"}
        )
    write(tmp_path / "a.csv", rows)
    imported(reviewed, "a.csv")
    for row in rows:
        row |= {"reviewer": "bob"}
        if row["id"] == others[0]:
            row |= {"verdict": "accept", "reason": ""}
    write(tmp_path / "a.csv", [row for row in rows if row["id"] in [*rejected[:1], *others[:5]]])
    os.utime(tmp_path / "a.csv")
    imported(reviewed, "a.csv")
    found = json.loads(reviewed("review", "--json", "--dataset", "toy").stdout)
    assert (found["reviewed"], found["unfit"], found["verdicts"]) == (12, 5, 18), "bob's later accept counts"
    assert found["reviewers"] == [
        {"reviewer": "ann", "accepted": 6, "rejected": 6, "edited": 0},
        {"reviewer": "bob", "accepted": 3, "rejected": 3, "edited": 0},
    ]
    [pair] = found["pairs"]
    assert (pair["first"], pair["second"], pair["shared"]) == ("ann", "bob", 6)
    assert pair["same"] == pytest.approx(5 / 6)
    assert pair["kappa"] == pytest.approx((5 / 6 - 1 / 2) / (1 / 2))
    by_gate = {one["gate"]: one for one in found["gates"]}
    assert by_gate["too-short"] == {"gate": "too-short", "rejects": 4, "right": 3, "precision": 0.75, "recall": 0.6}
    assert by_gate["any gate"]["precision"] == 0.75
    shown = reviewed("review").stdout
    assert "Cohen's kappa" in shown
    assert "0.67" in shown


def test_kappa_by_hand() -> None:
    pairs = [("a", "a")] * 20 + [("a", "b")] * 5 + [("b", "a")] * 10 + [("b", "b")] * 15
    assert cohens_kappa(pairs) == pytest.approx(0.4)  # Wikipedia's example
    assert cohens_kappa([("a", "a")] * 3) is None
    assert cohens_kappa([("a", "b")] * 3) == 0
