"""What a plan consists of: cells, excluded parts with the reason, and what all runs share.

Pure: knows what teachers wrote as plain data, no store.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from tinyllm_cli.records.experiments import (
    CellEvaluation,
    CellTraining,
    ExperimentCell,
    Label,
    OptionValue,
    Scorings,
)


@dataclass(frozen=True, kw_only=True)
class ExcludedPart:
    """A part that the plan lacks, the command that produces what is missing, and the teacher that it asks."""

    what: str
    command: str
    teacher: str


@dataclass(frozen=True, kw_only=True)
class ExperimentPlan:
    name: str
    cells: tuple[ExperimentCell, ...]
    left_out: tuple[ExcludedPart, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """What the store has for one data set. `writers` are the teachers with any rationale for its training questions;
    `unforced` those that answered all of a split without the gold answer, by split; `without_icl` those that were
    asked both without in-context examples and in their main configuration. `edition` changes with the questions and
    with the rationales."""

    dataset: str
    questions: int
    valid: int = 0
    test: int = 0
    writers: frozenset[str] = frozenset()
    unforced: Mapping[str, frozenset[str]] = field(default_factory=dict)
    without_icl: frozenset[str] = frozenset()
    edition: str = ""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What all runs of an experiment share. `alphas` maps each teacher to its weight; `options` are further
    parameters of `distill` by name; `fingerprints` identify the state of a local student."""

    coverages: Sequence[Coverage]
    students: Sequence[str]
    alphas: Mapping[str, float]
    seeds: Sequence[int] = (0,)
    limit: int | None = None
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    scoring: Scorings = "rank"
    test_limit: int | None = None
    fingerprints: Mapping[str, str] = field(default_factory=dict)

    @property
    def on_answers(self) -> str:
        """The method that trains on the answers alone: LoRA where the options ask for it."""
        return "lora" if self.options.get("lora_rank") else "finetune"

    @property
    def max_input(self) -> int | None:
        """The longest input of the students in tokens; None: the default."""
        limit = self.options.get("max_input")
        return None if limit is None else int(limit)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A data set and a student. `alphas` are the setup's weights of the teachers that have rationales for it."""

    coverage: Coverage
    student: str
    alphas: Mapping[str, float]

    @property
    def dataset(self) -> str:
        return self.coverage.dataset


@dataclass
class PlanBuilder:
    """Collects the cells of a plan."""

    setup: Setup
    cells: list[ExperimentCell] = field(default_factory=list)
    left_out: list[ExcludedPart] = field(default_factory=list)

    def places(self) -> Iterator[Place]:
        for coverage, student in product(self.setup.coverages, self.setup.students):
            yield Place(coverage=coverage, student=student, alphas=self.alphas(coverage))

    def alphas(self, coverage: Coverage) -> dict[str, float]:
        """The setup's alphas of the teachers that have rationales here."""
        return {name: alpha for name, alpha in self.setup.alphas.items() if name in coverage.writers and alpha > 0}

    def training(self, place: Place, alphas: Mapping[str, float] | None = None) -> CellTraining:
        """The training of this student with these teachers, without gates as in the paper unless the options say
        otherwise; without any teacher, on the answers alone."""
        options = {"gates": False, **self.setup.options} if alphas else self.setup.options
        return CellTraining(
            dataset=place.dataset, student=place.student, alpha=alphas or {}, limit=self.setup.limit, options=options
        )

    def evaluation(self, scoring: Scorings | None = None) -> CellEvaluation:
        return CellEvaluation(
            scoring=scoring or self.setup.scoring, limit=self.setup.test_limit,
            trust_remote_code=bool(self.setup.options.get("trust_remote_code")),
        )  # fmt: skip

    def edition(self, coverage: Coverage, student: str = "") -> str:
        return f"{coverage.edition} {self.setup.fingerprints.get(student, '')}".strip()

    def add(self, place: Place, label: Label, training: CellTraining) -> None:
        """One run for each seed."""
        for seed in self.setup.seeds:
            self.cells.append(
                ExperimentCell(
                    label={"dataset": place.dataset, "student": place.student, **label, "seed": seed},
                    distill=replace(training, seed=seed),
                    evaluate=self.evaluation(),
                    edition=self.edition(place.coverage, place.student),
                )
            )

    def add_evaluation(self, coverage: Coverage, label: Label, evaluation: CellEvaluation) -> None:
        """A cell that trains nothing."""
        edition = self.edition(coverage, evaluation.model or "")
        label = {"dataset": coverage.dataset, **label}
        self.cells.append(ExperimentCell(label=label, distill=None, evaluate=evaluation, edition=edition))

    def exclude(self, what: str, command: str, teacher: str) -> None:
        self.left_out.append(ExcludedPart(what=what, command=command, teacher=teacher))

    def plan(self, name: str) -> ExperimentPlan:
        """The plan. Where its runs train on rationales, teachers without any are among the excluded parts."""
        known = {one.command for one in self.left_out}
        trained = {cell.distill.dataset for cell in self.cells if cell.distill is not None and cell.distill.teachers}
        for coverage, (teacher, alpha) in product(self.setup.coverages, self.setup.alphas.items()):
            command = shlex.join(["tinyllm", "elicit", "--teacher", teacher, "--dataset", coverage.dataset])
            lacks = alpha > 0 and teacher not in coverage.writers and coverage.dataset in trained
            if lacks and command not in known:
                what = f"{teacher} in every run on {coverage.dataset}: it has no rationales"
                self.exclude(what, command, teacher)
        return ExperimentPlan(name=name, cells=tuple(self.cells), left_out=tuple(self.left_out))
