"""Terminal output of `tinyllm gate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.terminal import plain, plain_table, printable

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from tinyllm_cli.api.reviews import DecisionResult
    from tinyllm_cli.rationales.gate_summary import GateExample, GateResult


def show_verdicts(console: Console, found: GateResult) -> None:
    """Verdicts and findings by teacher, then the examples."""
    console.show(_verdicts(found))
    console.show(_findings(found))
    for one in found.teachers:
        for example in one.examples:
            console.show(_example(one.teacher, example))


def _verdicts(found: GateResult) -> Table:
    from tinyllm_cli.report.terminal import percent

    head = ["teacher", ">rationales", ">kept", ">repaired", ">rejected", ">rejected, %"]
    rows = [
        (
            one.teacher,
            *map(str, (one.rationales, one.kept, one.repaired, one.rejected)),
            percent(one.rejected / one.rationales) if one.rationales else "-",
        )
        for one in found.teachers
    ]
    return plain_table(f"Verdicts on {found.dataset}/{found.split}", head, rows)


def _findings(found: GateResult) -> Table:
    from tinyllm_cli.rationales.gates.settings import GATES, HUMAN  # its package compiles every gate's patterns

    names = [*GATES, *([HUMAN] if any(HUMAN in one.gates for one in found.teachers) else [])]
    rows = [(name, *(str(one.gates.get(name, 0)) for one in found.teachers)) for name in names]
    return plain_table("Findings by gate", ["gate", *(f">{one.teacher}" for one in found.teachers)], rows)


def _example(teacher: str, example: GateExample) -> Text:
    """Before and after, as plain text: what a teacher wrote is never markup."""
    text = plain(f"\n{teacher}, {example.key}, id {example.id}: {example.gate}, {example.reason}\n", "bold")
    text.append(f"  before  {printable(' '.join(example.before.split()))}\n", style="not bold")
    after = printable(" ".join(example.after.split())) if example.verdict != "rejected" else "(rejected)"
    text.append(f"  after   {after}", style="not bold")
    return text


def show_decision(console: Console, done: DecisionResult) -> None:
    """The verdict, and what a student learns."""
    verb = {"accept": "accepted", "reject": "rejected", "edit": "edited"}[done.verdict]
    place = f" ({done.teacher}, {done.dataset}/{done.split} {done.key})" if done.dataset else f" ({done.teacher})"
    again = "" if done.changed else ", as before"
    console.say(f"Rationale {done.rationale}{place}: {verb} by {done.reviewer}{again}.")
    if done.replaced_by is not None:
        console.warn(
            f"Rationale {done.replaced_by} replaces this one, so the verdict has no effect.",
            f"Judge rationale {done.replaced_by} instead.",
        )
    if done.text is None:
        console.say(f"  reason   {done.reason}")
    else:
        console.say(f"  learned  {' '.join(done.text.split())}")
