"""The paper's experiments as plans: which runs they have, what distinguishes them, and what is excluded for lack of
rationales.

The same training is the same cell in each of them, so that it is done once.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from tinyllm_cli.datasets.question import SPLITS
from tinyllm_cli.experiments.grid import Coverage, ExperimentPlan, Place, PlanBuilder, Setup
from tinyllm_cli.rationales.teacher_answers import unforced_command
from tinyllm_cli.records.experiments import Label

GRID = (0.01, 0.1, 0.5, 1.0, 2.0, 3.0)
"""The paper's alphas for each teacher."""

FRACTIONS = (0.125, 0.25, 0.5, 0.75, 1.0)
"""The paper's shares of the training set. `--limit` takes the first questions, so a smaller set is part of a larger."""

GATED = "tinyllm+gates"
"""Our addition to the paper's methods, which have no gates."""

METHODS = (
    "inference",
    "finetune",
    "lora",
    "standard-kd",
    "distill-step-by-step",
    "pinto",
    "tinyllm",
    GATED,
    "teachers",
)


def table1(setup: Setup, methods: Sequence[str] = METHODS) -> ExperimentPlan:
    """Every method on every data set and student; fine-tuning once where all of it is with LoRA."""
    builder = PlanBuilder(setup)
    once = setup.on_answers == "lora" and "lora" in methods
    methods = [method for method in methods if not (once and method == "finetune")]
    for place in builder.places():
        for method in methods:
            if method != "teachers":
                _method(builder, place, method)
    if "teachers" in methods:
        for coverage in setup.coverages:
            _teachers(builder, coverage)
    return builder.plan("table1")


def _method(builder: PlanBuilder, place: Place, method: str) -> None:
    label: Label = {"method": method}
    if method == "inference":
        evaluation = replace(
            builder.evaluation(), model=place.student, dataset=place.dataset, max_input=builder.setup.max_input
        )
        builder.add_evaluation(place.coverage, {"student": place.student, **label}, evaluation)
    elif method == "finetune":
        builder.add(place, {"method": builder.setup.on_answers}, builder.training(place))
    elif method == "lora":
        builder.add(place, label, replace(builder.training(place), method=method))
    elif method in ("standard-kd", "pinto"):
        _without_gold_answers(builder, place, method)
    elif method == "distill-step-by-step":
        for name, alpha in place.alphas.items():
            builder.add(place, {**label, "teacher": name}, builder.training(place, {name: alpha}))
        if not place.alphas:
            _exclude_for_lack_of_rationales(builder, place.coverage, method)
    else:
        _several_teachers(builder, place, method)


def _several_teachers(builder: PlanBuilder, place: Place, method: str) -> None:
    if len(place.alphas) < 2:
        if method == "tinyllm":
            _exclude_for_lack_of_rationales(builder, place.coverage, method)
    elif method == GATED:
        _add_gated(builder, place, {"method": method})
    else:
        builder.add(place, {"method": method}, builder.training(place, place.alphas))


def _add_gated(builder: PlanBuilder, place: Place, label: Label) -> None:
    """TinyLLM with gates; nothing where all runs have them already."""
    training = builder.training(place, place.alphas)
    if not training.options["gates"]:
        builder.add(place, label, replace(training, options={**training.options, "gates": True}))


def _without_gold_answers(builder: PlanBuilder, place: Place, method: str) -> None:
    """Methods that need what teachers answered without the gold answer: standard-kd for train, PINTO for all splits."""
    coverage, weights = place.coverage, builder.setup.alphas
    splits = ["train"] if method == "standard-kd" else [s for s in SPLITS if s != "valid" or coverage.valid]
    asked = {split: coverage.unforced.get(split, frozenset()) for split in splits}
    complete = frozenset.intersection(*asked.values())
    alphas = {name: alpha for name, alpha in weights.items() if name in complete and alpha > 0}
    if alphas:
        training = builder.training(place, alphas)
        builder.add(place, {"method": method}, replace(training, method=method, options=builder.setup.options))
        return
    teacher = max(weights, key=lambda name: sum(name in those for those in asked.values()), default="llama2")
    lacking = [split for split in splits if teacher not in asked[split]]
    builder.exclude(
        f"{method} on {coverage.dataset}: no teacher has answered {' and '.join(splits)} without the gold answer",
        " && ".join(unforced_command(teacher, coverage.dataset, split) for split in lacking),
        teacher,
    )


def _teachers(builder: PlanBuilder, coverage: Coverage) -> None:
    for name in builder.setup.alphas:
        if name in coverage.unforced.get("test", ()):
            evaluation = replace(builder.evaluation("generate"), teacher=name, dataset=coverage.dataset)
            builder.add_evaluation(coverage, {"method": "teacher", "teacher": name}, evaluation)
        else:
            builder.exclude(
                f"{name} itself on {coverage.dataset}: it has not answered test without the gold answer",
                unforced_command(name, coverage.dataset, "test"),
                name,
            )


def _exclude_for_lack_of_rationales(builder: PlanBuilder, coverage: Coverage, method: str) -> None:
    fewest = "two teachers" if method == "tinyllm" else "a teacher"
    lacking = next((name for name in builder.setup.alphas if name not in coverage.writers), "llama2")
    builder.exclude(
        f"{method} on {coverage.dataset}: it needs rationales of {fewest}",
        shlex.join(["tinyllm", "elicit", "--teacher", lacking, "--dataset", coverage.dataset]),
        lacking,
    )


def ablation(setup: Setup) -> ExperimentPlan:
    """Without in-context examples, without each teacher, each teacher alone, and the controls."""
    builder = PlanBuilder(setup)
    for place in builder.places():
        if len(place.alphas) < 2:
            _exclude_for_lack_of_rationales(builder, place.coverage, "tinyllm")
        else:
            _ablate(builder, place)
    return builder.plan("ablation")


def _ablate(builder: PlanBuilder, place: Place) -> None:
    alphas = place.alphas
    whole = builder.training(place, alphas)
    builder.add(place, {"variant": "all teachers"}, whole)
    _add_gated(builder, place, {"variant": "all teachers, with gates"})
    lacking = [name for name in alphas if name not in place.coverage.without_icl]
    if not lacking:
        builder.add(place, {"variant": "without in-context examples"}, replace(whole, icl=0))
    for name in lacking:
        builder.exclude(
            f"without in-context examples on {place.dataset}: {name} was not asked both with and without them",
            shlex.join(["tinyllm", "elicit", "--teacher", name, "--dataset", place.dataset, "--icl", "0"]),
            name,
        )
    for name in alphas:
        others = {other: alpha for other, alpha in alphas.items() if other != name}
        if len(others) > 1:
            builder.add(place, {"variant": f"without {name}"}, builder.training(place, others))
    for name, alpha in alphas.items():
        others_without = [other for other in alphas if other != name]
        variant = f"{name} alone" + (f" (without {others_without[0]})" if len(others_without) == 1 else "")
        builder.add(place, {"variant": variant}, builder.training(place, {name: alpha}))
    builder.add(place, {"variant": "no rationales"}, builder.training(place))
    builder.add(place, {"variant": "rationales shuffled"}, replace(whole, shuffle_rationales=True))


def train_size(setup: Setup, fractions: Sequence[float] = FRACTIONS) -> ExperimentPlan:
    """Accuracy against the share of the training set, with full fine-tuning on all of it. The validation questions are
    the same for every share."""
    builder = PlanBuilder(setup)
    for place in builder.places():
        for fraction in fractions:
            size, valid = _share(setup, place.coverage, fraction)
            if len(place.alphas) > 1:
                training = replace(builder.training(place, place.alphas), limit=size, valid_limit=valid)
                builder.add(place, {"method": "tinyllm", "fraction": fraction}, training)
            for name, alpha in place.alphas.items():
                training = replace(builder.training(place, {name: alpha}), limit=size, valid_limit=valid)
                label: Label = {"method": "distill-step-by-step", "teacher": name, "fraction": fraction}
                builder.add(place, label, training)
        if not place.alphas:
            _exclude_for_lack_of_rationales(builder, place.coverage, "distill-step-by-step")
        builder.add(place, {"method": setup.on_answers, "fraction": 1.0}, builder.training(place))
    return builder.plan("train-size")


def _share(setup: Setup, coverage: Coverage, fraction: float) -> tuple[int | None, int | None]:
    """The limits of training and validation questions. All of them have no limit of their own: it is the same run as
    in the other experiments."""
    if fraction == 1:
        return setup.limit, None
    whole = min(coverage.questions, setup.limit or coverage.questions)
    valid = min(coverage.valid, setup.limit or coverage.valid)
    limit = max(1, round(whole * fraction))
    return limit, valid if valid > limit else None


def alpha_grid(setup: Setup, grid: Sequence[float] = GRID) -> ExperimentPlan:
    """One teacher's alpha at each value of the grid, the others unchanged."""
    builder = PlanBuilder(setup)
    for place in builder.places():
        for name in place.alphas:
            for value in grid:
                training = builder.training(place, {**place.alphas, name: value})
                builder.add(place, {"teacher": name, "alpha": value}, training)
        if not place.alphas:
            _exclude_for_lack_of_rationales(builder, place.coverage, "distill-step-by-step")
    return builder.plan("alpha")


def seeds(setup: Setup) -> ExperimentPlan:
    """The same run under several seeds, and full fine-tuning for comparison."""
    builder = PlanBuilder(setup)
    for place in builder.places():
        if place.alphas:
            method = "tinyllm" if len(place.alphas) > 1 else "distill-step-by-step"
            builder.add(place, {"method": method}, builder.training(place, place.alphas))
        builder.add(place, {"method": setup.on_answers}, builder.training(place))
    return builder.plan("seeds")
