"""The report's tables as CSV, one number a cell, for spreadsheets and scripts.

Several files, since the tables have different columns. Texts that a spreadsheet would take for a formula begin with an
apostrophe.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from tinyllm_cli.report.arms import Arm
from tinyllm_cli.report.collect import Report, Result
from tinyllm_cli.report.comparisons import Comparison
from tinyllm_cli.report.sweeps import Sweep

_ARM = ("method", "treatment", "student", "alphas", "icl", "shuffled", "size", "dataset", "split", "scoring", "n",
        "chance", "majority", "mean", "spread", "low", "high", "valid")  # fmt: skip


NAMES = tuple(
    f"{name}.csv"
    for name in (
        "table1", "gains", "ablation", "comparisons", "train-size", "alpha", "costs", "arms", "evaluations", "left-out"
    )
)  # fmt: skip
"""Every file that a report may have."""


def files(report: Report) -> dict[str, list[dict[str, Any]]]:
    """Rows by file name. Shares are in 0..1, as in the JSON."""
    paper = report.paper
    return {
        "table1": [
            {"label": line.label, "tried": entry.tried, "tied": len(entry.tied), "on_valid": entry.on_valid,
             **arm_row(entry.arm)}
            for table in paper.tables
            for line in (*table.teachers, *(line for block in table.blocks for line in block.lines))
            for entry in line.entries.values()
        ],
        "gains": [
            {"student": block.student, "scoring": table.scoring, "label": gain.label, "dataset": dataset, "gain": share}
            for table in paper.tables for block in table.blocks for gain in block.gains
            for dataset, share in (*gain.by_dataset.items(), *([("mean", gain.mean)] if gain.mean is not None else []))
        ],
        "ablation": [
            {"variant": label, "difference": arm.ahead_of(one.whole[dataset])[0], **arm_row(arm)}
            for one in paper.ablations
            for label, arms in ((one.label, one.whole), *((v.label, v.arms) for v in one.variants))
            for dataset, arm in arms.items()
        ],
        "comparisons": list(map(_flat, paper.comparisons)),
        "train-size": list(_sweep_rows(paper.sizes)),
        "alpha": list(_sweep_rows(paper.alphas)),
        "costs": [
            {"label": one.label, "seconds": one.seconds, "money": one.money, "currency": tradeoff.currency,
             **arm_row(one.arm)}
            for tradeoff in report.tradeoffs for one in (*tradeoff.students, *tradeoff.teachers)
        ],
        "arms": [arm_row(arm) for arm in report.arms],
        "evaluations": list(map(_evaluation, report.results)),
        "left-out": [{**_evaluation(one.result), "why": one.why} for one in report.left_out],
    }  # fmt: skip


def arm_row(arm: Arm) -> dict[str, Any]:
    return {**{name: getattr(arm, name) for name in _ARM}, "seeds": arm.seed_count,
            "runs": " ".join(map(str, arm.runs))}  # fmt: skip


def _evaluation(one: Result) -> dict[str, Any]:
    return {**asdict(one), "alpha": ", ".join(f"{name}={weight:g}" for name, weight in one.alpha.items())}


def _flat(comparison: Comparison) -> dict[str, Any]:
    names = (field.name for field in fields(comparison) if field.name != "evaluations")
    return {name: getattr(comparison, name) for name in names}


def _sweep_rows(sweeps: Iterable[Sweep]) -> Iterator[dict[str, Any]]:
    for sweep in sweeps:
        for line in sweep.series:
            for point in line.points:
                yield {"line": line.label, "x": point.x, **arm_row(point.arm)}
        if sweep.level is not None:
            yield {"line": "full fine-tuning", "x": sweep.level.size, **arm_row(sweep.level)}


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(rows[0])
    writer.writerows([_escaped(value) for value in row.values()] for row in rows)
    return out.getvalue()


def _escaped(value: Any) -> Any:
    """Numbers are numbers, also below zero; a text that begins like a formula is marked as text."""
    if isinstance(value, str) and value.lstrip(" ")[:1] in ("=", "+", "-", "@", "\t", "\r", "\n"):
        return f"'{value}"
    return value
