"""Terminal output of `tinyllm list`, `delete` and `prune`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.currency import amount, with_currency
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.terminal import plain_table

if TYPE_CHECKING:
    from rich.table import Table

    from tinyllm_cli.maintenance.inventory import Inventory, RunItem
    from tinyllm_cli.maintenance.pruning import Pruning
    from tinyllm_cli.maintenance.removal import Removal
    from tinyllm_cli.store.inventory import DatasetItem, PlanItem, TeacherItem

_STATES = ("done", "running", "planned", "pruned", "failed")


def size(count: int) -> str:
    """Bytes in a unit of a thousand."""
    value, unit = float(count), "bytes"
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{count} bytes" if unit == "bytes" else f"{value:.1f} {unit}"


def confirmed(console: Console, show: Callable[[], None], *, yes: bool) -> bool:
    """Show what would be deleted, and ask. Raises UsageProblem where that can't be asked."""
    show()
    if yes:
        return True
    if console.json or not console.can_ask:
        raise UsageProblem(
            "Deleting needs a confirmation, and there is no terminal to ask for it.", "Add --yes to delete this."
        )
    return console.confirm("Delete this?")


def show_inventory(console: Console, found: Inventory) -> None:
    """The parts that were asked for, then the sizes on the disk."""
    if found.datasets is not None:
        console.show(_datasets(found.datasets))
    if found.teachers is not None:
        console.show(_teachers(found.teachers, found.currency))
    if found.runs is not None:
        console.show(_runs(found.runs))
    if found.plans is not None:
        console.show(_plans(found.plans))
    console.say(f"{found.database}: {size(found.bytes)}; runs: {size(found.runs_bytes)}.")


def _datasets(items: tuple[DatasetItem, ...]) -> Table:
    head = [
        "data set",
        ">train",
        ">valid",
        ">test",
        ">rationales",
        ">teachers",
        ">runs",
        ">evaluations",
        ">text",
        "from",
    ]
    rows = [
        (
            one.name, *(str(one.splits.get(split, "-")) for split in ("train", "valid", "test")), str(one.rationales),
            str(one.teachers), str(one.runs), str(one.evaluations), size(one.bytes), one.source,
        )
        for one in items
    ]  # fmt: skip
    return plain_table("Data sets", head, rows)


def _teachers(items: tuple[TeacherItem, ...], currency: str | None) -> Table:
    cost = with_currency(">cost", currency)
    head = ["teacher", "model", "data sets", ">rationales", ">failures", ">reviewed", cost, ">text"]
    rows = [
        (
            one.name, ", ".join(one.models), ", ".join(one.datasets), str(one.rationales), str(one.failures),
            str(one.reviewed), "-" if one.cost is None else f"{one.cost:.4f}", size(one.bytes),
        )
        for one in items
    ]  # fmt: skip
    return plain_table("Teachers", head, rows)


def _runs(items: tuple[RunItem, ...]) -> Table:
    head = [">run", "method", "student", "data set", "alpha", ">seed", "state", ">valid, %", "weights", ">disk"]
    rows = [
        (
            str(one.id), one.method, one.student.rstrip("/").rpartition("/")[2], one.dataset,
            ", ".join(f"{name}={weight:g}" for name, weight in one.alpha.items()) or "-", str(one.seed), one.state,
            "-" if one.valid_accuracy is None else f"{100 * one.valid_accuracy:.1f}", one.student_files,
            size(one.bytes),
        )
        for one in items
    ]  # fmt: skip
    return plain_table("Runs", head, rows)


def _plans(items: tuple[PlanItem, ...]) -> Table:
    head = [">plan", "experiment", "data sets", *(f">{state}" for state in _STATES), "created"]
    rows = [
        (
            str(one.id), one.name, ", ".join(one.datasets), *(str(one.cells.get(state, 0)) for state in _STATES),
            one.created[:16].replace("T", " "),
        )
        for one in items
    ]  # fmt: skip
    return plain_table("Plans of experiments, with their cells by state", head, rows)


def show_removal(console: Console, found: Removal) -> None:
    """What would be deleted."""
    console.say(f"To delete: {', '.join(found.names)} ({found.kind.replace('-', ' ')})")
    for table, count in _by_size(found.rows).items():
        console.say(f"  {count:>9} rows of {table}")
    if found.cost:
        console.say(f"  rationales that cost {amount(found.cost, found.currency)}")
    for path in found.folders:
        console.say(f"  folder {path}")
    if found.folders:
        console.say(f"  {size(found.bytes)} on the disk in run folders")
    if found.repeated:
        console.say(f"  {found.repeated} cells of experiments are planned again: their results go")
    for folder in found.kept_folders:
        console.say(f"Stays: {folder.path}, since {folder.reason}.")
    if found.learners:
        console.say(f"Stay: runs that learned from it: {', '.join(map(str, found.learners))}.")


def _by_size(rows: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(rows.items(), key=lambda pair: -pair[1]))


def show_pruning(console: Console, found: Pruning) -> None:
    """Whose weights would be deleted, and how much that frees."""
    console.say(f"To delete: the weights of {len(found.pruned)} runs, {size(found.bytes)}: {_numbers(found.pruned)}")
    console.say(f"Stay: {_numbers(found.kept)}")
    if found.foreign:
        console.say(f"Stay, since their folders are not provably their own: {_numbers(found.foreign)}")


def _numbers(runs: tuple[int, ...]) -> str:
    return ", ".join(map(str, runs)) or "none"
