"""The views of the database say what the commands say, and Datasette's labels name columns that are there."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import ROOT, Command
from tinyllm_cli.store import Store, open_store


def test_rationales_show_the_verdict_that_counts_and_what_is_learned(inside: Command, place: Path) -> None:
    assert inside("gate", "--edit", "2", "--text", "It is written by hand.").returncode == 0
    with open_store(place / "tinyllm.db") as store:
        rows = {
            row["id"]: row for row in store.rows("SELECT * FROM rationales_readable WHERE dataset = 'toy' ORDER BY id")
        }
        assert store.one("SELECT count(*) AS n FROM rationales_readable") == {"n": 20}, "one for each place"
    assert len(rows) == 16
    assert (rows[1]["verdict"], rows[1]["reason"], rows[1]["learned"]) == ("reject", "wrong", None)
    assert (rows[2]["verdict"], rows[2]["learned"]) == ("edit", "It is written by hand.")
    assert rows[1]["reviewer"] == rows[2]["reviewer"] is not None
    third = next(row for row in rows.values() if row["text"] == "Because." and row["reviewer"] is None)
    assert (third["verdict"], third["learned"]) == ("rejected", None)
    assert "too-short: has 1 words" in third["reason"]
    kept = next(row for row in rows.values() if row["teacher"] == "owl")
    assert (kept["verdict"], kept["learned"], kept["gold"]) == ("kept", kept["text"], "thing 0 a")
    (place / "tinyllm.toml").write_text(
        (place / "tinyllm.toml").read_text(encoding="utf-8") + "\n[gates]\nmin_words = 100\n", encoding="utf-8"
    )
    assert inside("gate", "--dataset", "toy").returncode == 0
    with open_store(place / "tinyllm.db") as store:
        again = store.one("SELECT verdict FROM rationales_readable WHERE id = ?", (kept["id"],))
        assert again == {"verdict": "rejected"}, "by the gates that were used last"


def test_results_and_costs(full: Store, inside: Command) -> None:
    results = list(full.rows("SELECT * FROM results ORDER BY evaluation"))
    shown = json.loads(inside("report", "--json").stdout)["results"]
    assert {(row["who"], row["dataset"], row["correct"], row["questions"]) for row in results} == {
        (one["subject"], one["dataset"], one["correct"], one["n"]) for one in shown
    }
    assert [row["accuracy"] for row in results] == [100 * row["correct"] / row["questions"] for row in results]
    full.execute("UPDATE elicitations SET cost = 0.5 WHERE teacher = 'owl'")
    costs = {row["teacher"]: row for row in full.rows("SELECT * FROM costs")}
    assert (costs["owl"]["replies"], costs["owl"]["cost"], costs["owl"]["unpriced"]) == (8, 0.5, 0)
    assert (costs["parrot"]["cost"], costs["parrot"]["unpriced"]) == (None, 1)


def test_the_labels_for_datasette_name_what_is_there(full: Store) -> None:
    found = json.loads((ROOT / "docs" / "datasette.json").read_text(encoding="utf-8"))
    tables = found["databases"]["tinyllm"]["tables"]
    relations = {
        row["name"] for row in full.rows("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        if "sqlite" not in row["name"]
    }  # fmt: skip
    assert set(tables) == relations
    for name, labels in tables.items():
        columns = {row["name"] for row in full.rows(f"PRAGMA table_info({name})")}
        assert set(labels["columns"]) | set(labels.get("facets", ())) <= columns
    assert tables["rationales"]["columns"]["text"] == "as the teacher wrote it"
