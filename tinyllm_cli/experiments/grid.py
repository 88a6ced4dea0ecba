"""What a plan is made of: cells, what is left out and why, and what all runs share.

Pure: knows commands as lists of words, and what teachers wrote as plain data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from tinyllm_cli.datasets.question import canonical

Label = Mapping[str, str | int | float]
"""What tells a cell from the others of its plan."""


@dataclass(frozen=True, kw_only=True)
class ExperimentCell:
    """One training and its evaluation. `distill` are the words after `tinyllm distill`, None where nothing is
    trained; `evaluate` those after `tinyllm eval`, to which the run's number is added, None where only the valid
    accuracy is wanted."""

    label: Label
    distill: tuple[str, ...] | None
    evaluate: tuple[str, ...] | None
    edition: str = ""
    """Changes with what the words stand for: the questions, the rationales, the student's files."""

    @property
    def identity(self) -> str:
        """What was done once under it, whatever the plan, is not done again."""
        return hashlib.sha256(canonical([self.distill, self.evaluate, self.edition]).encode()).hexdigest()[:32]

    def as_json(self) -> dict[str, Any]:
        return {"label": dict(self.label), "distill": self.distill, "evaluate": self.evaluate, "edition": self.edition,
                "identity": self.identity}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ExcludedPart:
    """What can't be part of the plan, the command that makes what it lacks, and the teacher that this asks."""

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
    """What there is of one data set. `writers` are the teachers that wrote anything about its training questions;
    `unforced` those that were asked about all of a split without the gold answer, by split; `without_icl` those that
    were asked without in-context examples as well as in the way that counts otherwise. `edition` changes with the
    questions and with what was written about them."""

    dataset: str
    questions: int
    valid: bool = True
    writers: frozenset[str] = frozenset()
    unforced: Mapping[str, frozenset[str]] = field(default_factory=dict)
    without_icl: frozenset[str] = frozenset()
    edition: str = ""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What all runs of an experiment share. `alphas` maps each teacher to its weight; `more` are further words for
    `tinyllm distill`; `fingerprints` tell states of a local student apart."""

    coverages: Sequence[Coverage]
    students: Sequence[str]
    alphas: Mapping[str, float]
    seeds: Sequence[int] = (0,)
    limit: int | None = None
    more: tuple[str, ...] = ()
    scoring: str = "rank"
    test_limit: int | None = None
    fingerprints: Mapping[str, str] = field(default_factory=dict)

    @property
    def on_answers(self) -> str:
        """The method that trains on the answers alone: with LoRA where `more` asks for it."""
        return "finetune" if last_value(self.more, "--lora-rank") in (None, "0") else "lora"


@dataclass
class PlanBuilder:
    """Gathers a plan."""

    setup: Setup
    cells: list[ExperimentCell] = field(default_factory=list)
    left_out: list[ExcludedPart] = field(default_factory=list)

    def evaluate(self, scoring: str | None = None) -> tuple[str, ...]:
        limit = () if self.setup.test_limit is None else ("--limit", str(self.setup.test_limit))
        trusting = ("--trust-remote-code",) if "--trust-remote-code" in self.setup.more else ()
        return ("--split", "test", "--scoring", scoring or self.setup.scoring, *limit, *trusting)

    def edition(self, coverage: Coverage, student: str = "") -> str:
        return f"{coverage.edition} {self.setup.fingerprints.get(student, '')}".strip()

    def add(
        self, coverage: Coverage, student: str, label: Label, *words: str, alphas: Mapping[str, float] | None = None,
        limit: int | None = None, seeds: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        """One run for each seed."""
        setup = self.setup
        limit = limit or setup.limit
        for seed in setup.seeds if seeds is None else seeds:
            self.cells.append(
                ExperimentCell(
                    label={"dataset": coverage.dataset, "student": student, **label, "seed": seed},
                    distill=(
                        "--dataset", coverage.dataset, "--student", student, "--alpha", alpha_text(alphas or {}),
                        "--seed", str(seed), *(() if limit is None else ("--limit", str(limit))), *words, *setup.more,
                    ),
                    evaluate=self.evaluate(),
                    edition=self.edition(coverage, student),
                )
            )  # fmt: skip

    def miss(self, what: str, command: str, teacher: str) -> None:
        self.left_out.append(ExcludedPart(what=what, command=command, teacher=teacher))

    def each(self) -> Iterator[tuple[Coverage, str]]:
        return product(self.setup.coverages, self.setup.students)

    def alphas(self, coverage: Coverage) -> dict[str, float]:
        """The setup's alphas of the teachers that have rationales here."""
        return {name: alpha for name, alpha in self.setup.alphas.items() if name in coverage.writers and alpha > 0}

    def plan(self, name: str) -> ExperimentPlan:
        """With what teachers lack for it: where rationales are learnt, those of a teacher without any are not."""
        known = {one.command for one in self.left_out}
        learnt = {
            cell.label["dataset"] for cell in self.cells if (last_value(cell.distill or (), "--alpha") or "0") != "0"
        }
        for coverage, (teacher, alpha) in product(self.setup.coverages, self.setup.alphas.items()):
            command = f"tinyllm elicit --teacher {teacher} --dataset {coverage.dataset}"
            lacks = alpha > 0 and teacher not in coverage.writers and coverage.dataset in learnt
            if lacks and command not in known:
                self.miss(
                    f"{teacher} in every run on {coverage.dataset}: it has written no rationale", command, teacher
                )
        return ExperimentPlan(name=name, cells=tuple(self.cells), left_out=tuple(self.left_out))


def last_value(words: Sequence[str], option: str) -> str | None:
    """What `option` is set to among a command's words, as the command reads them: the last one counts."""
    parts = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    found = [parts[place + 1] for place, part in enumerate(parts[:-1]) if part == option]
    return found[-1] if found else None


def alpha_text(alphas: Mapping[str, float]) -> str:
    """As `--alpha` reads it; no teacher at all is 0."""
    return ",".join(f"{name}={alpha:g}" for name, alpha in alphas.items()) or "0"
