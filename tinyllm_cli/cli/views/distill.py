"""Terminal output of `tinyllm distill`: the plan before training, and the run after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.files import from_here

if TYPE_CHECKING:
    from tinyllm_cli.api.training import DistillationPlan
    from tinyllm_cli.records.runs import Run


def show_plan(console: Console, planned: DistillationPlan) -> None:
    plan, data = planned.plan, planned.data
    if planned.dataset_found:
        console.note(f"Data set: {plan.dataset} (the only one that fits).")
    weights = ", ".join(f"{one.teacher}={one.alpha:g}" for one in plan.active)
    counts = ", ".join(_counted(name, record) for name, record in data.lineage.items())
    console.note(
        f"{plan.method}: {plan.student} on {len(data.training_questions)} questions of {plan.dataset}"
        + (f" with {counts} (alpha {weights})." if weights else ", answers only.")
    )
    if not data.valid:
        console.note(f"{plan.dataset} has no valid split: the last checkpoint is kept, not the best.")


def _counted(teacher: str, record: Mapping[str, Any]) -> str:
    if "answers" in record:
        return f"{record['answers']} answers of {teacher}"
    rejected = sum(record.get("rejected", {}).values())
    notes = [f"{rejected} rejected"] if rejected else []
    notes += [f"{record['edited']} edited"] if record.get("edited") else []
    return f"{record['rationales']} rationales of {teacher}" + (f" ({', '.join(notes)})" if notes else "")


def show_run(console: Console, run: Run) -> None:
    figures, train = run.metrics, run.settings.train
    cut = [
        f"{figures[key]} {name}" for key, name in (("inputs_cut", "inputs"), ("targets_cut", "targets")) if figures[key]
    ]
    if cut:
        console.say(
            f"Truncated at the limit: {' and '.join(cut)} (--max-input {train.max_input},"
            f" --max-target {train.max_target})."
        )
    valid = run.valid_accuracy
    accuracy = "" if valid is None else f", valid accuracy {valid:.1%} at step {figures['best_step']}"
    console.say(
        f"Run {run.id} ({run.method}): {figures['steps']} steps in {figures['training_seconds']:.0f} s"
        f" ({figures['questions_per_second']:.1f} questions/s){accuracy}."
    )
    console.say(f"Student: {from_here(run.folder)}")
    console.result({"run": run.id, "method": run.method, "folder": run.folder, "alpha": run.alpha, "figures": figures})
    console.next(f"tinyllm eval --run {run.id}")
