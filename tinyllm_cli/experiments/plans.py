"""The paper's experiments as plans: which runs, told apart by what, and what is left out for want of rationales.

The same training has the same words in each of them, so that it is done once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from tinyllm_cli.datasets.question import SPLITS
from tinyllm_cli.experiments.grid import Coverage, ExperimentCell, ExperimentPlan, Label, PlanBuilder, Setup, last_value
from tinyllm_cli.rationales.teacher_answers import unforced_command

GRID = (0.01, 0.1, 0.5, 1.0, 2.0, 3.0)
"""The paper's alphas for each teacher."""

FRACTIONS = (0.125, 0.25, 0.5, 0.75, 1.0)
"""The paper's shares of the training set. `--limit` takes the first questions, so a smaller set lies in a larger."""

METHODS = ("inference", "finetune", "lora", "standard-kd", "distill-step-by-step", "pinto", "tinyllm", "teachers")


def table1(setup: Setup, methods: Sequence[str] = METHODS) -> ExperimentPlan:
    """Every method on every data set and student; fine-tuning once, where all of it is with LoRA."""
    sketch = PlanBuilder(setup)
    once = setup.on_answers == "lora" and "lora" in methods
    methods = [method for method in methods if not (once and method == "finetune")]
    for coverage, student in sketch.each():
        for method in methods:
            if method != "teachers":
                _method(sketch, coverage, student, method)
    if "teachers" in methods:
        for coverage in setup.coverages:
            _teachers(sketch, coverage)
    return sketch.plan("table1")


def _method(sketch: PlanBuilder, coverage: Coverage, student: str, method: str) -> None:
    alphas = sketch.alphas(coverage)
    if method == "inference":
        longest = last_value(sketch.setup.more, "--max-input")
        as_trained = () if longest is None else ("--max-input", longest)
        words = ("--model", student, "--dataset", coverage.dataset, *as_trained, *sketch.evaluate())
        label: Label = {"dataset": coverage.dataset, "student": student, "method": method}
        sketch.cells.append(
            ExperimentCell(label=label, distill=None, evaluate=words, edition=sketch.edition(coverage, student))
        )
    elif method == "finetune":
        sketch.add(coverage, student, {"method": sketch.setup.on_answers})
    elif method == "lora":
        sketch.add(coverage, student, {"method": method}, "--method", method)
    elif method in ("standard-kd", "pinto"):
        _by_themselves(sketch, coverage, student, method)
    elif method == "distill-step-by-step":
        for name, alpha in alphas.items():
            label = {"method": method, "teacher": name}
            sketch.add(coverage, student, label, alphas={name: alpha})
        if not alphas:
            _lacks_rationales(sketch, coverage, method)
    elif len(alphas) > 1:
        sketch.add(coverage, student, {"method": method}, alphas=alphas)
    else:
        _lacks_rationales(sketch, coverage, method)


def _by_themselves(sketch: PlanBuilder, coverage: Coverage, student: str, method: str) -> None:
    """Methods that need what teachers answered without the gold answer: standard-kd about train, PINTO about all."""
    splits = ["train"] if method == "standard-kd" else [s for s in SPLITS if s != "valid" or coverage.valid]
    asked = {split: coverage.unforced.get(split, frozenset()) for split in splits}
    able = frozenset.intersection(*asked.values())
    alphas = {name: alpha for name, alpha in sketch.setup.alphas.items() if name in able and alpha > 0}
    if alphas:
        sketch.add(coverage, student, {"method": method}, "--method", method, alphas=alphas)
        return
    teacher = max(
        sketch.setup.alphas, key=lambda name: sum(name in those for those in asked.values()), default="llama2"
    )
    lacking = [split for split in splits if teacher not in asked[split]]
    sketch.miss(
        f"{method} on {coverage.dataset}: no teacher has answered {' and '.join(splits)} without the gold answer",
        " && ".join(unforced_command(teacher, coverage.dataset, split) for split in lacking),
        teacher,
    )


def _teachers(sketch: PlanBuilder, coverage: Coverage) -> None:
    for name in sketch.setup.alphas:
        if name in coverage.unforced.get("test", ()):
            words = ("--teacher", name, "--dataset", coverage.dataset, *sketch.evaluate("generate"))
            label: Label = {"dataset": coverage.dataset, "method": "teacher", "teacher": name}
            sketch.cells.append(
                ExperimentCell(label=label, distill=None, evaluate=words, edition=sketch.edition(coverage))
            )
        else:
            sketch.miss(
                f"{name} itself on {coverage.dataset}: it has not answered test without the gold answer",
                unforced_command(name, coverage.dataset, "test"),
                name,
            )


def _lacks_rationales(sketch: PlanBuilder, coverage: Coverage, method: str) -> None:
    fewest = "two teachers" if method == "tinyllm" else "a teacher"
    lacking = next((name for name in sketch.setup.alphas if name not in coverage.writers), "llama2")
    sketch.miss(
        f"{method} on {coverage.dataset}: it needs rationales of {fewest}",
        f"tinyllm elicit --teacher {lacking} --dataset {coverage.dataset}",
        lacking,
    )


def ablation(setup: Setup) -> ExperimentPlan:
    """Without in-context examples, without each teacher, each teacher alone, and the controls."""
    sketch = PlanBuilder(setup)
    for coverage, student in sketch.each():
        alphas = sketch.alphas(coverage)
        if len(alphas) < 2:
            _lacks_rationales(sketch, coverage, "tinyllm")
            continue
        sketch.add(coverage, student, {"variant": "all teachers"}, alphas=alphas)
        lacking = [name for name in alphas if name not in coverage.without_icl]
        if not lacking:
            sketch.add(coverage, student, {"variant": "without in-context examples"}, "--icl", "0", alphas=alphas)
        for name in lacking:
            sketch.miss(
                f"without in-context examples on {coverage.dataset}: {name} was not asked both with and without them",
                f"tinyllm elicit --teacher {name} --dataset {coverage.dataset} --icl 0",
                name,
            )
        for name in alphas:
            others = {other: alpha for other, alpha in alphas.items() if other != name}
            if len(others) > 1:
                sketch.add(coverage, student, {"variant": f"without {name}"}, alphas=others)
        for name, alpha in alphas.items():
            others_without = [other for other in alphas if other != name]
            variant = f"{name} alone" + (f" (without {others_without[0]})" if len(others_without) == 1 else "")
            sketch.add(coverage, student, {"variant": variant}, alphas={name: alpha})
        sketch.add(coverage, student, {"variant": "no rationales"})
        sketch.add(coverage, student, {"variant": "rationales shuffled"}, "--shuffle-rationales", alphas=alphas)
    return sketch.plan("ablation")


def train_size(setup: Setup, fractions: Sequence[float] = FRACTIONS) -> ExperimentPlan:
    """Accuracy against the share of the training set, with full fine-tuning on all of it."""
    sketch = PlanBuilder(setup)
    for coverage, student in sketch.each():
        alphas = sketch.alphas(coverage)
        whole = min(coverage.questions, setup.limit or coverage.questions)
        for fraction in fractions:
            # All of them is what the other experiments train on too: no limit of its own, so that it's the same run.
            limit = max(1, round(whole * fraction)) if fraction < 1 else None
            if len(alphas) > 1:
                label: Label = {"method": "tinyllm", "fraction": fraction}
                sketch.add(coverage, student, label, alphas=alphas, limit=limit)
            for name, alpha in alphas.items():
                label = {"method": "distill-step-by-step", "teacher": name, "fraction": fraction}
                sketch.add(coverage, student, label, alphas={name: alpha}, limit=limit)
        if not alphas:
            _lacks_rationales(sketch, coverage, "distill-step-by-step")
        sketch.add(coverage, student, {"method": setup.on_answers, "fraction": 1.0})
    return sketch.plan("train-size")


def alpha_grid(setup: Setup, grid: Sequence[float] = GRID) -> ExperimentPlan:
    """One teacher's alpha at each value of the grid, the others as they are."""
    sketch = PlanBuilder(setup)
    for coverage, student in sketch.each():
        alphas = sketch.alphas(coverage)
        for name in alphas:
            for value in grid:
                sketch.add(coverage, student, {"teacher": name, "alpha": value}, alphas={**alphas, name: value})
        if not alphas:
            _lacks_rationales(sketch, coverage, "distill-step-by-step")
    return sketch.plan("alpha")


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The alpha of a grid with the best valid accuracy, on average over `seeds` runs."""

    dataset: str
    student: str
    teacher: str
    alpha: float
    valid: float
    seeds: int
    tried: int


def best_on_valid(tried: Iterable[tuple[Label, float]]) -> list[Chosen]:
    """For each data set and student, from the labels of a grid's cells and their valid accuracies. Of equals, the
    first."""
    places: dict[tuple[str, str], dict[tuple[str, float], list[float]]] = {}
    for label, valid in tried:
        points = places.setdefault((str(label["dataset"]), str(label["student"])), {})
        points.setdefault((str(label["teacher"]), float(label["alpha"])), []).append(valid)
    chosen = []
    for (dataset, student), points in places.items():
        (teacher, alpha), found = max(points.items(), key=lambda point: fmean(point[1]))
        chosen.append(
            Chosen(dataset=dataset, student=student, teacher=teacher, alpha=alpha, valid=fmean(found),
                   seeds=len(found), tried=len(points))
        )  # fmt: skip
    return chosen


def seeds(setup: Setup) -> ExperimentPlan:
    """The same run under several seeds, with full fine-tuning beside it."""
    sketch = PlanBuilder(setup)
    for coverage, student in sketch.each():
        alphas = sketch.alphas(coverage)
        if alphas:
            sketch.add(
                coverage, student, {"method": "tinyllm" if len(alphas) > 1 else "distill-step-by-step"}, alphas=alphas
            )
        sketch.add(coverage, student, {"method": setup.on_answers})
    return sketch.plan("seeds")
