"""The counts of rationale sets agree with the rows, whatever is stored, renamed, deleted or merged in any order."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.base import Completion, Message, Sampling
from tests.conftest import keep, make_questions
from tinyllm_cli.datasets.question import SPLITS, Question
from tinyllm_cli.merging.merge import merge
from tinyllm_cli.records.elicitation import ElicitationConfig, Prompt, RationaleSet, Recipe
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.store.ddl_added import RATIONALE_COUNTS
from tinyllm_cli.store.removal import Selected
from tinyllm_cli.store.statements import statements

CONTENTS = make_questions(4)
DATASETS = ("toy", "other")
TEACHERS = ("parrot", "owl")
Counts = dict[tuple[str, str, str], tuple[int, int, int, int]]


def counted(store: Store, dataset: str, splits: tuple[str, ...]) -> Counts:
    """(rationales, questions, samples, latest) by (teacher, sampling, recipe), from the rows alone."""
    positions: dict[tuple[str, str, str], Counter[tuple[str, int]]] = defaultdict(Counter)
    samples: dict[tuple[str, str, str], int] = {}
    latest: dict[tuple[str, str, str], int] = {}
    for row in store.rows(
        "SELECT dq.split, dq.position, r.id, r.teacher, r.sampling, p.recipe, r.sample FROM rationales r JOIN prompts p"
        " ON p.hash = r.prompt JOIN dataset_questions dq ON dq.question = r.question WHERE dq.dataset = ?",
        (dataset,),
    ):
        if row["split"] in splits:
            key = (row["teacher"], row["sampling"], row["recipe"])
            positions[key][row["split"], row["position"]] += 1
            samples[key] = max(samples.get(key, 0), row["sample"] + 1)
            latest[key] = max(latest.get(key, 0), row["id"])
    return {key: (at.total(), len(at), samples[key], latest[key]) for key, at in positions.items()}


def told(sets: list[RationaleSet]) -> Counts:
    return {one.address: (one.rationales, one.questions, one.samples, one.latest) for one in sets}


def check(store: Store) -> None:
    for dataset in DATASETS:
        assert told(store.rationales.variants(dataset)) == counted(store, dataset, SPLITS)
        for split in SPLITS:
            found = store.rationales.variants(dataset, split)
            assert told(found) == counted(store, dataset, (split,))
            assert [one.latest for one in found] == sorted((one.latest for one in found), reverse=True)


def imported(store: Store, dataset: int, places: list[int]) -> None:
    """A data set whose question at each place is one of a few, so that questions repeat."""
    questions = [
        replace(CONTENTS[place % len(CONTENTS)], key=str(number), split=SPLITS[place % 2])
        for number, place in enumerate(places)
    ]
    store.questions.replace(DATASETS[dataset], "here", str(places), questions)


def answered(store: Store, question: int, teacher: int, way: int, sample: int) -> None:
    """A reply; `way` chooses the recipe, and for one recipe between two prompts."""
    config = asking(TEACHERS[teacher])
    store.rationales.add_asking(config)
    store.execute(
        "INSERT INTO questions (hash, text, options, answer) VALUES (?, 'x', '[]', 0) ON CONFLICT DO NOTHING",
        (CONTENTS[question].hash,),
    )
    keep(store, config, prompt_of(CONTENTS[question], way), sample, Completion(text="So.", finish_reason="stop"))


def asking(teacher: str) -> ElicitationConfig:
    return ElicitationConfig(teacher=teacher, backend="scripted", model="m", revision="", sampling=Sampling())


def prompt_of(question: Question, way: int) -> Prompt:
    messages = (Message(role="user", content=f"Explain in way {way}."),)
    return Prompt(question=question.hash, recipe=Recipe(icl=0, teacher_forcing=way < 2), messages=messages)


def renamed(store: Store, teachers: bool, there_and_back: bool) -> None:
    names, kind = (TEACHERS, "teacher") if teachers else (DATASETS, "dataset")
    known = "rationales WHERE teacher" if teachers else "datasets WHERE name"
    taken = [store.one(f"SELECT 1 AS found FROM {known} = ?", (name,)) is not None for name in names]
    if taken == [True, False]:
        store.renaming.rename(kind, names[0], names[1], dict)  # type: ignore[arg-type]
        if there_and_back:
            store.renaming.rename(kind, names[1], names[0], dict)  # type: ignore[arg-type]


def deleted(store: Store, what: int, trial: bool) -> None:
    selected = Selected(datasets=[DATASETS[what]]) if what < 2 else Selected(teachers=[TEACHERS[what - 2]])
    store.removal.remove(selected, trial=trial)


def merged(store: Store, places: list[int], question: int, way: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with open_store(Path(folder) / "other.db") as other:
            imported(other, 0, places)
            answered(other, question, 0, way, 0)
            answered(other, question, 1, way, 1)
        if store.questions.find("toy") is None:
            merge(store, Path(folder) / "other.db")


def read(store: Store, dataset: int) -> None:
    store.rationales.variants(DATASETS[dataset])


places = st.lists(st.integers(0, 7), min_size=1, max_size=6)
few, two = st.integers(0, 3), st.integers(0, 1)
reply = st.tuples(st.just(answered), few, two, st.integers(0, 2), two)
changes = st.one_of(
    reply,
    reply,
    st.tuples(st.just(imported), two, places),
    st.tuples(st.just(renamed), st.booleans(), st.booleans()),
    st.tuples(st.just(deleted), few, st.booleans()),
    st.tuples(st.just(merged), places, few, st.integers(0, 2)),
    st.tuples(st.just(read), two),
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, which is quicker to copy than to migrate."""
    path = tmp_path_factory.mktemp("template") / "empty.db"
    with closing(open_store(path)):
        return path


@settings(max_examples=60, deadline=None)
@given(first=places, done=st.lists(changes, max_size=12))
def test_the_counts_agree_with_the_rows(template: Path, first: list[int], done: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.db"
        path.write_bytes(template.read_bytes())
        with open_store(path) as store:
            imported(store, 0, first)
            for change, *arguments in done:
                change(store, *arguments)
            check(store)
            check(store)  # from what the first check kept


def filled(store: Store) -> None:
    imported(store, 0, [0, 1, 1, 4, 3])
    for question in range(4):
        answered(store, question, 0, 0, 0)
    answered(store, 0, 0, 1, 1)
    answered(store, 2, 1, 2, 0)


def uncounted(store: Store) -> list[tuple[str, ...]]:
    return [tuple(row.values()) for row in store.rows("SELECT dataset, split FROM uncounted_splits ORDER BY 1, 2")]


def test_new_rationales_and_questions_need_no_count(store: Store) -> None:
    filled(store)
    imported(store, 1, [0, 2])
    assert uncounted(store) == []
    assert store.one("SELECT sum(rationales) AS n FROM rationale_counts WHERE dataset = 'toy'") == {"n": 7}
    assert store.one("SELECT sum(rationales) AS n FROM rationale_counts WHERE dataset = 'other'") == {"n": 4}
    check(store)


def test_a_new_import_of_the_same_data_set_is_counted_once(store: Store) -> None:
    filled(store)
    imported(store, 0, [3, 2])
    assert uncounted(store) == [("toy", "train"), ("toy", "valid")]
    check(store)
    assert uncounted(store) == []


def test_what_a_deleted_or_renamed_data_set_leaves_is_removed(store: Store) -> None:
    filled(store)
    store.renaming.rename("dataset", "toy", "other", dict)
    check(store)
    assert uncounted(store) == []
    assert store.one("SELECT count(*) AS n FROM rationale_counts WHERE dataset = 'toy'") == {"n": 0}
    store.removal.remove(Selected(datasets=["other"]), trial=False)
    assert store.one("SELECT count(*) AS n FROM rationale_counts") == {"n": 0}
    assert uncounted(store) == []


def test_a_database_of_the_version_before_is_counted_when_needed(store: Store) -> None:
    filled(store)
    before = list(store.rows("SELECT * FROM rationale_counts"))
    for row in list(store.rows("SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'rationale_co%'")):
        store.execute(f"DROP TRIGGER {row['name']}")
    for table in ("rationale_counts", "uncounted_splits"):
        store.execute(f"DROP TABLE {table}")
    for statement in statements(RATIONALE_COUNTS):
        store.execute(statement)
    assert uncounted(store) == [("toy", "test"), ("toy", "train"), ("toy", "valid")]
    answered(store, 1, 1, 0, 0)
    check(store)
    store.execute("DELETE FROM rationales WHERE teacher = 'owl' AND question = ?", (CONTENTS[1].hash,))
    check(store)
    assert list(store.rows("SELECT * FROM rationale_counts")) == before


def test_counting_writes_nothing_while_another_process_does(store: Store) -> None:
    filled(store)
    store.execute("DELETE FROM rationales WHERE id = 1")
    wanted = counted(store, "toy", SPLITS)
    with open_store(store.path) as other, other.writing():
        assert told(store.rationales.variants("toy")) == wanted
        assert len(uncounted(store)) == 1
    check(store)
    assert uncounted(store) == []


def test_a_rationale_that_is_stored_during_the_count_is_not_lost(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(store)
    store.execute("DELETE FROM rationales WHERE id = 1")
    try_to_write = store.execute_if_free

    def after_another(sql: str, parameters: Any = ()) -> bool:
        with open_store(store.path) as other:
            answered(other, 0, 1, 0, 0)
        return try_to_write(sql, parameters)

    with monkeypatch.context() as patched:
        patched.setattr(store, "execute_if_free", after_another)
        store.rationales.variants("toy")
    assert len(uncounted(store)) == 1
    check(store)


def test_a_database_that_cannot_be_written_is_counted(store: Store, tmp_path: Path) -> None:
    filled(store)
    store.execute("DELETE FROM rationales WHERE id = 1")
    store.upkeep.backup(tmp_path / "copy.db")
    with open_store(tmp_path / "copy.db") as copy:
        copy.read_only = True
        copy.execute("PRAGMA query_only = ON")
        check(copy)
        assert len(uncounted(copy)) == 1
