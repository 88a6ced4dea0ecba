"""The audit of a large store: a sample represents it, and what the database counts is counted on all."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.base import Completion, Sampling
from tests.conftest import Command, keep, make_questions, write_dataset
from tinyllm_cli.audit.sampling import Reading, sample_sizes
from tinyllm_cli.audit.summary import Survey, Surveyor
from tinyllm_cli.audit.teacher_stats import TeacherSet, VerdictCount, stored_verdicts
from tinyllm_cli.elicitation.prompts import build_prompt
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.rationales.known_sets import KnownSets
from tinyllm_cli.rationales.verdicts import judged
from tinyllm_cli.records.elicitation import ElicitationConfig, Recipe
from tinyllm_cli.records.human_verdicts import HumanVerdict
from tinyllm_cli.store import Store, open_store

GATES = GateSettings()
TEXTS = ("It follows from light, which every plant needs.", "Short.", "It is so. " * 9, "", "The answer is thing 0 c.")
WHEN = "2026-01-01T00:00:00.000+00:00"


def write(store: Store, teacher: str, number: int, text: str, sample: int = 0, icl: int = 0) -> None:
    """A reply to question `number`; with another `icl`, of another recipe, or a second prompt of the same one."""
    questions = make_questions(20)
    config = ElicitationConfig(teacher=teacher, backend="scripted", model="m", revision="1", sampling=Sampling())
    store.rationales.add_asking(config)
    prompt = build_prompt(questions[number], Recipe(icl=icl), questions[-icl:] if icl else [])
    keep(store, config, prompt, sample, Completion(text=text, finish_reason="stop"))


@pytest.fixture
def large(store: Store) -> Store:
    """Twenty questions, of which two teachers explain nineteen."""
    store.questions.replace("toy", "here", "1", [*make_questions(20), *make_questions(3, split="test")])
    for number in range(19):
        write(store, "t5", number, TEXTS[number % 3])
        write(store, "parrot", number, TEXTS[number % 2])
    return store


def read(store: Store, texts: int | None, questions: int | None = None) -> Survey:
    reading = Reading(texts=texts, questions=questions)
    return Surveyor(store=store, sets=KnownSets(store), gates=GATES, reading=reading).survey("toy")


@pytest.mark.parametrize("count", [20, 21, 10**9])
def test_a_sample_of_all_is_no_sample(large: Store, count: int) -> None:
    assert asdict(read(large, count, count)) == asdict(read(large, None))


def test_what_the_database_counts_is_of_all_and_texts_are_of_the_sample(large: Store) -> None:
    whole = {one.teacher: one for one in read(large, None).teachers}
    large.execute("DELETE FROM verdicts")
    found = read(large, 5)
    assert found.sampled == {"train": 5}
    for one in found.teachers:
        exact = whole[one.teacher]
        assert (one.questions, one.covered, one.rationales, one.failed) == (20, 19, 19, 0)
        assert (one.sampled, one.judged_questions, one.missing) == (5, 5, 1), "the store has no verdicts on the others"
        assert one.kept + one.repaired + one.rejected == one.judged == one.texts <= 5
        assert (exact.sampled, exact.judged, exact.judged_questions) == (None, 19, 20)
    verdicts = large.one("SELECT count(*) AS n FROM verdicts")
    assert verdicts == {"n": sum(one.texts for one in found.teachers)}, "only rationales of the sample are judged"


def test_stored_verdicts_are_counted_on_all(large: Store) -> None:
    names = ("kept", "repaired", "rejected", "usable", "gates", "against", "rejected_by", "judged", "judged_questions")
    whole = {one.teacher: asdict(one) for one in read(large, None).teachers}
    for one in read(large, 5).teachers:
        assert one.texts <= 5
        assert {name: asdict(one)[name] for name in names} == {name: whole[one.teacher][name] for name in names}


def test_a_sample_is_the_same_in_any_order_and_part_of_a_larger_one(large: Store, tmp_path: Path) -> None:
    small = {one.key for one in large.samples.iterate("toy", "train", 5)}
    with open_store(tmp_path / "other.db") as other:
        other.questions.replace("toy", "here", "1", reversed(make_questions(20)))
        assert {one.key for one in other.samples.iterate("toy", "train", 5)} == small
    assert small < {one.key for one in large.samples.iterate("toy", "train", 9)}
    positions = large.samples.positions("toy", "train", 9)
    assert len(positions) == 9
    assert positions == sorted(positions)
    assert sample_sizes(large, "toy", 9) == {"train": 9}
    assert [one.key for one in large.samples.iterate("toy", "test", 9)] == ["test-0", "test-1", "test-2"]


def test_questions_with_one_content_are_in_a_sample_together(store: Store) -> None:
    first = make_questions(1)[0]
    store.questions.replace("toy", "here", "1", [replace(first, key=str(number)) for number in range(4)])
    assert store.samples.bound("toy", "train", 2) is None
    assert len(list(store.samples.iterate("toy", "train", 2))) == 4
    assert sample_sizes(store, "toy", 2) == {}


REPLIES = st.lists(
    st.tuples(
        st.integers(0, 5), st.sampled_from(TEXTS), st.integers(0, 2), st.sampled_from([0, 0, 2, 3]),
        st.sampled_from([None, None, "accept", "reject", "edit"]),
    ),
    max_size=12,
)  # fmt: skip


@given(replies=REPLIES)
def test_counts_of_the_database_are_those_of_reading(
    replies: list[tuple[int, str, int, int, str | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Several samples, recipes and prompts, with and without a person's verdict."""
    with open_store(tmp_path_factory.mktemp("counts") / "tinyllm.db") as store:
        store.questions.replace("toy", "here", "1", make_questions(6))
        for number, text, sample, icl, human in replies:
            write(store, "t5", number, text, sample, icl)
            row = store.one("SELECT max(id) AS id FROM rationales")
            if human is not None and row is not None:
                decide(store, row["id"], human)
        rows = list(
            store.rows("SELECT r.question, r.sample, p.recipe FROM rationales r JOIN prompts p ON hash = prompt")
        )
        known = {one.recipe.name: one for one in store.rationales.variants("toy", "train")}
        assert known.keys() == {row["recipe"] for row in rows}
        for name, one in known.items():
            own = [row for row in rows if row["recipe"] == name]
            assert one.rationales == len(own)
            assert one.questions == len({row["question"] for row in own})
            assert one.samples == 1 + max(row["sample"] for row in own)
            distinct = {(row["question"], row["sample"]) for row in own}
            assert store.rationale_stats.distinct("toy", "train", one) == len(distinct)
            assert store.rationale_stats.replies("toy", "train", one) == len(distinct)
            counted = VerdictCount(questions=6)
            for rationale in judged(store, store.questions.iterate("toy", "train"), one, GATES):
                counted.add(rationale.rationale.position, rationale.verdict)
            place = TeacherSet(dataset="toy", split="train", questions=6, read=1, source=one)
            assert stored_verdicts(store, place, GATES) == counted


def decide(store: Store, rationale: int, verdict: str) -> None:
    text = None if verdict == "reject" else TEXTS[0]
    store.human_verdicts.add(
        [HumanVerdict(rationale=rationale, reviewer="anna", at=WHEN, verdict=verdict, text=text, reason="So.")]
    )


def test_a_renamed_teacher_s_rationales_are_counted(large: Store) -> None:
    large.execute("UPDATE rationales SET teacher = 'flan' WHERE teacher = 't5'")
    found = Counter({one.teacher: one.rationales for one in large.rationales.variants("toy", "train")})
    assert found == {"flan": 19, "parrot": 19}


def test_counts_and_samples_read_indexes(large: Store) -> None:
    queries: list[str] = []
    large.connection.set_trace_callback(queries.append)
    large.rationales.variants("toy", "train")
    large.samples.positions("toy", "train", 5)
    large.rationales.datasets_with_rationales()
    large.connection.set_trace_callback(None)
    with closing(sqlite3.connect(large.path)) as plain:
        plan = [row[3] for query in queries for row in plain.execute(f"EXPLAIN QUERY PLAN {query}")]
    read = [line for line in plan if line.split()[1] in ("r", "dq", "rationales", "dataset_questions")]
    assert read
    for line in read:
        assert line.startswith("SEARCH")
        assert "COVERING INDEX" in line or "PRIMARY KEY" in line


def test_the_command_says_what_it_sampled(inside: Command, scripted: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=8, test=2)
    assert inside("elicit", "--teacher", "parrot", "--dataset", "toy").returncode == 0
    done = inside("audit", "--dataset", "toy", "--sample", "3")
    assert "of 3 of 8 train questions, sampled." in " ".join(done.stdout.split())
    found = json.loads(inside("audit", "--dataset", "toy", "--sample", "3", "--no-gates", "--json").stdout)
    [survey] = found["datasets"]
    assert (survey["sampled"], survey["teachers"][0]["covered"]) == ({"train": 3}, 8)
    assert found["choices"][0]["teachers"][0]["by_kind"]["forced"]["sampled"] == 3
    whole = json.loads(inside("audit", "--dataset", "toy", "--sample", "0", "--json").stdout)
    assert (whole["datasets"][0]["sampled"], whole["datasets"][0]["teachers"][0]["texts"]) == ({}, 8)
    again = json.loads(inside("audit", "--dataset", "toy", "--sample", "3", "--json").stdout)
    forced = again["choices"][0]["teachers"][0]["by_kind"]["forced"]
    assert forced == whole["choices"][0]["teachers"][0]["by_kind"]["forced"], "the database has all verdicts by now"
