"""Terminal output of `tinyllm merge`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.maintenance import size
from tinyllm_cli.terminal import plain_table

if TYPE_CHECKING:
    from tinyllm_cli.merging.merge import MergedStore

_TABLES = {
    "datasets": "data sets",
    "questions": "questions",
    "rationales": "rationales",
    "failures": "failures",
    "verdicts": "verdicts of the gates",
    "human_verdicts": "human verdicts",
    "usefulness": "usefulness scores",
    "learnability": "learnability scores",
    "elicitations": "elicitations",
    "batches": "batches",
    "runs": "runs",
    "evaluations": "evaluations",
    "predictions": "predictions",
    "experiments": "experiments",
    "cells": "cells of experiments",
}
"""The tables to show, and their names."""


def show_merged(console: Console, merged: object, *, trial: bool) -> None:
    """What came from one database."""
    from tinyllm_cli.merging.merge import MergedStore

    if isinstance(merged, MergedStore):
        _show(console, merged, trial)


def _show(console: Console, one: MergedStore, trial: bool) -> None:
    if not one.changes:
        console.say(f"{one.path}: nothing new.")
        return
    rows = [
        (name, *(str(value or "-") for value in (counts.new, counts.updated, counts.known - counts.updated)))
        for table, name in _TABLES.items()
        if (counts := one.tables[table]).new or counts.known
    ]
    console.show(plain_table(one.path, ["", ">new", ">updated", ">here already"], rows))
    if one.samples:
        console.say(f"{one.samples} replies differ from the one here to the same request: they become further samples.")
    renumbered = [f"{run.was} is {run.number}" for run in one.runs if run.change == "new" and run.was != run.number]
    if renumbered:
        console.say(f"Runs with another number here: {', '.join(renumbered)}.")
    if one.bytes:
        console.say(f"Folders of runs: {size(one.bytes)}{' would be' if trial else ''} copied.")
