"""An experiment in the terminal: its plan and estimate, its progress, and its results."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from typing import TYPE_CHECKING

from tinyllm_cli.cli.views.cells import named, plan_table, results_table
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.progress import clock
from tinyllm_cli.errors import at_place

if TYPE_CHECKING:
    from tinyllm_cli.api.experiments import ExperimentResult
    from tinyllm_cli.experiments.best_alpha import BestAlpha
    from tinyllm_cli.experiments.grid import ExperimentPlan
    from tinyllm_cli.experiments.resources import Estimate
    from tinyllm_cli.experiments.runner import Schedule
    from tinyllm_cli.experiments.trials import SearchResult


def show_plan(console: Console, plan: ExperimentPlan, teachers: Collection[str]) -> None:
    """The excluded parts of a plan, each with the command that makes it possible; `teachers` are configured.

    Raises UsageProblem when the plan is empty."""
    from tinyllm_cli.errors import UsageProblem, choices

    for excluded in plan.left_out:
        commands = " && ".join(at_place(command) for command in excluded.command.split(" && "))
        console.note(f"Excluded: {excluded.what}.\n  To include it: {commands}")
    unknown = {one.teacher for one in plan.left_out} - set(teachers)
    if unknown:
        console.note(f"Add to tinyllm.toml first where {choices(unknown)} can be asked: [teachers.NAME].")
    if not plan.cells:
        raise UsageProblem("This experiment has nothing to train.", "See the excluded parts above.")


def show_schedule(console: Console, scheduled: Schedule, wanted: int) -> None:
    """The plan as a table, and the estimate; `wanted` is --jobs."""
    console.show(plan_table(scheduled.plan, {place for place, _ in scheduled.todo}))
    counts = f"{len(scheduled.todo)} to do, {scheduled.done} done."
    console.note(f"{counts} {estimate_text(scheduled.estimate, wanted)}")


def estimate_text(estimate: Estimate, wanted: int) -> str:
    if not estimate.trainings:
        return "No tokens are spent."
    time = (
        "The time is unknown until a run of each student is done"
        if estimate.seconds is None
        else f"Estimated time: {clock(estimate.seconds)}, from earlier runs of the same student"
    )
    disk = "" if estimate.disk is None else f" The students need up to {estimate.disk / 1e9:.1f} GB of disk."
    fewer = f" {estimate.jobs} at the same time instead of {wanted}: {estimate.reason}." * (estimate.jobs < wanted)
    return f"{time}.{disk} No tokens are spent.{fewer}"


def confirmed(console: Console, count: int, *, yes: bool) -> bool:
    """Whether to start. Raises UsageProblem where that can't be asked."""
    from tinyllm_cli.errors import UsageProblem

    if not count or yes:
        return True
    if console.json or not console.can_ask:
        raise UsageProblem(
            "Starting an experiment needs a confirmation, and there is no terminal to ask for it.",
            "See the plan with --dry-run, then add --yes.",
        )
    return console.confirm("Start?")


def planned_result(console: Console, scheduled: Schedule) -> None:
    """The plan under --json, where nothing is started."""
    if not console.json:
        return
    todo = {place for place, _ in scheduled.todo}
    plan = scheduled.plan
    console.result({
        "experiment": plan.name,
        "cells": [{**cell.as_json(), "done": place not in todo} for place, cell in enumerate(plan.cells)],
        "left_out": [asdict(one) for one in plan.left_out],
    })  # fmt: skip


def show_results(console: Console, found: ExperimentResult, best: SearchResult | None = None) -> None:
    """Show the results; `best` is the best trial of a search.

    Raises WorldProblem when cells failed."""
    console.show(results_table(found.name, list(found.cells), found.runs, found.results))
    for one in found.best:
        console.say(_best_text(one))
    rows = [
        {**asdict(cell), "result": asdict(result) if (result := found.results.get(cell.evaluation or 0)) else None}
        for cell in found.cells
    ]
    console.result(
        {"experiment": found.experiment, "name": found.name, "cells": rows,
         "best_on_valid": [asdict(one) for one in found.best], "best": None if best is None else asdict(best)}
    )  # fmt: skip
    _raise_for_failures(found)
    console.next("tinyllm report --html report.html")


def _raise_for_failures(found: ExperimentResult) -> None:
    from tinyllm_cli.errors import WorldProblem

    failed = [cell for cell in found.cells if cell.state == "failed"]
    if not failed:
        return
    reasons = "".join(f"\n  {named(cell.label)}: {cell.error}" for cell in failed)
    count = len(found.not_started)
    skipped = f"\n{count} were not started: they would fail in the same way." if count else ""
    raise WorldProblem(
        f"{len(failed)} of {len(found.cells)} failed:{reasons}{skipped}",
        "The same command runs what is not done again.",
    )


def _best_text(best: BestAlpha) -> str:
    settings = [f"alpha {one.alpha:g} of {one.teacher}" for one in best.settings]
    where = f"{best.dataset} and {best.student.rpartition('/')[2]}"
    score = f"{best.valid:.1%}, mean of {best.seeds}"
    if len(settings) == 1:
        return f"Best on valid for {where}: {settings[0]} ({score}), of {best.tried} tried."
    return f"Tie on valid for {where}: {', '.join(settings)} ({score} each), of {best.tried} tried."
