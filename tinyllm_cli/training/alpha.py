"""Which teachers speak in a training, how loud, and on which data set: reading `--alpha` against the store."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tinyllm_cli.config import Settings, default_prefix
from tinyllm_cli.config.names import match_name
from tinyllm_cli.errors import UsageProblem, choices
from tinyllm_cli.store import Store
from tinyllm_cli.students.inputs import ANSWER

Alpha = Mapping[str, float] | float
"""Weights by teacher as typed, or one weight for every teacher that has rationales."""

_EXAMPLE = "For example: --alpha t5=1,llama=0.5"


@dataclass(frozen=True, kw_only=True)
class AlphaChoice:
    """The data set and its voices. `chosen` says that the data set was found, not named."""

    dataset: str
    voices: tuple[WeightedTeacher, ...]
    chosen: bool


def parse_alpha(text: str) -> Alpha:
    """`t5=1,llama=0.5` as weights by name; a bare number for all teachers; nothing, or 0, is full fine-tuning.

    Raises UsageProblem for a weight that is no number, negative or infinite, and for a name given twice."""
    if not text.strip():
        return 0.0
    if "=" not in text:
        return _weight(text, text)
    weights: dict[str, float] = {}
    for item in text.split(","):
        name, sign, value = (part.strip() for part in item.partition("="))
        if not sign or not name:
            raise UsageProblem(f"--alpha: '{item.strip()}' names no teacher and weight.", _EXAMPLE)
        if name in weights:
            raise UsageProblem(f"--alpha names '{name}' twice.", _EXAMPLE)
        weights[name] = _weight(value, item)
    return weights


def choose(store: Store, settings: Settings, alpha: Alpha | None, dataset: str | None) -> AlphaChoice:
    """Turn what was typed into a data set and voices. Without `alpha`, every teacher that has rationales speaks
    with weight 1; without `dataset`, the one data set that has rationales of them all is taken.

    Raises UsageProblem that lists the candidates when there is none, or more than one."""
    available = store.rationales.datasets_with_rationales()
    if alpha is None:
        alpha = 1.0
    if isinstance(alpha, float):
        chosen = dataset or _only_dataset(store, available, set(), finetune=alpha == 0)
        weights = dict.fromkeys(sorted(available.get(chosen, ())), alpha)
        if alpha > 0 and not weights:
            raise _no_rationales(chosen, "any teacher")
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
            f"A teacher that is called '{ANSWER}' can't be learned from: so the answer's own task is called.",
            "Give it another name in tinyllm.toml, or where its rationales are imported.",
        )
    # Sorted: in which order the teachers are typed makes no other training.
    voices = tuple(
        WeightedTeacher(teacher=name, prefix=prefix_of(name, settings), alpha=weights[name]) for name in sorted(weights)
    )
    return AlphaChoice(dataset=chosen, voices=voices, chosen=dataset is None)


def named_weights(alpha: Alpha, pool: Collection[str], settings: Settings) -> dict[str, float]:
    """Weights by the full names of teachers: those that were typed, or all of `pool`, which wrote something.

    Raises UsageProblem for a name that no teacher has, or for two that are one's."""
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
    """Teachers that wrote something come first; one that is only configured gets the better message later on."""
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
        raise UsageProblem(f"Several data sets have {what}: {choices(fitting)}.", "Say which: --dataset NAME")
    if any(available.values()):
        has = "; ".join(f"{name}: {choices(wrote)}" for name, wrote in sorted(available.items()) if wrote)
        raise UsageProblem(f"No data set in the database has {what}.", f"There are rationales for {has}.")
    example = min(teachers, default="expert")
    raise UsageProblem(
        f"No data set in the database has {what}.", f"Run: tinyllm elicit --teacher {example} --dataset everyday"
    )


def _no_rationales(dataset: str, teacher: str) -> UsageProblem:
    named = "expert" if teacher == "any teacher" else teacher
    return UsageProblem(
        f"The database has no rationales of {teacher} for {dataset}, split train.",
        f"Run: tinyllm elicit --teacher {named} --dataset {dataset} (or --alpha 0 for full fine-tuning)",
    )


@dataclass(frozen=True, kw_only=True)
class WeightedTeacher:
    """A teacher in training: its instruction prefix p_m and its weight alpha_m."""

    teacher: str
    prefix: str
    alpha: float
