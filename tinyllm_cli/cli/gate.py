"""`tinyllm gate`: which rationales a student can be trained on, what the gates repair, and what a person decides."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
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
    Reviewer,
    Split,
    TeacherFilter,
)
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.gate import show_decision, show_verdicts
from tinyllm_cli.errors import UsageProblem, command_text

if TYPE_CHECKING:
    from tinyllm_cli.api import Project
    from tinyllm_cli.rationales.gate_summary import GateResult
    from tinyllm_cli.records.human_verdicts import Decision

_PERSON = "Instead of the gates"


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
    keep: Annotated[
        int | None,
        typer.Option(metavar="ID", help="Accept this rationale, as the repairs leave it.", rich_help_panel=_PERSON),
    ] = None,
    reject: Annotated[
        int | None, typer.Option(metavar="ID", help="Reject this rationale.", rich_help_panel=_PERSON)
    ] = None,
    because: Annotated[str | None, typer.Option(help="The reason for --reject.", rich_help_panel=_PERSON)] = None,
    edit: Annotated[
        int | None,
        typer.Option(metavar="ID", help="Train on another text instead of this rationale.", rich_help_panel=_PERSON),
    ] = None,
    text: Annotated[str | None, typer.Option(help="The text for --edit.", rich_help_panel=_PERSON)] = None,
    text_file: Annotated[
        Path | None, typer.Option(help="A file with the text for --edit.", rich_help_panel=_PERSON)
    ] = None,
    reviewer: Reviewer = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes that judge, for 10,000 rationales and more.", show_default="one for each processor"
        ),
    ] = None,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Check rationales: each is kept, repaired or rejected, with a reason. `distill` trains on the kept and repaired.

    --keep, --reject and --edit replace the verdict on one rationale by yours. It counts until a later one, whatever the
    gates say, also with other gates and without gates. --show and `inspect` print the ids.

    Example: tinyllm gate --show cut-off, then tinyllm gate --reject 17 --because "names the wrong animal"
    """
    if samples is not None and show is None:
        raise UsageProblem("--samples is the number of rationales that --show prints.", "Add --show GATE.")
    session = Session(db, config, Console(json=json, quiet=quiet))
    decided = _decision(keep=keep, reject=reject, because=because, edit=edit, text=_edited(text, text_file))
    if decided is not None:
        with session.project() as project:
            _decide(session, project, decided, reviewer, max_target)
        return
    with session.project() as project, session.console.events() as on_event:
        found = api.gate(
            project, dataset=dataset, split=split, teachers=teacher or (), limit=limit, max_target=max_target,
            show=show, examples=samples or 3, jobs=jobs, on_event=on_event,
        )  # fmt: skip
    show_verdicts(session.console, found)
    session.console.result(found)
    session.console.next(shlex.join(_next_command(found, teacher or [], show)))


def _edited(text: str | None, file: Path | None) -> str | None:
    from tinyllm_cli.datasets.rows import read_text_file

    if text is not None and file is not None:
        raise UsageProblem("--text and --text-file exclude each other.", "Give one of them.")
    return read_text_file(file) if file is not None else text


def _decision(
    *, keep: int | None, reject: int | None, because: str | None, edit: int | None, text: str | None
) -> tuple[int, Decision, str | None] | None:
    """(id, verdict, words) of the one verdict that was given; None without any.

    Raises UsageProblem for several of them, and for words that belong to none."""
    given: list[tuple[int | None, Decision, str | None]] = [
        (keep, "accept", None), (reject, "reject", because), (edit, "edit", text)
    ]  # fmt: skip
    found = [(id, verdict, words) for id, verdict, words in given if id is not None]
    if len(found) > 1:
        raise UsageProblem("--keep, --reject and --edit exclude each other.", "Give one verdict at a time.")
    verdict = found[0][1] if found else None
    for value, option, owner in ((because, "--because", "reject"), (text, "--text", "edit")):
        if (value is not None) != (verdict == owner):
            raise UsageProblem(
                f"{option} goes with --{owner}." if value is not None else f"--{owner} needs {option}.",
                f"For example: {command_text('gate', *_EXAMPLES[owner])}",
            )
    return found[0] if found else None


_EXAMPLES = {
    "reject": ("--reject", 17, "--because", "names the wrong animal"),
    "edit": ("--edit", 17, "--text", "A cork floats because it is light."),
}


def _decide(
    session: Session, project: Project, decided: tuple[int, Decision, str | None], reviewer: str | None, max_target: int
) -> None:
    id, verdict, words = decided
    done = api.decide(project, id, verdict, words=words, reviewer=reviewer, max_target=max_target)
    show_decision(session.console, done)
    session.console.result(done)
    where = ["--dataset", done.dataset] if done.dataset else []
    session.console.next(shlex.join(["tinyllm", "review", *where]))


def _next_command(found: GateResult, teachers: list[str], show: str | None) -> list[str]:
    """Show what the gate with the most findings found; after that, train."""
    findings: Counter[str] = sum((Counter(one.gates) for one in found.teachers), Counter())
    if show or not findings:
        return ["tinyllm", "distill", "--dataset", found.dataset]
    named = [word for name in teachers for word in ("--teacher", name)]
    split = [] if found.split == "train" else ["--split", found.split]
    most = findings.most_common(1)[0][0]
    return ["tinyllm", "gate", "--dataset", found.dataset, *split, *named, "--show", most]
