"""`tinyllm gate`: which rationales are fit to teach from, and what the gates mend."""

from __future__ import annotations

import shlex
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyllm_cli.cli.console import Console
from tinyllm_cli.cli.resolve import dataset_with_rationales, variants_of
from tinyllm_cli.cli.session import DEFAULT_DB, Config, Db, Debug, Json, Quiet, Session, guarded
from tinyllm_cli.terminal import plain, plain_table, printable

if TYPE_CHECKING:
    from tinyllm_cli.rationales.gates import GateFinding, GateSettings, Verdict
    from tinyllm_cli.records.elicitation import Rationale, RationaleSet
    from tinyllm_cli.store import Store


@guarded
def gate(
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="A data set.", show_default="the one that has rationales")
    ] = None,
    teacher: Annotated[
        list[str] | None, typer.Option("--teacher", "-t", help="Only this teacher; may be repeated.")
    ] = None,
    split: Annotated[str, typer.Option(help="Whose rationales: train, valid or test.")] = "train",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N questions.")] = None,
    max_target: Annotated[
        int, typer.Option(min=2, help="Longest target of the student in tokens, for the gate too-long.")
    ] = 256,
    show: Annotated[str | None, typer.Option(help="Show rationales in which this gate found something.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="How many --show shows of each teacher.")] = 3,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Judge rationales: keep, mend or reject each, with a reason. `distill` learns what is left.

    Example: tinyllm gate --show cut-off
    """
    from tinyllm_cli.errors import UsageProblem, choices
    from tinyllm_cli.rationales.gates import GATES, gate_settings

    if show is not None and show not in GATES:
        raise UsageProblem(f"There is no gate '{show}'.", f"Gates: {choices(GATES)}.")
    session = Session(db, config, Console(json=json, quiet=quiet))
    settings = gate_settings(session.settings.gates, max_target)
    with closing(session.open_store(create=False)) as store:
        chosen = dataset_with_rationales(session, store, split, dataset)
        tallies = [
            _tally(session, store, chosen, split, variant, settings, limit, show, samples)
            for variant in variants_of(store, chosen, split, teacher or [])
        ]
    session.console.show(_verdicts(chosen, split, tallies))
    session.console.show(_gates(tallies))
    for tally in tallies:
        for example in tally.examples:
            session.console.show(_example(tally.teacher, example))
    session.console.result({"dataset": chosen, "split": split, "gates": settings.hash,
                            "teachers": [tally.as_json() for tally in tallies]})  # fmt: skip
    session.console.next(shlex.join(_next_command(chosen, split, teacher or [], show, tallies)))


def _next_command(
    dataset: str, split: str, teachers: list[str], show: str | None, tallies: list[_Tally]
) -> list[str]:  # fmt: skip
    """To look at what the busiest gate found, and after that to learn."""
    found = sum((tally.gates for tally in tallies), Counter[str]())
    if show or not found:
        return ["tinyllm", "distill", "--dataset", dataset]
    named = [word for name in teachers for word in ("--teacher", name)]
    there = [] if split == "train" else ["--split", split]
    return ["tinyllm", "gate", "--dataset", dataset, *there, *named, "--show", found.most_common(1)[0][0]]


@dataclass(kw_only=True)
class _Tally:
    """What the gates made of one teacher's rationales, and some of them to look at."""

    teacher: str
    verdicts: Counter[str] = field(default_factory=Counter)
    gates: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[Rationale, Verdict, GateFinding]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "teacher": self.teacher,
            "rationales": self.verdicts.total(),
            **{verdict: self.verdicts[verdict] for verdict in ("kept", "repaired", "rejected")},
            "gates": dict(self.gates),
            "examples": [
                {"key": rationale.key, "gate": finding.gate, "reason": finding.reason, "verdict": verdict.verdict,
                 "before": rationale.text, "after": verdict.text}
                for rationale, verdict, finding in self.examples
            ],
        }  # fmt: skip


def _tally(
    session: Session, store: Store, dataset: str, split: str, variant: RationaleSet, settings: GateSettings,
    limit: int | None, show: str | None, samples: int,
) -> _Tally:  # fmt: skip
    from tinyllm_cli.rationales.verdicts import judged

    tally = _Tally(teacher=variant.teacher)
    with session.console.meter(f"judging {variant.teacher}") as meter:
        for one in judged(store, dataset, split, variant, settings, limit=limit):
            rationale, verdict = one.rationale, one.verdict
            tally.verdicts[verdict.verdict] += 1
            tally.gates.update(finding.gate for finding in verdict.findings)
            found = next((finding for finding in verdict.findings if finding.gate == show), None)
            if found is not None and len(tally.examples) < samples:
                tally.examples.append((rationale, verdict, found))
            meter(tally.verdicts.total(), variant.rationales)
    return tally


def _verdicts(dataset: str, split: str, tallies: list[_Tally]) -> Any:
    from tinyllm_cli.report.terminal import percent

    head = ["teacher", ">rationales", ">kept", ">repaired", ">rejected", ">rejected, %"]
    rows = [
        (
            tally.teacher,
            *(str(n) for n in (tally.verdicts.total(), *(tally.verdicts[v] for v in ("kept", "repaired", "rejected")))),
            percent(tally.verdicts["rejected"] / total) if (total := tally.verdicts.total()) else "-",
        )
        for tally in tallies
    ]
    return plain_table(f"Verdicts on {dataset}/{split}", head, rows)


def _gates(tallies: list[_Tally]) -> Any:
    from tinyllm_cli.rationales.gates import GATES

    rows = [(name, *(str(tally.gates[name]) for tally in tallies)) for name in GATES]
    return plain_table("What the gates found", ["gate", *(f">{tally.teacher}" for tally in tallies)], rows)


def _example(teacher: str, example: tuple[Rationale, Verdict, GateFinding]) -> Any:
    """Before and after, as plain text: a teacher's words are no markup."""
    rationale, verdict, finding = example
    text = plain(f"\n{teacher}, {rationale.key}: {finding.gate}, {finding.reason}\n", "bold")
    text.append(f"  wrote  {printable(' '.join(rationale.text.split()))}\n", style="not bold")
    left = printable(" ".join(verdict.text.split())) if verdict.verdict != "rejected" else "(rejected)"
    text.append(f"  left   {left}", style="not bold")
    return text
