"""An experiment's cells as tables: the plan, and the results."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tinyllm_cli.terminal import LongTable

if TYPE_CHECKING:
    from tinyllm_cli.experiments.grid import ExperimentPlan
    from tinyllm_cli.records.experiments import Label
    from tinyllm_cli.records.runs import Run
    from tinyllm_cli.report.collect import Result
    from tinyllm_cli.store.experiments import StoredCell


def plan_table(plan: ExperimentPlan, todo: Collection[int]) -> LongTable:
    """`todo` are the positions of the cells to run."""
    labels = [cell.label for cell in plan.cells]
    columns = _columns(labels)
    rows = [
        (*(_text(label.get(name)) for name in columns), "to do" if position in todo else "done")
        for position, label in enumerate(labels)
    ]
    return LongTable(title=f"Plan of {plan.name}", head=[*columns, "state"], rows=rows)


def results_table(
    name: str, cells: Sequence[StoredCell], runs: Mapping[int, Run], results: Mapping[int, Result]
) -> LongTable:
    """Valid accuracy, which selects the checkpoint, and test accuracy with its 95 % interval."""
    from tinyllm_cli.report.terminal import percent

    columns = _columns([cell.label for cell in cells])
    rows = []
    for cell in cells:
        found = results.get(cell.evaluation) if cell.evaluation is not None else None
        run = None if cell.run is None else runs.get(cell.run)
        valid = run.valid_accuracy if run else None
        rows.append((
            *(_text(cell.label.get(one)) for one in columns),
            cell.state,
            "-" if cell.run is None else str(cell.run),
            "-" if valid is None else percent(valid),
            percent(found.accuracy) if found else "-",
            f"{100 * found.low:.1f} to {100 * found.high:.1f} %" if found else "-",
        ))  # fmt: skip
    measured = [found for cell in cells if cell.evaluation is not None and (found := results.get(cell.evaluation))]
    chances = {
        f"{one.dataset}: n = {one.n}, chance {percent(one.chance)}, majority class {percent(one.majority)}"
        for one in measured
    }
    head = [*columns, "state", ">run", ">valid", ">test", "95 % interval"]
    return LongTable(title=name, head=head, rows=rows, caption="\n".join(sorted(chances)))


def named(label: Label) -> str:
    """A cell in a line of text."""
    return " ".join(_text(value) for name, value in label.items() if name != "seed") + (
        f" seed {label['seed']}" if "seed" in label else ""
    )


def _columns(labels: Sequence[Label]) -> list[str]:
    """The names in the labels, without those whose value is the same in all."""
    names = list(dict.fromkeys(name for label in labels for name in label))
    return [name for name in names if len({label.get(name) for label in labels}) > 1] or names


def _text(value: Any) -> str:
    """A student by the end of its name."""
    return "-" if value is None else str(value).rstrip("/").rpartition("/")[2]
