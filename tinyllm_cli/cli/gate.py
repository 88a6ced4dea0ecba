"""`tinyllm gate`: which rationales a student can be trained on, and what the gates repair."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from tinyllm_cli import api
from tinyllm_cli.cli.options import (
    DEFAULT_DB,
    Config,
    DatasetWithRationales,
    Db,
    Debug,
    Json,
    MaxTarget,
    QuestionLimit,
    Quiet,
    Split,
    TeacherFilter,
)
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.gate import show_verdicts
from tinyllm_cli.errors import UsageProblem

if TYPE_CHECKING:
    from tinyllm_cli.rationales.gate_summary import GateResult


@guarded
def gate(
    dataset: DatasetWithRationales = None,
    teacher: TeacherFilter = None,
    split: Split = "train",
    limit: QuestionLimit = None,
    max_target: MaxTarget = 256,
    show: Annotated[str | None, typer.Option(help="Show rationales in which this gate found something.")] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="How many rationales --show prints for each teacher.", show_default="3")
    ] = None,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Check rationales: each is kept, repaired or rejected, with a reason. `distill` trains on the kept and repaired.

    Example: tinyllm gate --show cut-off
    """
    if samples is not None and show is None:
        raise UsageProblem("--samples is the number of rationales that --show prints.", "Add --show GATE.")
    session = Session(db, config, Console(json=json, quiet=quiet))
    with session.project() as project, session.console.events() as on_event:
        found = api.gate(
            project, dataset=dataset, split=split, teachers=teacher or (), limit=limit, max_target=max_target,
            show=show, examples=samples or 3, on_event=on_event,
        )  # fmt: skip
    show_verdicts(session.console, found)
    session.console.result(found)
    session.console.next(shlex.join(_next_command(found, teacher or [], show)))


def _next_command(found: GateResult, teachers: list[str], show: str | None) -> list[str]:
    """Show what the gate with the most findings found; after that, train."""
    findings: Counter[str] = sum((Counter(one.gates) for one in found.teachers), Counter())
    if show or not findings:
        return ["tinyllm", "distill", "--dataset", found.dataset]
    named = [word for name in teachers for word in ("--teacher", name)]
    split = [] if found.split == "train" else ["--split", found.split]
    most = findings.most_common(1)[0][0]
    return ["tinyllm", "gate", "--dataset", found.dataset, *split, *named, "--show", most]
