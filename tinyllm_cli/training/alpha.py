"""The teachers of a training, their weights and the data set: reading `--alpha` against the store."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tinyllm_cli.config import Settings, default_prefix
from tinyllm_cli.config.names import match_name
from tinyllm_cli.errors import UsageProblem, choices, command_text
from tinyllm_cli.store import Store
from tinyllm_cli.students.inputs import ANSWER, ANSWER_PREFIX, EXPLAIN_PREFIX

Alpha = Mapping[str, float] | float
"""Weights by teacher name as typed, or one weight for every teacher that has rationales."""

_EXAMPLE = "For example: --alpha t5=1,llama=0.5"


@dataclass(frozen=True, kw_only=True)
class WeightedTeacher:
    """A teacher in training: its instruction prefix p_m and its weight alpha_m."""

    teacher: str
    prefix: str
    alpha: float


@dataclass(frozen=True, kw_only=True)
class AlphaChoice:
    """The data set and its teachers, sorted by name. `chosen`: the data set was found, not named."""

    dataset: str
    teachers: tuple[WeightedTeacher, ...]
    chosen: bool


def parse_alpha(text: str) -> Alpha:
    """`t5=1,llama=0.5` as weights by name; a bare number for all teachers; an empty text, or 0, is full fine-tuning.

    Raises UsageProblem for a weight that is not a finite number of at least 0, and for a name given twice."""
    if not text.strip():
        return 0.0
    if "=" not in text:
        return _weight(text, text)
    weights: dict[str, float] = {}
    for item in text.split(","):
        name, sign, value = (part.strip() for part in item.partition("="))
        if not sign or not name:
            raise UsageProblem(f"--alpha: '{item.strip()}' is not a teacher and a weight.", _EXAMPLE)
        if name in weights:
            raise UsageProblem(f"--alpha names '{name}' twice.", _EXAMPLE)
        weights[name] = _weight(value, item)
    return weights


def choose(store: Store, settings: Settings, alpha: Alpha | None, dataset: str | None) -> AlphaChoice:
    """The data set and the teachers that were typed. Without `alpha`, every teacher that has rationales gets weight 1;
    without `dataset`, the only data set with rationales of them all is used.

    Raises UsageProblem that lists the candidates if there is none, or more than one; and if two tasks have one
    prefix."""
    available = store.rationales.datasets_with_rationales()
    if alpha is None:
        alpha = 1.0
    if isinstance(alpha, float):
        chosen = dataset or _only_dataset(store, available, set(), finetune=alpha == 0)
        weights = dict.fromkeys(sorted(available.get(chosen, ())), alpha)
        if alpha > 0 and not weights:
            raise _no_rationales(chosen, None)
    else:
        pool = available.get(dataset, set()) if dataset else set().union(*available.values())
        weights = named_weights(alpha, pool, settings)
        active = {name for name, weight in weights.items() if weight > 0}
        chosen = dataset or _only_dataset(store, available, active, finetune=not active)
        lacking = sorted(active - available.get(chosen, set()))
        if lacking:
            raise _no_rationales(chosen, lacking[0])
    if weights.get(ANSWER):  # its rationales would count as answers
        raise UsageProblem(
            f"A teacher called '{ANSWER}' can't be used: this is the name of the answer's task.",
            "Give it another name in tinyllm.toml, or when importing its rationales.",
        )
    # Sorted: the order in which teachers are typed does not change the training.
    teachers = tuple(
        WeightedTeacher(teacher=name, prefix=prefix_of(name, settings), alpha=weights[name]) for name in sorted(weights)
    )
    _check_prefixes(teachers)
    return AlphaChoice(dataset=chosen, teachers=teachers, chosen=dataset is None)


def _check_prefixes(teachers: Collection[WeightedTeacher]) -> None:
    """A prefix names the task: two tasks with one prefix would have one input and two targets.

    Prefixes are compared as a tokenizer may see them: without case and white space at the ends."""
    owners = {_plain(ANSWER_PREFIX): "the answer", _plain(EXPLAIN_PREFIX): "explained answers"}
    for one in teachers:
        if one.alpha <= 0:
            continue
        owner = owners.setdefault(_plain(one.prefix), one.teacher)
        if owner != one.teacher:
            raise UsageProblem(
                f"{one.teacher} has the same prefix as {owner} ('{one.prefix.strip()}'): a student could not tell the"
                " tasks apart.",
                f'Give it another one in tinyllm.toml: {_table(one.teacher)} prefix = "..."',
            )


def _table(teacher: str) -> str:
    """The teacher's table in tinyllm.toml, quoted where TOML needs it."""
    bare = re.fullmatch("[A-Za-z0-9_-]+", teacher)
    return f"[teachers.{teacher if bare else json.dumps(teacher)}]"


def _plain(prefix: str) -> str:
    return " ".join(prefix.casefold().split())


def named_weights(alpha: Alpha, pool: Collection[str], settings: Settings) -> dict[str, float]:
    """Weights by the full names of teachers: those that were typed, or all of `pool`, which have rationales.

    Raises UsageProblem for a name that no teacher has, or for two names of one teacher."""
    if isinstance(alpha, float):
        return dict.fromkeys(sorted(pool), alpha)
    weights = {_teacher(name, pool, settings): weight for name, weight in alpha.items()}
    if len(weights) < len(alpha):
        raise UsageProblem(f"--alpha names one teacher twice: {choices(list(alpha))}.")
    return weights


def prefix_of(teacher: str, settings: Settings) -> str:
    spec = settings.teachers.get(teacher)
    return spec.prefix if spec else default_prefix(teacher)


def _weight(text: str, item: str) -> float:
    try:
        weight = float(text)
    except ValueError as error:
        raise UsageProblem(f"--alpha: '{item.strip()}' has no number for a weight.", _EXAMPLE) from error
    if not math.isfinite(weight) or weight < 0:
        raise UsageProblem(f"--alpha: the weight in '{item.strip()}' must be 0 or more, and finite.", _EXAMPLE)
    return weight


def _teacher(typed: str, with_rationales: Collection[str], settings: Settings) -> str:
    """Teachers that have rationales come first; one that is only configured gets a better message later."""
    if typed in with_rationales or any(name.startswith(typed) for name in with_rationales):
        return match_name(typed, with_rationales, "teacher")
    return match_name(typed, {*with_rationales, *settings.teachers}, "teacher")


def _only_dataset(store: Store, available: Mapping[str, set[str]], teachers: set[str], *, finetune: bool) -> str:
    if finetune:
        fitting = [name for name in store.questions.names() if store.questions.splits(name).get("train")]
        what = "a train split"
    else:
        fitting = sorted(name for name, wrote in available.items() if wrote and teachers <= wrote)
        what = f"rationales of {choices(teachers)}" if teachers else "rationales"
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UsageProblem(f"Several data sets have {what}: {choices(fitting)}.", "Choose one: --dataset NAME")
    if any(available.values()):
        has = "; ".join(f"{name}: {choices(wrote)}" for name, wrote in sorted(available.items()) if wrote)
        raise UsageProblem(f"No data set in the database has {what}.", f"There are rationales for {has}.")
    command = command_text("elicit", "--teacher", min(teachers, default="expert"), "--dataset", "everyday")
    raise UsageProblem(f"No data set in the database has {what}.", f"Run: {command}")


def _no_rationales(dataset: str, teacher: str | None) -> UsageProblem:
    """`teacher` is None where any would do."""
    command = command_text("elicit", "--teacher", teacher or "NAME", "--dataset", dataset)
    return UsageProblem(
        f"The database has no rationales of {teacher or 'any teacher'} for {dataset}, split train.",
        f"Run: {command} (or --alpha 0 for full fine-tuning)",
    )
