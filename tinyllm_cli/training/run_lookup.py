"""Which run a command means."""

from __future__ import annotations

from pathlib import Path

from tinyllm_cli.errors import UsageProblem, WorldProblem, choices, command_text
from tinyllm_cli.records.runs import Run
from tinyllm_cli.store import Store
from tinyllm_cli.students.saving import is_student


def run_with_student(store: Store, run_id: int | None) -> Run:
    """The run of this number, or the latest finished one.

    Raises UsageProblem when there is none, and WorldProblem when its student is missing."""
    run = store.runs.latest() if run_id is None else store.runs.find(run_id)
    if run is None:
        if run_id is None:
            raise UsageProblem("The database has no finished run yet.", f"Run: {command_text('distill')}")
        known = choices([one.id for one in store.runs.everything()])
        raise UsageProblem(f"There is no run {run_id}.", f"Runs: {known}.")
    if not is_student(Path(run.folder)):
        raise WorldProblem(
            f"Run {run.id} ({run.state}) has no student at {run.folder or 'any place'}.",
            "Train it again: " + run.command,
        )
    return run
