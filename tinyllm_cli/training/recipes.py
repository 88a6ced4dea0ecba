"""Recipes: named settings of a training, chosen by the student's family and size and by the amount of data.

A recipe gives the settings that the user does not. What it chose is recorded as the run's settings; two recipes that
choose the same settings train the same run. docs/results.md says how `best` was chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tinyllm_cli.records.settings import TrainSettings
from tinyllm_cli.students.shape import StudentShape

TrainingRecipe = Literal["best", "paper", "authors", "quick"]
DEFAULT_RECIPE: TrainingRecipe = "best"

_RELIABLE_VALID = 200
"""Validation questions from which an accuracy says more than noise: half its 95 % interval is 7 points at most."""

_SMALL_STUDENT, _LARGE_STUDENT = 1e9, 3e9  # parameters


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What a recipe depends on: the student, and the numbers of training and validation questions."""

    shape: StudentShape
    questions: int
    valid: int


def recipe_settings(recipe: TrainingRecipe, situation: Situation) -> Mapping[str, Any]:
    """Fields of TrainSettings with the values of the recipe; the others have their defaults."""
    return _RECIPES[recipe](situation)


def with_recipe(recipe: TrainingRecipe, situation: Situation, given: Mapping[str, Any]) -> TrainSettings:
    """The recipe's settings, of which `given` replaces some. A length of the training that is given replaces the
    recipe's, in whichever unit it is.

    Raises UsageProblem for a value that no training can have."""
    chosen = dict(recipe_settings(recipe, situation))
    for one in _SAME_QUANTITY:
        if not one.isdisjoint(given):
            chosen = {name: value for name, value in chosen.items() if name not in one}
    return TrainSettings(**{**chosen, **given})


_SAME_QUANTITY = (
    frozenset({"epochs", "max_steps"}),
    frozenset({"warmup_steps", "warmup_ratio"}),
    frozenset({"evals_per_epoch", "eval_every"}),
)


def _paper(_situation: Situation) -> Mapping[str, Any]:
    """TinyLLM (arXiv 2402.04616), section 4.1: batch 8, learning rate 5e-5, one epoch."""
    return {"epochs": 1, "batch_size": 8, "lr": 5e-5}


def _authors(_situation: Situation) -> Mapping[str, Any]:
    """The trainer that the authors published: 8 accumulated batches of 8 questions, 10,000 steps, linear decay, an
    evaluation every 250 steps, the mean over target tokens."""
    return {"max_steps": 10_000, "batch_size": 64, "lr": 5e-5, "eval_every": 250, "reading": "token"}


def _best(situation: Situation) -> Mapping[str, Any]:
    """As many passes as published recipes for small students make, ended by early stopping."""
    questions = situation.questions
    return {
        "epochs": 20 if questions < 5_000 else 10 if questions < 50_000 else 3,
        "batch_size": 32 if questions >= 640 else 8,  # fewer questions would give too few steps an epoch
        "lr": _learning_rate(situation.shape),
        "warmup_ratio": 0.1,
        "evals_per_epoch": 1,
        "patience": 3,
        "select_by": "accuracy" if situation.valid >= _RELIABLE_VALID else "loss",
    }


def _quick(situation: Situation) -> Mapping[str, Any]:
    """At most 200 steps: whether everything works, not how well."""
    return {
        "max_steps": min(200, 3 * -(-situation.questions // 16)),
        "batch_size": 16,
        "lr": _learning_rate(situation.shape),
        "warmup_ratio": 0.1,
        "evals_per_epoch": 1,
        "select_by": "loss",
    }


def _learning_rate(shape: StudentShape) -> float:
    """Of AdamW. T5 was trained with large rates and bears them; larger models of any kind need smaller ones."""
    size = shape.parameters or _SMALL_STUDENT / 2
    if shape.kind == "seq2seq":
        return 3e-4 if size < _SMALL_STUDENT else 1e-4
    return 2e-4 if size < _SMALL_STUDENT else 5e-5 if size < _LARGE_STUDENT else 2e-5


_RECIPES: Mapping[TrainingRecipe, Callable[[Situation], Mapping[str, Any]]] = {
    "best": _best,
    "paper": _paper,
    "authors": _authors,
    "quick": _quick,
}
RECIPES = tuple(_RECIPES)
