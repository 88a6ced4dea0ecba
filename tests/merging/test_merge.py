"""What merging does with rows that differ, with other versions, and with what can't be merged."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backends.base import Completion, Failure, Sampling
from tests.conftest import SCRIPTED, Command, keep, write_dataset
from tests.merging.stores import QUESTIONS, asking, content, opened, prompt_for
from tests.store.test_old_database import DUMP
from tinyllm_cli.errors import Busy, UsageProblem
from tinyllm_cli.merging.merge import check_paths, merge
from tinyllm_cli.merging.split import split
from tinyllm_cli.records.elicitation import ElicitationConfig, Recipe
from tinyllm_cli.records.human_verdicts import HumanVerdict
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.store.migrations import APPLICATION_ID

PARROT = asking("parrot")
FIRST = QUESTIONS[0]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    template = tmp_path / "template.db"
    with opened(tmp_path / "a.db", template) as here, opened(tmp_path / "b.db", template) as there:
        for store in (here, there):
            store.rationales.add_asking(PARROT)
        yield here, there


def reply(store: Store, text: str, config: ElicitationConfig = PARROT, sample: int = 0) -> int:
    store.rationales.add_asking(config)
    keep(store, config, prompt_for(FIRST), sample, Completion(text=text, finish_reason="stop"))
    row = store.one("SELECT id FROM rationales WHERE text = ?", (text,))
    assert row is not None
    return int(row["id"])


def said(rationale: int, who: str, day: int, verdict: str = "reject") -> HumanVerdict:
    at = f"2026-01-0{day}T00:00:00.000+00:00"
    text = None if verdict == "reject" else "Better."
    return HumanVerdict(
        rationale=rationale,
        reviewer=who,
        at=at,
        verdict=verdict,
        text=text,
        reason="why",
        sheet=None,  # type: ignore[arg-type]
    )


def test_both_human_verdicts_are_kept_and_the_later_one_counts(two: tuple[Store, Store]) -> None:
    here, there = two
    reply(there, "Other.", sample=1)
    mine, theirs = reply(here, "Because."), reply(there, "Because.")
    assert mine != theirs
    here.human_verdicts.add([said(mine, "ann", 3)])
    there.human_verdicts.add([said(theirs, "bo", 2, "edit"), said(theirs, "ann", 5, "accept")])
    merge(here, there.path)
    assert [(one.reviewer, one.verdict) for one in here.human_verdicts.history(mine)] == [
        ("bo", "edit"), ("ann", "reject"), ("ann", "accept")
    ]  # fmt: skip
    assert here.human_verdicts.latest([mine])[mine].verdict == "accept"
    there.human_verdicts.add([said(theirs, "bo", 4, "reject")])
    done = merge(here, there.path)
    assert (done.tables["human_verdicts"].new, done.changes) == (1, 1)
    assert here.human_verdicts.latest([mine])[mine].verdict == "accept"


def test_other_replies_to_the_same_request_become_further_samples(two: tuple[Store, Store]) -> None:
    here, there = two
    mine = reply(here, "Mine.")
    for sample, text in enumerate(("Theirs.", "Second.", "Theirs too.")):
        reply(there, text, sample=sample)
    there.human_verdicts.add([said(reply(there, "Theirs."), "bo", 1)])
    done = merge(here, there.path)
    rows = {row["text"]: row["sample"] for row in here.rows("SELECT text, sample FROM rationales")}
    assert (rows, done.samples) == ({"Mine.": 0, "Second.": 1, "Theirs too.": 2, "Theirs.": 3}, 1)
    assert here.human_verdicts.history(mine) == []
    [[verdict]] = here.human_verdicts.everything()
    assert here.one("SELECT text FROM rationales WHERE id = ?", (verdict.rationale,)) == {"text": "Theirs."}
    assert merge(here, there.path).changes == 0


def test_a_reply_removes_a_failure_and_the_later_failure_stays(two: tuple[Store, Store]) -> None:
    here, there = two
    for store, reason in ((here, "early"), (there, "late")):
        for sample in (0, 1):
            keep(store, PARROT, prompt_for(FIRST), sample, Failure(reason=reason, attempts=1))
    there.execute("UPDATE failures SET at = '2027-01-01'")
    reply(there, "Because.", sample=1)
    merge(here, there.path)
    assert list(here.rows("SELECT sample, reason FROM failures")) == [{"sample": 0, "reason": "late"}]
    merge(there, here.path)
    assert content(there)["failures"] == content(here)["failures"]


def test_a_rationale_that_a_correction_replaced_stays_replaced(two: tuple[Store, Store]) -> None:
    """The older text comes later, with a greater number."""
    here, there = two
    reply(here, "Corrected.")
    keep(there, PARROT, prompt_for(FIRST, icl=2), 0, Completion(text="Old.", finish_reason="stop"))
    there.execute("UPDATE rationales SET created = '2025-01-01T00:00:00.000+00:00'")
    merge(here, there.path)
    here.execute("UPDATE prompts SET recipe = ?", (prompt_for(FIRST).recipe.name,))
    [known] = here.rationales.variants("toy", "train")
    assert [one.text for one in here.rationales.of(list(here.questions.iterate("toy", "train")), known)] == [
        "Corrected."
    ]
    old = here.one("SELECT id FROM rationales WHERE text = 'Old.'")
    new = here.one("SELECT id FROM rationales WHERE text = 'Corrected.'")
    assert old is not None
    assert new is not None
    assert old["id"] > new["id"]
    assert here.human_verdicts.replaced_by(old["id"]) == new["id"]
    assert here.human_verdicts.replaced_by(new["id"]) is None


def test_an_open_batch_keeps_its_requests_until_one_database_has_collected_it(two: tuple[Store, Store]) -> None:
    here, there = two
    with there.elicitations.working(PARROT, "toy", "train", Recipe()) as worker:
        prompt = prompt_for(FIRST)
        there.rationales.add_prompts([prompt])
        worker.claim([(prompt.hash, 0)])
        number = there.batches.begin(worker, "http://here", "token")
        there.batches.fill(number, worker, [(prompt, 0)])
        there.batches.seen(number, "batch-1", "in_progress")
        worker.finish("done", [])
    merge(here, there.path)
    [batch] = here.batches.open_ones("parrot")
    assert (batch.id, here.batches.held(PARROT, [prompt.hash])) == ("batch-1", {(prompt.hash, 0)})
    with pytest.raises(Busy, match="A batch of parrot is not collected yet"):
        split(here, here.path.parent / "shards", 2)
    [theirs] = there.batches.open_ones("parrot")
    there.batches.settle(theirs, PARROT, [((prompt.hash, 0), Completion(text="So.", finish_reason="stop"))])
    there.batches.close(theirs, "completed", None, alone=True)
    done = merge(here, there.path)
    assert (done.tables["batches"].updated, done.tables["rationales"].new) == (1, 1)
    assert here.batches.open_ones("parrot") == []
    assert content(here) == content(there)
    assert merge(here, there.path).changes == 0


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"model": "other"}, 'model is "m" here and "other" there'),
        ({"sampling": Sampling(temperature=0.7, max_tokens=9)}, "temperature is 0.0 here and 0.7 there, max_tokens is"),
    ],
)
def test_a_teacher_with_other_settings_is_refused(
    two: tuple[Store, Store], changes: dict[str, Any], shown: str
) -> None:
    here, there = two
    reply(here, "Mine.")
    there.execute("DELETE FROM samplings")
    reply(there, "Theirs.", asking("parrot", **changes))
    before = content(here)
    with pytest.raises(UsageProblem) as refused:
        merge(here, there.path, trial=True)
    assert shown in str(refused.value)
    assert "tinyllm rename teacher parrot NAME --db" in refused.value.hint
    assert content(here) == before
    reply(there, "Mine.")  # both have had the same settings: one teacher, two sets of rationales
    merge(here, there.path)
    assert len(here.rationales.variants("toy")) == 2


def test_another_data_set_of_the_same_name_is_refused(two: tuple[Store, Store]) -> None:
    here, there = two
    there.questions.replace("toy", "there", "2", [*QUESTIONS[1:4], *QUESTIONS[4:]])
    with pytest.raises(UsageProblem, match="train has 4 questions here and 3 there, and 'train-0' differs"):
        merge(here, there.path)
    there.questions.replace("toy", "there", "2", QUESTIONS[:4])  # one split less
    assert merge(here, there.path).changes == 0
    merge(there, here.path)
    assert there.questions.splits("toy") == {"train": 4, "test": 2}


def test_the_same_file_twice_is_refused_also_by_way_of_a_link(two: tuple[Store, Store], tmp_path: Path) -> None:
    here, there = two
    link = tmp_path / "link.db"
    link.symlink_to(there.path)
    for paths, words in (
        ([here.path], "is the database to merge into"),
        ([there.path, there.path], "is named twice"),
        ([there.path, link], "is named twice, also as"),
        ([tmp_path / "none.db", tmp_path / "none.db"], "is named twice"),
    ):
        with pytest.raises(UsageProblem, match=words):
            check_paths(here.path, paths)


def test_a_database_of_version_0_1_is_merged_and_stays_as_it_is(tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old, isolation_level=None)) as db:
        db.executescript(DUMP.read_text(encoding="utf-8"))
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        counts = {
            table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("questions", "rationales", "runs", "predictions", "cells", "claims")
        }
    before = hashlib.sha256(old.read_bytes()).hexdigest()
    with open_store(tmp_path / "new.db") as store:
        merge(store, old)
        for table, count in counts.items():
            assert store.one(f"SELECT count(*) AS n FROM {table}") == {"n": count}, table
        assert merge(store, old).changes == 0
        assert not list(store.upkeep.dangling())
    assert hashlib.sha256(old.read_bytes()).hexdigest() == before
    assert {path.name for path in tmp_path.iterdir()} == {"old.db", "new.db"}


def test_shards_ask_what_one_database_would_ask_and_nothing_twice(inside: Command, tmp_path: Path) -> None:
    """Eleven questions in three shards; one was answered before, two samples each."""
    write_dataset(tmp_path / "toy", train=11)
    (tmp_path / "tinyllm.toml").write_text(SCRIPTED, encoding="utf-8")
    words = ("elicit", "--teacher", "parrot", "--dataset", "toy", "--samples", "2", "--temperature", "0.5")
    for command in (("import", "toy"), (*words, "--limit", "1"), ("split", "--shards", "3", "--out", "parts")):
        assert inside(*command).returncode == 0
    assert inside("backup", "whole.db").returncode == 0
    files = sorted(str(path) for path in (tmp_path / "parts").iterdir())
    assert [Path(path).name for path in files] == [f"tinyllm-{number}-of-3.db" for number in (1, 2, 3)]
    asked = []
    for path in files:
        done = inside(*words, "--db", path, "--json")
        assert done.returncode == 0, done.stderr
        assert "A shard: it asks about" in done.stderr
        asked.append(json.loads(done.stdout)["teachers"][0]["new"])
    assert asked == [6, 8, 6]
    assert inside("merge", *files[1:], "--dry-run").returncode == 0
    assert inside("merge", *files, "--json").returncode == 0
    again = json.loads(inside(*words, "--json").stdout)["teachers"][0]
    assert (again["new"], again["already"]) == (0, 22)
    assert inside(*words, "--db", "whole.db").returncode == 0
    identity = "SELECT question, teacher, prompt, sampling, sample FROM rationales ORDER BY 1, 5"
    with open_store(tmp_path / "tinyllm.db") as one, open_store(tmp_path / "whole.db") as other:
        assert list(one.rows(identity)) == list(other.rows(identity))
        calls = "SELECT sum(calls) AS n FROM elicitations"
        assert one.one(calls) == other.one(calls) == {"n": 22}
    assert inside("merge", *files).stdout.count("nothing new") == 3
    assert inside("delete", "dataset", "toy", "--yes", "--db", files[0]).returncode == 0
    assert inside("check", "--db", files[0]).returncode == 0


def test_a_shard_can_be_split_again(two: tuple[Store, Store], tmp_path: Path) -> None:
    here, _ = two
    [first, _] = split(here, tmp_path / "shards", 2)
    with open_store(Path(first.path)) as shard:
        parts = split(shard, tmp_path / "parts", 3)
    assert [one.questions for one in parts] == [1, 1, 1]
    with open_store(Path(parts[0].path)) as part:
        assert part.questions.count_to_ask("toy", "train") + part.questions.count_to_ask("toy", "test") == 1


def test_split_is_refused_where_it_would_ask_twice_or_overwrite(two: tuple[Store, Store], tmp_path: Path) -> None:
    here, _ = two
    with pytest.raises(UsageProblem, match="6 questions, fewer than 7 shards"):
        split(here, tmp_path / "shards", 7)
    with here.elicitations.working(PARROT, "toy", "train", Recipe()) as worker:
        with pytest.raises(Busy, match="parrot is being asked about toy"):
            split(here, tmp_path / "shards", 2)
        worker.finish("done", [])
    split(here, tmp_path / "shards", 2)
    before = sorted(path.name for path in (tmp_path / "shards").iterdir())
    with pytest.raises(UsageProblem, match="exists"):
        split(here, tmp_path / "shards", 2)
    assert sorted(path.name for path in (tmp_path / "shards").iterdir()) == before == ["a-1-of-2.db", "a-2-of-2.db"]
