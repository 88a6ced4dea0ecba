"""What carries out cells: processes here or on a cluster. The runner and the search know only this."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from tinyllm_cli.records.experiments import ExperimentCell
from tinyllm_cli.store import Store


@dataclass(kw_only=True)
class CellState:
    """What is known of a cell in work. `run`, `evaluation`, `error` and `figures` (the run's) say how it ended."""

    position: int
    cell: ExperimentCell
    gpu: str | None = None
    run: int | None = None
    evaluation: int | None = None
    error: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self.started, 1)


class CellWork(Protocol):
    """A cell in work; the data are those of `CellState`."""

    position: int
    cell: ExperimentCell
    gpu: str | None
    run: int | None
    evaluation: int | None
    error: str | None
    figures: Mapping[str, Any]

    @property
    def waits(self) -> bool:
        """Whether another process has the same training."""

    @property
    def live(self) -> Mapping[str, Any] | None:
        """The figures so far of a run that trains elsewhere; None of one that the database shows."""

    @property
    def seconds(self) -> float: ...

    @property
    def recorded_command(self) -> str:
        """The training's command as its run records it."""

    def start(self) -> None: ...

    def over(self) -> bool:
        """Whether the cell is finished, successfully or not; called again and again while it works."""

    def last_line(self) -> str:
        """What it does now."""

    def interrupt(self) -> None:
        """Let it save its state and end."""

    def end(self, grace: float) -> None:
        """Wait until it has ended, and end it by force after `grace` seconds."""

    def close(self) -> None: ...


class CellEnv(Protocol):
    """Begins cells."""

    def begin(self, position: int, cell: ExperimentCell, working: Sequence[CellWork]) -> CellWork:
        """A cell that is not started yet; `working` are those that are."""


OpenEnv = Callable[[Store, int], AbstractContextManager[CellEnv]]
"""Opens where cells are carried out, for so many at the same time."""
