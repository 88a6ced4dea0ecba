"""What two databases hold under one name although it differs: data sets with other questions, teachers with other
settings; and costs in another currency."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tinyllm_cli.store.currency import has_costs
from tinyllm_cli.store.database import Database

_SETTINGS = ("backend", "model", "revision", "temperature", "top_p", "max_tokens", "stop", "seed")
_SHOWN = 60  # characters of a setting


@dataclass(frozen=True, kw_only=True)
class SplitDifference:
    """A split that is another one in the other database. `key` is an ID whose question or place differs."""

    dataset: str
    split: str
    here: int
    there: int
    key: str


@dataclass(frozen=True, kw_only=True)
class TeacherDifference:
    """A teacher whose settings differ: (setting, here, there)."""

    teacher: str
    settings: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Differences:
    """All of them. `currencies` are those of the costs here and there, where they differ."""

    splits: tuple[SplitDifference, ...]
    teachers: tuple[TeacherDifference, ...]
    currencies: tuple[str, str] | None


def differences(db: Database) -> Differences:
    """What the incoming rows and those here do not agree on."""
    row = db.one(
        "SELECT m.code AS here, o.code AS there FROM main.currency m JOIN temp.incoming_currency o ON o.code <> m.code"
        f" WHERE {has_costs()} AND {has_costs('temp.incoming_')}"
    )
    return Differences(
        splits=tuple(split_differences(db)),
        teachers=tuple(teacher_differences(db)),
        currencies=(row["here"], row["there"]) if row else None,
    )


def split_differences(db: Database) -> list[SplitDifference]:
    """The splits in both databases that do not have the same questions at the same places."""
    same = "a.dataset = b.dataset AND a.split = b.split"
    row = "b.position = a.position AND b.key = a.key AND b.question = a.question"
    both = "(SELECT DISTINCT dataset, split FROM main.dataset_questions INTERSECT SELECT DISTINCT dataset, split FROM"
    found = db.rows(
        f"WITH common AS (SELECT * FROM {both} temp.incoming_dataset_questions)),"
        " odd AS (SELECT a.dataset, a.split, a.key FROM temp.incoming_dataset_questions a JOIN common USING (dataset,"
        f" split) WHERE NOT EXISTS (SELECT 1 FROM main.dataset_questions b WHERE {same} AND {row})"
        " UNION ALL SELECT a.dataset, a.split, a.key FROM main.dataset_questions a JOIN common USING (dataset, split)"
        f" WHERE NOT EXISTS (SELECT 1 FROM temp.incoming_dataset_questions b WHERE {same} AND {row}))"
        " SELECT dataset, split, min(key) AS key, (SELECT count(*) FROM main.dataset_questions b WHERE b.dataset ="
        " odd.dataset AND b.split = odd.split) AS here, (SELECT count(*) FROM temp.incoming_dataset_questions b WHERE"
        " b.dataset = odd.dataset AND b.split = odd.split) AS there FROM odd GROUP BY dataset, split ORDER BY 1, 2"
    )
    return [SplitDifference(**one) for one in list(found)]


def teacher_differences(db: Database) -> Iterator[TeacherDifference]:
    """The teachers in both databases that never had the same settings in both: those of most replies are compared."""
    here, there = _settings(db, "main."), _settings(db, "temp.incoming_")
    for teacher in sorted(set(here) & set(there)):
        ours, theirs = here[teacher], there[teacher]
        if set(ours) & set(theirs):
            continue
        one, other = _sampling(db, "main", ours[0]), _sampling(db, "other", theirs[0])
        yield TeacherDifference(
            teacher=teacher,
            settings=tuple(
                (name, _shown(one[name]), _shown(other[name])) for name in _SETTINGS if one[name] != other[name]
            ),
        )


def _settings(db: Database, prefix: str) -> dict[str, list[str]]:
    """The hashes of each teacher's samplings, the one with most replies first."""
    rows = db.rows(
        f"SELECT teacher, sampling FROM (SELECT teacher, sampling, count(*) AS n FROM {prefix}rationales GROUP BY 1, 2"
        f" UNION ALL SELECT teacher, sampling, 0 FROM {prefix}failures GROUP BY 1, 2"
        f" UNION ALL SELECT teacher, sampling, 0 FROM {prefix}elicitations GROUP BY 1, 2)"
        " GROUP BY 1, 2 ORDER BY 1, sum(n) DESC, 2"
    )
    found: dict[str, list[str]] = {}
    for row in list(rows):
        found.setdefault(row["teacher"], []).append(row["sampling"])
    return found


def _sampling(db: Database, schema: str, hash: str) -> dict[str, Any]:
    row = db.one(f"SELECT {', '.join(_SETTINGS)} FROM {schema}.samplings WHERE hash = ?", (hash,))
    assert row is not None
    return row


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if value is not None else "not set"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
