"""Terminal output of `tinyllm list activity`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.currency import with_currency
from tinyllm_cli.terminal import plain_table

if TYPE_CHECKING:
    from rich.table import Table

    from tinyllm_cli.maintenance.activity import (
        Activity,
        ElicitationActivity,
        PlanActivity,
        TrainingActivity,
    )


def show_activity(console: Console, found: Activity) -> None:
    """A table for each kind that there is."""
    if found.elicitations:
        console.show(_elicitations(found.elicitations, found.currency))
    if found.trainings:
        console.show(_trainings(found.trainings))
    if found.plans:
        console.show(_plans(found.plans))
    console.say(f"Running: {found.running or 'nothing'}.")


def duration(seconds: float | None) -> str:
    """A time in the largest units that fit; a dash when unknown."""
    if seconds is None:
        return "-"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _elicitations(items: tuple[ElicitationActivity, ...], currency: str | None) -> Table:
    head = ["teacher", "questions", "state", ">replies", ">failed", ">per second", ">in flight", ">left", ">time left",
            ">tokens in", ">tokens out", with_currency(">cost", currency), ">endpoints"]  # fmt: skip
    rows = [
        (
            one.teacher, f"{one.dataset}/{one.split}", one.state, f"{one.replies:,}", f"{one.failures:,}",
            "-" if one.rate is None else f"{one.rate:.1f}", _count(one.in_flight), _count(one.left),
            duration(one.seconds_left), _count(one.prompt_tokens), _count(one.completion_tokens),
            "-" if one.cost is None else f"{one.cost:.4f}", str(len(one.endpoints) or "-"),
        )
        for one in items
    ]  # fmt: skip
    return plain_table("Elicitations", head, rows)


def _trainings(items: tuple[TrainingActivity, ...]) -> Table:
    head = [">run", "method", "student", "data set", "state", ">step", "losses", ">valid, %", ">tokens/s", ">time left"]
    rows = [
        (
            str(one.run), one.method, one.student.rstrip("/").rpartition("/")[2], one.dataset, one.state,
            f"{one.step:,} of {one.steps:,}" if one.steps else f"{one.step:,}",
            " ".join(f"{name} {loss:.3f}" for name, loss in one.losses.items()) or "-",
            "-" if one.valid is None else f"{100 * one.valid:.1f}",
            "-" if one.tokens_per_second is None else f"{one.tokens_per_second:,.0f}", duration(one.seconds_left),
        )
        for one in items
    ]  # fmt: skip
    return plain_table("Trainings", head, rows)


def _plans(items: tuple[PlanActivity, ...]) -> Table:
    head = [">plan", "experiment", "data sets", "state", ">done", ">failed", ">pending", ">running"]
    rows = [
        (str(one.id), one.name, ", ".join(one.datasets), one.state, *map(str, (one.done, one.failed, one.pending,
         one.running)))
        for one in items
    ]  # fmt: skip
    return plain_table("Plans of experiments", head, rows)


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
