"""Cells of an experiment: a training and its evaluation as typed values, and the commands that carry them out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Literal

from tinyllm_cli.datasets.question import canonical

OptionValue = str | int | float | bool

Label = Mapping[str, str | int | float]
"""What distinguishes a cell from the others of its plan, by column of the plan's table."""

Scorings = Literal["rank", "generate", "both", "explain"]


@dataclass(frozen=True, kw_only=True)
class CellTraining:
    """The arguments of one `tinyllm distill`. `method` is None where `alpha` and `options` imply it."""

    dataset: str
    student: str
    alpha: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    method: str | None = None
    limit: int | None = None
    valid_limit: int | None = None
    """Validation questions; None: as `limit`."""

    icl: int | None = None
    shuffle_rationales: bool = False
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    """Further parameters of `distill` by name, such as `{"epochs": 3, "gates": False}`."""

    @property
    def teachers(self) -> frozenset[str]:
        """The teachers with an alpha above 0."""
        return frozenset(name for name, weight in self.alpha.items() if weight > 0)

    def argv(self) -> tuple[str, ...]:
        """The words after `tinyllm distill`."""
        stated: dict[str, OptionValue | None] = {
            "dataset": self.dataset, "student": self.student, "alpha": alpha_text(self.alpha), "seed": self.seed,
            "limit": self.limit, "valid_limit": self.valid_limit, "method": self.method, "icl": self.icl,
        }  # fmt: skip
        shuffled: dict[str, OptionValue] = {"shuffle_rationales": True} if self.shuffle_rationales else {}
        return tuple(_words({**stated, **shuffled, **self.options}))


@dataclass(frozen=True, kw_only=True)
class CellEvaluation:
    """The arguments of one `tinyllm eval`. Without `run`, `model` and `teacher` it evaluates the cell's own run."""

    scoring: Scorings = "rank"
    split: str = "test"
    dataset: str | None = None
    run: int | None = None
    model: str | None = None
    teacher: str | None = None
    max_input: int | None = None
    limit: int | None = None
    trust_remote_code: bool = False

    def argv(self, trained: int | None = None) -> tuple[str, ...]:
        """The words after `tinyllm eval`; `trained` is the number of the cell's own run."""
        stated: dict[str, OptionValue | None] = {
            "run": self.run if trained is None else trained, "model": self.model, "teacher": self.teacher,
            "dataset": self.dataset, "max_input": self.max_input, "split": self.split, "scoring": self.scoring,
            "limit": self.limit,
        }  # fmt: skip
        return tuple(_words({**stated, **({"trust_remote_code": True} if self.trust_remote_code else {})}))


@dataclass(frozen=True, kw_only=True)
class ExperimentCell:
    """One training and its evaluation. `distill` is None where nothing is trained, `evaluate` where only the
    validation accuracy is needed."""

    label: Label
    distill: CellTraining | None
    evaluate: CellEvaluation | None
    edition: str = ""
    """Changes with the questions, the rationales and the student's files."""

    @cached_property
    def identity(self) -> str:
        """A hash of what is done. A cell that was done in any plan is not repeated."""
        done = [_plain(self.distill), _plain(self.evaluate), self.edition]
        return hashlib.sha256(canonical(done).encode()).hexdigest()[:32]

    def as_json(self) -> dict[str, Any]:
        return {"label": dict(self.label), "distill": _plain(self.distill), "evaluate": _plain(self.evaluate),
                "edition": self.edition, "identity": self.identity}  # fmt: skip


def alpha_text(alphas: Mapping[str, float]) -> str:
    """As `--alpha` reads it; no teacher is 0."""
    return ",".join(f"{name}={alpha:.12g}" for name, alpha in alphas.items()) or "0"


def _plain(part: CellTraining | CellEvaluation | None) -> dict[str, Any] | None:
    """The fields that differ from their defaults, so that a new field does not change the identity of older cells."""
    if part is None:
        return None
    values = {one.name: getattr(part, one.name) for one in fields(part)}
    return {
        name: _same_number(value) for name, value in values.items() if value not in ({}, None) and value is not False
    }


def _same_number(value: Any) -> Any:
    """1.0 as 1: a value has one spelling in JSON, however it was typed."""
    if isinstance(value, Mapping):
        return {name: _same_number(one) for name, one in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _words(values: Mapping[str, OptionValue | None]) -> Iterator[str]:
    for name, value in values.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            yield f"--{option}" if value else f"--no-{option}"
        elif value is not None:
            yield from (f"--{option}", str(value))
