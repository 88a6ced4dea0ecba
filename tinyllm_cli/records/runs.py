"""A training of one student, as the store holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tinyllm_cli.records.settings import RunSettings, Target

RunState = Literal["running", "done", "stopped", "failed"]


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """What is equal for two runs of the same training. `alpha` maps teacher to weight; `sources` says by teacher which
    rationales were used; `versions` are those of tinyllm and its libraries."""

    method: str
    student: str
    dataset: str
    alpha: Mapping[str, float]
    seed: int
    settings: RunSettings
    sources: Mapping[str, Any]
    versions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training of one student. `alpha` maps teacher to weight; `sources` says by teacher which rationales were
    used; `folder` is the absolute path of the student."""

    id: int
    method: str
    student: str
    dataset: str
    alpha: Mapping[str, float]
    seed: int
    settings: RunSettings
    sources: Mapping[str, Any]
    state: RunState
    metrics: Mapping[str, Any]
    folder: str
    command: str
    versions: Mapping[str, str]
    started: str
    finished: str | None = None
    error: str | None = None

    @property
    def explains(self) -> Target | None:
        """What the student has learned to write: the target of its training; None where it learned no rationales."""
        return self.settings.train.target if self.settings.prefixes else None

    @property
    def checkpoint(self) -> int | None:
        """The step of the student that was kept; None while the run trains, or where no step is recorded yet."""
        return self.metrics.get("best_step") if self.state != "running" else None

    @property
    def valid_accuracy(self) -> float | None:
        """Of the student that was kept, also while the run trains; None without a valid split."""
        best = self.metrics.get("best_step")
        return next((point["accuracy"] for point in self.metrics.get("valid", ()) if point["step"] == best), None)
