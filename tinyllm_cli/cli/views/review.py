"""Terminal output of `tinyllm review`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.terminal import plain_table

if TYPE_CHECKING:
    from tinyllm_cli.api.reviews import SheetImportResult, SheetResult
    from tinyllm_cli.audit.reviewers import ReviewResult


def show_review(console: Console, found: ReviewResult) -> None:
    """Reviewers, their agreement, and the gates against them."""
    if not found.reviewed:
        console.say("No rationale was reviewed yet.")
        return
    rows = [(one.reviewer, *map(str, (one.accepted, one.rejected, one.edited))) for one in found.reviewers]
    title = f"{found.reviewed} reviewed rationales{f' of {found.dataset}' if found.dataset else ''}"
    console.show(plain_table(title, ["reviewer", ">accepted", ">rejected", ">edited"], rows))
    if found.pairs:
        pairs = [
            (f"{one.first}, {one.second}", str(one.shared), _share(one.same), _number(one.kappa)) for one in found.pairs
        ]
        head = ["reviewers", ">shared", ">same verdict, %", ">Cohen's kappa"]
        console.show(plain_table("Agreement of reviewers", head, pairs))
    gates = [
        (one.gate, str(one.rejects), str(one.right), _share(one.precision), _share(one.recall)) for one in found.gates
    ]
    console.show(
        plain_table(
            "Gates against people", ["gate", ">rejects", ">right", ">precision, %", ">recall, %"], gates,
            f"Right: people reject or edit it too. People reject or edit {found.unfit} of {found.reviewed}; recall is"
            " the share of these that the gate rejects. The figures are of the reviewed rationales: a sheet is balanced"
            " over verdicts, so they are not those of all rationales.",
        )
    )  # fmt: skip


def show_sheet(console: Console, sheet: SheetResult) -> None:
    """Where the sheet is, and what it shows."""
    hidden = "; teachers and verdicts are hidden" if sheet.blind else ""
    console.say(
        f"{sheet.path}: {sheet.rationales} rationales for {sheet.dataset}/{sheet.split}, teachers: {sheet.teachers}"
        f"{hidden}."
    )
    console.say("Fill in the column verdict with accept, reject (and a reason) or edit (and an edited text).")


def show_import(console: Console, done: SheetImportResult) -> None:
    """What the sheet brought."""
    known = done.verdicts - done.new
    parts = [f"{done.new} new verdicts", *([f"{known} known"] if known else [])]
    parts += [f"{done.blank} rows without a verdict"] if done.blank else []
    parts += [f"{len(done.refused)} rows refused"] if done.refused else []
    console.say(f"{done.path}: {', '.join(parts)}.")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
