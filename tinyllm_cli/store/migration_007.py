"""Migration 7: typed columns instead of facts in strings, standard names, and the options of today's commands.

It rebuilds every table, so that names and comments in the file are those of `ddl`. No hash changes: a run, a prompt, a
rationale and an evaluation keep their identity. The identity of an experiment's cell is a hash of its options, so it is
computed again from their new names.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator
from typing import Any

from sqlite_utils import Database

from tinyllm_cli.store import ddl
from tinyllm_cli.store.old_plans import typed_plan
from tinyllm_cli.store.statements import statements

_CREATE = re.compile(r"CREATE TABLE (\w+)")
_RECIPE = re.compile(r"(v\d+) (forced|free) icl=(\d+)(?: seed=(-?\d+))?")
_MODEL = re.compile(r"(?:(.*) )?inputs up to (\d+)(?: (.*))?")
_REPLIES = re.compile(r"([0-9a-f]{32}) (.+)")
_RENAMED_OPTIONS = {"--lora": "--lora-rank", "--fresh": "--restart", "--no-fresh": "--no-restart"}

_HAS_FINGERPRINT = "substr(model, -13, 1) = ' ' AND substr(model, -12) NOT GLOB '*[^0-9a-f]*'"
_IDENTITY = (
    "(SELECT json_extract(e.plan, '$.cells[' || old.position || '].identity') FROM experiments e"
    " WHERE e.id = old.experiment)"
)
_EXPRESSIONS = {
    "rationales": {"raised_max_tokens": "cap"},
    "elicitations": {"concurrency": "pace"},
    "usefulness": {
        "text_hash": "text",
        "model": f"CASE WHEN {_HAS_FINGERPRINT} THEN substr(model, 1, length(model) - 13) ELSE model END",
        "model_fingerprint": f"CASE WHEN {_HAS_FINGERPRINT} THEN substr(model, -12) ELSE '' END",
        "input_truncated": "input_cut",
    },
    "runs": {
        "sources": "lineage",
        "metrics": "figures",
        "folder": "relative_folder(folder)",
        "command": "renamed_command(command)",
    },
    "evaluations": {
        **{
            name: f"subject_fact(kind, fingerprint, '{name}')"
            for name in (
                "step", "model", "model_fingerprint", "revision", "max_input", "sampling", "recipe", "extra_context",
            )
        },
        "truncated_inputs": "inputs_cut",
        "explain_as": "NULL",
        "votes": "NULL",
        "written_tokens": "NULL",
    },
    "predictions": {"written_tokens": "NULL", "input_truncated": "input_cut"},
    "experiments": {"command": "renamed_command(command)"},
    "cells": {"identity": _IDENTITY},
}  # fmt: skip
"""How to compute those columns that were not there by this name."""


def apply(db: Database) -> None:
    """Rebuild the tables, inside the caller's transaction."""
    connection = db.conn
    connection.create_function("relative_folder", 1, relative_folder, deterministic=True)
    connection.create_function("renamed_command", 1, renamed_command, deterministic=True)
    connection.create_function("subject_fact", 3, _subject_fact, deterministic=True)
    for statement in statements(ddl.TABLES):
        found = _CREATE.match(statement)
        assert found is not None
        table = found[1]
        db.execute(statement.replace(f"CREATE TABLE {table} ", f"CREATE TABLE new_{table} ", 1))
        if table == "recipes":
            _fill_recipes(db)
        else:
            _copy(db, table)
            db.execute(f"DROP TABLE {table}")
        db.execute(f"ALTER TABLE new_{table} RENAME TO {table}")
        if table == "experiments":
            _rename_in_plans(db)
    for statement in statements(ddl.INDEXES):
        db.execute(statement)


def _copy(db: Database, table: str) -> None:
    columns = [row[1] for row in db.execute(f"PRAGMA table_info(new_{table})").fetchall()]
    values = [_EXPRESSIONS.get(table, {}).get(column, column) for column in columns]
    db.execute(
        f"INSERT INTO new_{table} ({', '.join(columns)}) SELECT {', '.join(values)} FROM {table} AS old ORDER BY"
        f" {_order(table)}"
    )


def _order(table: str) -> str:
    """Rows are written in the order of the new table's key: in another one, it writes each page many times."""
    by_key = {
        "dataset_questions": "dataset, split, position",
        "failures": "question, teacher, prompt, sampling, sample",
        "claims": "prompt, teacher, sampling, sample",
        "verdicts": "rationale, gates",
        "usefulness": "rationale, text, model",
        "predictions": "evaluation, key",
        "cells": "experiment, position",
    }
    return by_key.get(table, "rowid")


def _fill_recipes(db: Database) -> None:
    named = db.execute(
        "SELECT recipe, max(teacher_forcing) FROM prompts GROUP BY recipe UNION ALL"
        " SELECT recipe, NULL FROM elicitations UNION ALL"
        " SELECT subject_fact(kind, fingerprint, 'recipe'), NULL FROM evaluations"
    ).fetchall()
    for name, forced in named:
        if name is not None:
            db.execute("INSERT OR IGNORE INTO new_recipes VALUES (?, ?, ?, ?, ?)", recipe_row(name, forced))


def recipe_row(name: str, forced: int | None) -> tuple[str, str, int | None, int | None, int]:
    """(name, template, icl, seed, teacher_forcing) of a recipe by its old name, such as `v1 forced icl=2 seed=0` or
    `recorded free`."""
    match = _RECIPE.fullmatch(name)
    if match is None:
        template = name.removesuffix(" free")
        return name, template, None, None, int(template == name) if forced is None else forced
    return name, match[1], int(match[3]), None if match[4] is None else int(match[4]), int(match[2] == "forced")


def subject_facts(kind: str, fingerprint: str) -> dict[str, Any]:
    """What the old fingerprint of an evaluation's subject said, by column: `step 9 reads DIGEST`,
    `MODEL inputs up to 1024 revision main`, or `SAMPLING RECIPE`."""
    state, _, extra_context = fingerprint.partition(" reads ")
    facts: dict[str, Any] = {"extra_context": extra_context or None}
    if kind == "run" and re.fullmatch(r"step \d+", state):
        return {**facts, "step": int(state.removeprefix("step "))}
    if kind == "teacher" and (replies := _REPLIES.fullmatch(state)):
        return {**facts, "sampling": replies[1], "recipe": replies[2]}
    if kind != "run" and (model := _MODEL.fullmatch(state)):
        facts |= {"model": model[1], "max_input": int(model[2])}
        if model[3] and model[3].startswith("revision "):
            return {**facts, "revision": model[3].removeprefix("revision ")}
        return {**facts, "model_fingerprint": model[3]}
    return {**facts, "model_fingerprint": state or None}


def _subject_fact(kind: str, fingerprint: str, name: str) -> Any:
    return subject_facts(kind, fingerprint).get(name)


def relative_folder(folder: str) -> str:
    """A run's folder relative to its database: it always lay in `DATABASE-runs` beside it."""
    return "/".join(re.split(r"[/\\]", folder)[-2:])


def renamed_command(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError:  # it is shown, not run
        return command
    renamed = list(renamed_options(words))
    return command if renamed == words else shlex.join(renamed)


def renamed_options(words: Iterable[str]) -> Iterator[str]:
    """The words of a command, with today's names of the options of `distill` and `experiment`."""
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if option == "--gates":
            value = value if equals else next(rest, "default")
            if value == "none":
                yield "--no-gates"
        else:
            yield f"{_RENAMED_OPTIONS.get(option, option)}{equals}{value}"


def _rename_in_plans(db: Database) -> None:
    """Two plans that only differed in an option that is gone stay two: a plan's text is unique."""
    for number, text in db.execute("SELECT id, plan FROM experiments ORDER BY id").fetchall():
        plan = renamed_plan(text)
        if plan == text:
            continue
        if db.execute("SELECT 1 FROM experiments WHERE plan = ? AND id <> ?", (plan, number)).fetchone():
            plan = _plan_text({**json.loads(plan), "same_as_another": number})
        db.execute("UPDATE experiments SET plan = ? WHERE id = ?", (plan, number))


def renamed_plan(text: str) -> str:
    """A plan's JSON with typed cells, today's names of options, and the identities of these cells."""
    try:
        return _plan_text(typed_plan(json.loads(text)))
    except (ValueError, TypeError, AttributeError, LookupError):  # not a plan of ours: it stays as it is
        return text


def _plan_text(plan: dict[str, Any]) -> str:
    return json.dumps(plan, ensure_ascii=False, sort_keys=True)
