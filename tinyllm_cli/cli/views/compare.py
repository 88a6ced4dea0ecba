"""Terminal output of `tinyllm compare`."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.report.table_model import number, p_text
from tinyllm_cli.terminal import plain_table

if TYPE_CHECKING:
    from rich.table import Table

    from tinyllm_cli.report.run_comparison import RunComparison


def show_comparison(console: Console, found: RunComparison) -> None:
    """A table for each part that there is."""
    heads = [f"run {one.id}" for one in found.runs]
    if found.settings:
        rows = [(one.name, *one.values) for one in found.settings]
        console.show(plain_table("Settings that differ", ["setting", *heads], rows))
    else:
        console.say("The settings are the same.")
    if found.accuracies:
        console.show(_accuracies(found, heads))
    else:
        console.say("None of them has been evaluated.")
    if found.pairs:
        console.show(_pairs(found))
    if found.questions:
        rows = [
            (f"{one.dataset}/{one.split}", one.key, *("right" if right else "wrong" for right in one.correct), one.text)
            for one in found.questions
        ]
        title = f"{found.differing:,} questions with different outcomes"
        console.show(plain_table(title, ["where", "id", *heads, "question"], rows))


def _accuracies(found: RunComparison, heads: list[str]) -> Table:
    places: dict[tuple[str, str, str, int], dict[int, str]] = defaultdict(dict)
    for one in found.accuracies:
        text = f"{number(one.accuracy)} ({number(one.low)} to {number(one.high)})"
        places[one.dataset, one.split, one.scoring, one.n][one.run] = text
    rows = [
        (f"{dataset}/{split}, {scoring}", f"{n:,}", *(own.get(run.id, "-") for run in found.runs))
        for (dataset, split, scoring, n), own in places.items()
    ]
    return plain_table(
        "Accuracy", ["questions", ">n", *(f">{head}" for head in heads)], rows,
        caption="In percent, with 95 % Wilson intervals.",
    )  # fmt: skip


def _pairs(found: RunComparison) -> Table:
    head = ["runs", "questions", ">n", ">only first right", ">only second right", ">points", ">p", ">p, Holm"]
    rows = [
        (
            f"{one.first} against {one.second}", f"{one.dataset}/{one.split}, {one.scoring}", f"{one.n:,}",
            f"{one.only_first:,}", f"{one.only_second:,}",
            f"{100 * one.difference:+.1f} ({100 * one.low:+.1f} to {100 * one.high:+.1f})", p_text(one.p),
            p_text(one.adjusted),
        )
        for one in found.pairs
    ]  # fmt: skip
    return plain_table("Paired tests", head, rows, caption="Points of accuracy, first minus second, with 95 %.")
