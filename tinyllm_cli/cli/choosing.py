"""Which student a command means: a run's, whose folder must be there, or any model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyllm_cli.records import Run
    from tinyllm_cli.store import Store


def run_with_student(store: Store, run_id: int | None) -> Run:
    """The run of this number, or the latest finished one.

    Raises UsageProblem when there is none, and WorldProblem when its student is gone."""
    from tinyllm_cli.errors import UsageProblem, WorldProblem, choices
    from tinyllm_cli.store import runs as stored_runs

    run = stored_runs.latest(store) if run_id is None else stored_runs.find(store, run_id)
    if run is None:
        known = choices([one.id for one in stored_runs.everything(store)])
        if run_id is None:
            raise UsageProblem("The database has no finished run yet.", "Run: tinyllm distill")
        raise UsageProblem(f"There is no run {run_id}.", f"Runs: {known}.")
    if not (Path(run.folder) / "config.json").exists():
        raise WorldProblem(
            f"Run {run.id} ({run.state}) has no student at {run.folder or 'any place'}.",
            "Train it again: " + run.command,
        )
    return run
