"""A training of one student, as the store holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tinyllm_cli.records.settings import RunSettings

RunState = Literal["running", "done", "stopped", "failed"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training of one student. `alpha` maps teacher to weight; `lineage` says which rationales were used."""

    id: int
    method: str
    student: str
    dataset: str
    alpha: Mapping[str, float]
    seed: int
    settings: RunSettings
    lineage: Mapping[str, Any]
    state: RunState
    figures: Mapping[str, Any]
    folder: str
    command: str
    versions: Mapping[str, str]
    started: str
    finished: str | None = None
    error: str | None = None

    @property
    def checkpoint(self) -> str | None:
        """What tells its student from an earlier one in the same folder; None where none is named yet."""
        step = self.figures.get("best_step") if self.state != "running" else None
        return None if step is None else f"step {step}"

    @property
    def valid_accuracy(self) -> float | None:
        """Of the student on disk, also during the training; None without a valid split."""
        best = self.figures.get("best_step")
        return next((point["accuracy"] for point in self.figures.get("valid", ()) if point["step"] == best), None)
