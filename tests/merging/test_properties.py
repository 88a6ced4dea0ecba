"""Splitting and merging lose nothing and add nothing, whatever the databases hold."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.merging.stores import OF_TEACHERS, RESULTS, Row, content, opened, rows
from tinyllm_cli.merging.merge import merge
from tinyllm_cli.merging.split import split
from tinyllm_cli.store import Store, open_store
from tinyllm_cli.store.merge_tables import NOT_MERGED

EXAMPLES = 10


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("template") / "empty.db"


def filled(held: ExitStack, folder: str, name: str, template: Path, given: list[Row]) -> Store:
    store = held.enter_context(opened(Path(folder) / name, template))
    for row in given:
        row.put(store)
    return store


def sound(store: Store) -> bool:
    return store.one("PRAGMA integrity_check") == {"integrity_check": "ok"} and not list(store.upkeep.dangling())


@settings(max_examples=EXAMPLES)
@given(held=rows, shards=st.integers(2, 4))
def test_split_then_merge_is_the_same_content(template: Path, held: list[Row], shards: int) -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        store = filled(stack, folder, "a.db", template, held)
        before = content(store)
        made = split(store, Path(folder) / "shards", shards)
        assert sum(one.questions for one in made) == 6
        new = stack.enter_context(open_store(Path(folder) / "new.db"))
        for one in made:
            merge(store, Path(one.path))
            merge(new, Path(one.path))
        assert content(store) == before
        assert sound(new)
        after = content(new)
        assert {name: rows for name, rows in after.items() if name not in RESULTS} == {
            name: rows for name, rows in before.items() if name not in RESULTS
        }
        assert not any(after[name] for name in RESULTS)


@settings(max_examples=EXAMPLES)
@given(here=rows, there=rows)
def test_merging_brings_everything_and_again_changes_nothing(template: Path, here: list[Row], there: list[Row]) -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        store = filled(stack, folder, "a.db", template, here)
        other = filled(stack, folder, "b.db", template, there)
        ours, theirs = content(store), content(other)
        assert not merge(store, other.path, trial=True).runs or theirs["runs"]
        assert content(store) == ours
        first = merge(store, other.path)
        after = content(store)
        assert content(other) == theirs
        assert sound(store)
        again = merge(store, other.path)
        assert again.changes == 0
        assert content(store) == after
        for table in ("questions", "prompts", "elicitations", "runs"):
            assert after[table] == ours[table] | theirs[table]
        plans = [{row[:2] for row in found["experiments"]} for found in (after, ours, theirs)]
        assert plans[0] == plans[1] | plans[2]
        assert not ours["rationales"] - after["rationales"]
        texts = [  # of the same request with another text, the sample's number differs
            {row[:4] + row[5:] for row in found["rationales"]} for found in (after, ours, theirs)
        ]
        said = [{row[5:] for row in found["human_verdicts"]} for found in (after, ours, theirs)]
        assert (texts[0] >= texts[1], said[0]) == (True, said[1] | said[2])
        assert {row[4] for row in texts[0]} >= {row[4] for row in texts[2]}
        known = sum(after["rationales"].values()) - sum(ours["rationales"].values())
        assert first.tables["rationales"].new == known


@settings(max_examples=EXAMPLES)
@given(held=rows)
def test_a_merge_into_a_new_database_is_a_copy(template: Path, held: list[Row]) -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        store = filled(stack, folder, "a.db", template, held)
        new = stack.enter_context(open_store(Path(folder) / "new.db"))
        merge(new, store.path)
        assert content(new) == content(store)
        numbers = "SELECT 'r', id, text FROM rationales UNION ALL SELECT 'u', id, started FROM runs ORDER BY 1, 2"
        assert list(new.rows(numbers)) == list(store.rows(numbers))


def test_every_kind_of_row_is_made_and_every_table_is_compared(template: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "a.db", template) as store:
        for kind in (*OF_TEACHERS, "experiment"):
            Row(kind, 2 if kind == "failure" else 1, 1, 1).put(store)
        found = content(store)
        tables = {
            row["name"] for row in store.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not row["name"].startswith(("sqlite_", "_sqlite"))
        }  # fmt: skip
    assert tables - NOT_MERGED == set(found), "a new table: say in store/merge_*.py what becomes of it"
    assert {name for name, rows in found.items() if not rows} == {"batches", "claims", "other_shards"}
