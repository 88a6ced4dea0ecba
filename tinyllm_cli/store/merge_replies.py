"""Merging what teachers were asked and wrote, and what people and models decided about it."""

from __future__ import annotations

from tinyllm_cli.store.currency import has_costs
from tinyllm_cli.store.merge_tables import Incoming

_GROUP = ("question", "teacher", "prompt", "sampling")
_IDENTITY = (*_GROUP, "sample")
_SAME_TEXT = "m.text = o.text AND m.reasoning IS o.reasoning"
_JOIN_RATIONALES = "JOIN temp.rationales_map r ON r.old = o.rationale"


def _equal(names: tuple[str, ...]) -> str:
    return " AND ".join(f"m.{name} = o.{name}" for name in names)


def add_currency(found: Incoming) -> None:
    """The currency of the costs that come in, where there are none here. Call it before they are added."""
    found.add("currency")
    replaced = found.db.execute(
        "UPDATE main.currency SET code = o.code FROM temp.incoming_currency o WHERE o.code <> currency.code"
        f" AND NOT {has_costs()} AND {has_costs('temp.incoming_')}"
    ).rowcount
    found.updated("currency", replaced)


def add_questions(found: Incoming) -> None:
    """Data sets, questions and prompts: all have names or hashes."""
    for table in ("datasets", "questions", "dataset_questions", "recipes", "prompts", "samplings"):
        found.add(table)
    found.db.execute(
        "UPDATE main.samplings SET engine = o.engine FROM temp.incoming_samplings o WHERE o.hash = samplings.hash AND"
        " samplings.engine = '{}' AND o.engine <> '{}'"
    )
    found.add("gates")
    found.db.execute(
        "UPDATE main.gates SET created = o.created FROM temp.incoming_gates o WHERE o.hash = gates.hash AND"
        " o.created > gates.created"
    )


def add_replies(found: Incoming) -> int:
    """Rationales, failures, verdicts and scores. Returns how many rationales differ from the one here with the same
    prompt and settings: they become further samples."""
    db = found.db
    db.execute(
        "INSERT INTO temp.rationales_map SELECT o.id, m.id, 0 FROM temp.incoming_rationales o JOIN main.rationales m"
        f" ON {_equal(_IDENTITY)} WHERE {_SAME_TEXT}"
    )
    taken = f"EXISTS (SELECT 1 FROM main.rationales m WHERE {_equal(_IDENTITY)})"
    alike = ", ".join((*_GROUP, "text", "reasoning", "created"))
    counted = f"row_number() OVER (PARTITION BY {alike} ORDER BY sample) AS place"
    db.execute(  # a further sample since an earlier merge
        f"INSERT INTO temp.rationales_map WITH a AS MATERIALIZED (SELECT o.*, {counted} FROM temp.incoming_rationales o"
        f" WHERE o.id NOT IN (SELECT old FROM temp.rationales_map) AND {taken}), b AS (SELECT m.*, {counted} FROM"
        " main.rationales m WHERE m.id NOT IN (SELECT new FROM temp.rationales_map) AND EXISTS (SELECT 1 FROM a o WHERE"
        f" {_equal(_GROUP)})) SELECT o.id, m.id, 0 FROM a o JOIN b m ON {_equal(_GROUP)} AND {_SAME_TEXT}"
        " AND m.created = o.created AND m.place = o.place"
    )
    found.number_new("rationales", "o.created, o.id")
    db.execute(
        f"CREATE TEMP TABLE samples_map AS SELECT o.id AS old, (SELECT max(m.sample) FROM (SELECT sample FROM"
        f" main.rationales m WHERE {_equal(_GROUP)} UNION ALL SELECT sample FROM temp.incoming_rationales m WHERE"
        f" {_equal(_GROUP)}) m) + row_number() OVER (PARTITION BY {', '.join(f'o.{name}' for name in _GROUP)}"
        " ORDER BY o.sample, o.id) AS sample FROM temp.incoming_rationales o JOIN temp.rationales_map n ON n.old = o.id"
        f" WHERE n.is_new AND {taken}"
    )
    db.execute("CREATE UNIQUE INDEX temp.samples_by_old ON samples_map(old)")
    found.add(
        "rationales", {"id": "n.new", "sample": "coalesce(s.sample, o.sample)"},
        "JOIN temp.rationales_map n ON n.old = o.id LEFT JOIN temp.samples_map s ON s.old = o.id", "n.is_new",
    )  # fmt: skip
    _add_failures(found)
    for table in ("verdicts", "usefulness", "learnability"):
        found.add(table, {"rationale": "r.new"}, _JOIN_RATIONALES)
    _add_human_verdicts(found)
    return found.number("SELECT count(*) FROM temp.samples_map")


def _add_failures(found: Incoming) -> None:
    """A reply, wherever it came from, removes a failure; of two failures the later one stays."""
    found.db.execute(
        f"DELETE FROM main.failures AS m WHERE EXISTS (SELECT 1 FROM temp.incoming_rationales o WHERE"
        f" {_equal(_IDENTITY)})"
    )
    found.add("failures", where=f"NOT EXISTS (SELECT 1 FROM main.rationales m WHERE {_equal(_IDENTITY)})")
    values = [name for name in found.columns("failures") if name not in _IDENTITY]
    later = found.db.execute(
        f"UPDATE main.failures AS m SET {', '.join(f'{name} = o.{name}' for name in values)}"
        f" FROM temp.incoming_failures o WHERE {_equal(_IDENTITY)} AND o.at > m.at"
    ).rowcount
    found.updated("failures", later)


def _add_human_verdicts(found: Incoming) -> None:
    """All decisions stay. They have no key: one with the same content is the same."""
    content = [name for name in found.columns("human_verdicts") if name not in ("id", "rationale", "stored")]
    same = " AND ".join(f"m.{name} IS o.{name}" for name in content)
    found.add(
        "human_verdicts",
        {"rationale": "r.new", "id": "(SELECT coalesce(max(id), 0) FROM main.human_verdicts) + row_number() OVER"
         " (ORDER BY o.at, o.id)"},
        _JOIN_RATIONALES,
        f"NOT EXISTS (SELECT 1 FROM main.human_verdicts m WHERE m.rationale = r.new AND {same})",
    )  # fmt: skip


def add_elicitations(found: Incoming) -> None:
    """Elicitations, and batches that wait at an endpoint with their claims: nothing in them is asked again. Requests
    that a process has in flight are not taken over: their replies come with a later merge."""
    same = _equal(("teacher", "sampling", "dataset", "split", "recipe", "started"))
    found.db.execute(
        "INSERT INTO temp.elicitations_map SELECT o.id, min(m.id), 0 FROM temp.incoming_elicitations o JOIN"
        f" main.elicitations m ON {same} GROUP BY o.id"
    )
    found.number_new("elicitations", "o.id")
    waits = "EXISTS (SELECT 1 FROM temp.incoming_batches b WHERE b.elicitation = o.id AND b.finished IS NULL)"
    state = f"CASE WHEN o.state = 'running' AND NOT {waits} THEN 'killed' ELSE o.state END"
    join = "JOIN temp.elicitations_map n ON n.old = o.id"
    found.add("elicitations", {"id": "n.new", "state": state}, join, "n.is_new")
    values = [name for name in found.columns("elicitations") if name not in ("id", "state")]
    later = found.db.execute(
        f"UPDATE main.elicitations AS m SET state = {state}, {', '.join(f'{name} = o.{name}' for name in values)}"
        f" FROM temp.incoming_elicitations o {join} WHERE m.id = n.new AND NOT n.is_new AND m.finished IS NULL"
        " AND (o.finished IS NOT NULL OR o.calls > m.calls)"
    ).rowcount
    found.updated("elicitations", later)
    _add_batches(found)


def _add_batches(found: Incoming) -> None:
    db = found.db
    db.execute(
        "INSERT INTO temp.batches_map SELECT o.number, m.number, 0 FROM temp.incoming_batches o JOIN main.batches m"
        " ON m.token = o.token"
    )
    found.number_new("batches", "o.number", "number")
    join = "JOIN temp.batches_map n ON n.old = o.number"
    elicitation = "(SELECT new FROM temp.elicitations_map WHERE old = o.elicitation)"
    found.add("batches", {"number": "n.new", "elicitation": elicitation}, join, "n.is_new")
    later = db.execute(
        "UPDATE main.batches AS m SET id = o.id, state = o.state, finished = o.finished, error = o.error"
        f" FROM temp.incoming_batches o {join} WHERE m.number = n.new AND NOT n.is_new AND m.finished IS NULL"
        " AND (o.finished IS NOT NULL OR (m.id IS NULL AND o.id IS NOT NULL))"
    ).rowcount
    found.updated("batches", later)
    db.execute("DELETE FROM main.claims WHERE batch IN (SELECT number FROM main.batches WHERE finished IS NOT NULL)")
    same = "r.prompt = o.prompt AND r.teacher = o.teacher AND r.sampling = o.sampling AND r.sample = o.sample"
    found.add(
        "claims", {"batch": "n.new", "elicitation": elicitation},
        "JOIN temp.batches_map n ON n.old = o.batch JOIN main.batches b ON b.number = n.new",
        f"b.finished IS NULL AND NOT EXISTS (SELECT 1 FROM main.rationales r JOIN main.prompts p ON p.hash = r.prompt"
        f" WHERE r.question = p.question AND {same})",
    )  # fmt: skip
