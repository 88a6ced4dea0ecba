"""The paper's experiments as plans: which runs, told apart by what, and what is left out for want of material.

Pure: knows commands as lists of words, and what material there is as plain data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

GRID = (0.01, 0.1, 0.5, 1.0, 2.0, 3.0)
"""The paper's alphas for each teacher."""

FRACTIONS = (0.125, 0.25, 0.5, 0.75, 1.0)
"""The paper's shares of the training set. `--limit` takes the first questions, so a smaller set lies in a larger."""

METHODS = ("inference", "finetune", "lora", "standard-kd", "distill-step-by-step", "pinto", "tinyllm", "teachers")

Label = Mapping[str, str | int | float]
"""What tells a cell from the others of its plan."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training and its evaluation. `distill` are the words after `tinyllm distill`, None where nothing is
    trained; `evaluate` those after `tinyllm eval`, to which the run's number is added, None where only the valid
    accuracy is wanted."""

    label: Label
    distill: tuple[str, ...] | None
    evaluate: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """What can't be part of the plan, and the command that makes what it lacks."""

    what: str
    command: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    name: str
    cells: tuple[Cell, ...]
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Material:
    """What there is of one data set. `forced` are the teachers that explained gold answers, `free` those that answered
    all of train and valid (and `tested` test) by themselves; `without_icl` those whose prompts held no examples."""

    dataset: str
    questions: int
    forced: frozenset[str] = frozenset()
    free: frozenset[str] = frozenset()
    tested: frozenset[str] = frozenset()
    without_icl: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What all runs of an experiment share. `alphas` maps each teacher to its weight; `more` are further words for
    `tinyllm distill`."""

    materials: Sequence[Material]
    students: Sequence[str]
    alphas: Mapping[str, float]
    seeds: Sequence[int] = (0,)
    limit: int | None = None
    more: tuple[str, ...] = ()
    scoring: str = "rank"
    test_limit: int | None = None


@dataclass
class _Sketch:
    """Gathers a plan."""

    setup: Setup
    cells: list[Cell] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def evaluate(self) -> tuple[str, ...]:
        limit = () if self.setup.test_limit is None else ("--limit", str(self.setup.test_limit))
        return ("--split", "test", "--scoring", self.setup.scoring, *limit)

    def add(
        self, material: Material, student: str, label: Label, *words: str, alphas: Mapping[str, float] | None = None,
        limit: int | None = None, seeds: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        """One run for each seed."""
        setup = self.setup
        limit = limit or setup.limit
        for seed in setup.seeds if seeds is None else seeds:
            self.cells.append(
                Cell(
                    label={"dataset": material.dataset, "student": student, **label, "seed": seed},
                    distill=(
                        "--dataset", material.dataset, "--student", student, "--alpha", alpha_text(alphas or {}),
                        "--seed", str(seed), *(() if limit is None else ("--limit", str(limit))), *words, *setup.more,
                    ),
                    evaluate=self.evaluate(),
                )
            )  # fmt: skip

    def miss(self, what: str, command: str) -> None:
        self.left_out.append(LeftOut(what=what, command=command))

    def each(self) -> Iterator[tuple[Material, str]]:
        return product(self.setup.materials, self.setup.students)

    def alphas(self, material: Material) -> dict[str, float]:
        """The setup's alphas of the teachers that have rationales here."""
        return {name: alpha for name, alpha in self.setup.alphas.items() if name in material.forced and alpha > 0}

    def plan(self, name: str) -> Plan:
        return Plan(name=name, cells=tuple(self.cells), left_out=tuple(self.left_out))


def alpha_text(alphas: Mapping[str, float]) -> str:
    """As `--alpha` reads it; no teacher at all is 0."""
    return ",".join(f"{name}={alpha:g}" for name, alpha in alphas.items()) or "0"


def table1(setup: Setup, methods: Sequence[str] = METHODS) -> Plan:
    """Every method on every data set and student."""
    sketch = _Sketch(setup)
    for material, student in sketch.each():
        for method in methods:
            if method != "teachers":
                _method(sketch, material, student, method)
    if "teachers" in methods:
        for material in setup.materials:
            _teachers(sketch, material)
    return sketch.plan("table1")


def _method(sketch: _Sketch, material: Material, student: str, method: str) -> None:
    alphas = sketch.alphas(material)
    if method == "inference":
        words = ("--model", student, "--dataset", material.dataset, *sketch.evaluate())
        label: Label = {"dataset": material.dataset, "student": student, "method": method}
        sketch.cells.append(Cell(label=label, distill=None, evaluate=words))
    elif method in ("finetune", "lora"):
        sketch.add(material, student, {"method": method}, "--method", method)
    elif method in ("standard-kd", "pinto"):
        _by_themselves(sketch, material, student, method)
    elif method == "distill-step-by-step":
        for name, alpha in alphas.items():
            label = {"method": method, "teacher": name}
            sketch.add(material, student, label, "--method", method, alphas={name: alpha})
        if not alphas:
            _lacks_rationales(sketch, material, method)
    elif len(alphas) > 1:
        sketch.add(material, student, {"method": method}, "--method", method, alphas=alphas)
    else:
        _lacks_rationales(sketch, material, method)


def _by_themselves(sketch: _Sketch, material: Material, student: str, method: str) -> None:
    """Methods that need what teachers answered without the gold answer, PINTO also about test questions."""
    able = material.free & material.tested if method == "pinto" else material.free
    alphas = {name: alpha for name, alpha in sketch.setup.alphas.items() if name in able and alpha > 0}
    if alphas:
        sketch.add(material, student, {"method": method}, "--method", method, alphas=alphas)
        return
    teacher = next(iter(sketch.setup.alphas), "llama2")
    splits = "train,valid,test" if method == "pinto" else "train"
    sketch.miss(
        f"{method} on {material.dataset}: no teacher has answered {splits} without the gold answer",
        f"tinyllm elicit --teacher {teacher} --dataset {material.dataset} --split {splits.split(',')[0]}"
        " --no-teacher-forcing" + (" (then the same for valid and test)" if method == "pinto" else ""),
    )


def _teachers(sketch: _Sketch, material: Material) -> None:
    for name in sketch.setup.alphas:
        if name in material.tested:
            limit = () if sketch.setup.test_limit is None else ("--limit", str(sketch.setup.test_limit))
            words = (
                "--teacher",
                name,
                "--dataset",
                material.dataset,
                "--split",
                "test",
                "--scoring",
                "generate",
                *limit,
            )
            label: Label = {"dataset": material.dataset, "method": "teacher", "teacher": name}
            sketch.cells.append(Cell(label=label, distill=None, evaluate=words))
        else:
            sketch.miss(
                f"{name} itself on {material.dataset}: it has not answered test without the gold answer",
                f"tinyllm elicit --teacher {name} --dataset {material.dataset} --split test --no-teacher-forcing",
            )


def _lacks_rationales(sketch: _Sketch, material: Material, method: str) -> None:
    fewest = "two teachers" if method == "tinyllm" else "a teacher"
    lacking = next((name for name in sketch.setup.alphas if name not in material.forced), "llama2")
    sketch.miss(
        f"{method} on {material.dataset}: it needs rationales of {fewest}",
        f"tinyllm elicit --teacher {lacking} --dataset {material.dataset}",
    )


def ablation(setup: Setup) -> Plan:
    """Without in-context examples, without each teacher, each teacher alone, and the controls."""
    sketch = _Sketch(setup)
    for material, student in sketch.each():
        alphas = sketch.alphas(material)
        if len(alphas) < 2:
            _lacks_rationales(sketch, material, "tinyllm")
            continue
        sketch.add(material, student, {"variant": "all teachers"}, alphas=alphas)
        if alphas.keys() <= material.without_icl:
            sketch.add(material, student, {"variant": "without in-context examples"}, "--icl", "0", alphas=alphas)
        for name in alphas.keys() - material.without_icl:
            sketch.miss(
                f"without in-context examples on {material.dataset}: {name} was never asked so",
                f"tinyllm elicit --teacher {name} --dataset {material.dataset} --icl 0",
            )
        for name in alphas:
            others = {other: alpha for other, alpha in alphas.items() if other != name}
            if len(others) > 1:
                sketch.add(material, student, {"variant": f"without {name}"}, alphas=others)
        for name, alpha in alphas.items():
            others_without = [other for other in alphas if other != name]
            variant = f"{name} alone" + (f" (without {others_without[0]})" if len(others_without) == 1 else "")
            sketch.add(material, student, {"variant": variant}, alphas={name: alpha})
        sketch.add(material, student, {"variant": "no rationales"})
        sketch.add(material, student, {"variant": "rationales shuffled"}, "--shuffle-rationales", alphas=alphas)
    return sketch.plan("ablation")


def train_size(setup: Setup, fractions: Sequence[float] = FRACTIONS) -> Plan:
    """Accuracy against the share of the training set, with full fine-tuning on all of it."""
    sketch = _Sketch(setup)
    for material, student in sketch.each():
        alphas = sketch.alphas(material)
        whole = min(material.questions, setup.limit or material.questions)
        for fraction in fractions:
            limit = max(1, round(whole * fraction))
            if len(alphas) > 1:
                label: Label = {"method": "tinyllm", "fraction": fraction}
                sketch.add(material, student, label, alphas=alphas, limit=limit)
            for name, alpha in alphas.items():
                label = {"method": "distill-step-by-step", "teacher": name, "fraction": fraction}
                sketch.add(material, student, label, alphas={name: alpha}, limit=limit)
        if not alphas:
            _lacks_rationales(sketch, material, "distill-step-by-step")
        sketch.add(material, student, {"method": "finetune", "fraction": 1.0}, limit=whole)
    return sketch.plan("train-size")


def alpha_grid(setup: Setup, grid: Sequence[float] = GRID) -> Plan:
    """One teacher's alpha at each value of the grid, the others as they are."""
    sketch = _Sketch(setup)
    for material, student in sketch.each():
        alphas = sketch.alphas(material)
        for name in alphas:
            for value in grid:
                sketch.add(material, student, {"teacher": name, "alpha": value}, alphas={**alphas, name: value})
        if not alphas:
            _lacks_rationales(sketch, material, "distill-step-by-step")
    return sketch.plan("alpha")


def seeds(setup: Setup) -> Plan:
    """The same run under several seeds, with full fine-tuning beside it."""
    sketch = _Sketch(setup)
    for material, student in sketch.each():
        alphas = sketch.alphas(material)
        if alphas:
            sketch.add(
                material, student, {"method": "tinyllm" if len(alphas) > 1 else "distill-step-by-step"}, alphas=alphas
            )
        sketch.add(material, student, {"method": "finetune"})
    return sketch.plan("seeds")
