"""Rows of prompts, recipes, rationales and failures, and the types that stand for them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from backends.base import Completion, Message, Outcome
from tinyllm_cli.records.elicitation import ElicitationConfig, Prompt, RationaleSet, Recipe
from tinyllm_cli.store.database import Database

_encode = json.JSONEncoder(ensure_ascii=False).encode  # made once: `dumps` makes one for each call


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """The outcome of one prompt. `failed_before`: there is a failure from before, which a reply removes."""

    prompt: Prompt
    sample: int
    outcome: Outcome
    failed_before: bool = False


def identity_of(config: ElicitationConfig, one: Settled) -> tuple[str, str, str, str, int]:
    """(question, teacher, prompt, sampling, sample): the key of a rationale or failure."""
    return one.prompt.question, config.teacher, one.prompt.hash, config.hash, one.sample


def prompt_row(prompt: Prompt) -> tuple[str, ...]:
    """(hash, question, recipe, examples, messages)."""
    messages = [[message.role, message.content] for message in prompt.messages]
    return prompt.hash, prompt.question, prompt.recipe.name, json.dumps(prompt.examples), _encode(messages)


RATIONALE_COLUMNS = (
    "question, teacher, prompt, sampling, sample, text, finish_reason, answer, prompt_tokens, completion_tokens,"
    " seconds, cost, created, reasoning, attempts, last_error, raised_max_tokens, node"
)


def rationale_row(config: ElicitationConfig, one: Settled, reply: Completion, moment: str) -> tuple[Any, ...]:
    """The values of RATIONALE_COLUMNS."""
    return (*identity_of(config, one), reply.text, reply.finish_reason, reply.answer, reply.prompt_tokens,
            reply.completion_tokens, reply.seconds, reply.cost, moment, reply.reasoning, reply.attempts,
            reply.last_error, reply.cap, reply.node)  # fmt: skip


RECIPE_COLUMNS = ("template", "icl", "seed", "teacher_forcing")


def recipe_of(row: dict[str, Any]) -> Recipe:
    """The recipe of a row with RECIPE_COLUMNS."""
    return Recipe(
        template=row["template"], icl=row["icl"], seed=row["seed"], teacher_forcing=bool(row["teacher_forcing"])
    )


def rationale_set_of(row: dict[str, Any]) -> RationaleSet:
    """The set of rationales of a row with RECIPE_COLUMNS and its counts."""
    counted = {name: value for name, value in row.items() if name not in RECIPE_COLUMNS}
    return RationaleSet(**{**counted, "recipe": recipe_of(row)})


def messages_of(db: Database, text: str) -> tuple[Message, ...]:
    """The messages of a prompt, from the JSON of its row."""
    return tuple(Message(role=role, content=content) for role, content in db.decoded(text, list, "prompts.messages"))


def add_recipes(db: Database, recipes: Iterable[Recipe]) -> None:
    """Keep recipes, inside the caller's transaction if there is one."""
    db.executemany(
        "INSERT INTO recipes (name, template, icl, seed, teacher_forcing) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        [(one.name, one.template, one.icl, one.seed, one.teacher_forcing) for one in set(recipes)],
    )
