"""`tinyllm review`: sheets on which people judge rationales, and how people and gates agree."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
    Quiet,
    Split,
    TeacherFilter,
)
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.review import show_import, show_review, show_sheet
from tinyllm_cli.errors import UsageProblem, command_text

if TYPE_CHECKING:
    from tinyllm_cli.api import Project

_EXPORT = "For export"


@guarded
def review(
    action: Annotated[
        Literal["summary", "export", "import"],
        typer.Argument(help="summary: agreement; export: write a sheet; import: read it.", show_default="summary"),
    ] = "summary",
    file: Annotated[Path | None, typer.Argument(help="The sheet, a CSV file.", show_default=False)] = None,
    dataset: DatasetWithRationales = None,
    split: Split = "train",
    teacher: TeacherFilter = None,
    sample: Annotated[
        int, typer.Option(min=1, help="How many rationales, balanced over teachers and verdicts.",
                          rich_help_panel=_EXPORT)
    ] = 50,
    seed: Annotated[int, typer.Option(help="The same seed draws the same ones.", rich_help_panel=_EXPORT)] = 0,
    blind: Annotated[
        bool, typer.Option("--blind", help="Hide teachers and verdicts.", rich_help_panel=_EXPORT)
    ] = False,
    reviewer: Annotated[
        str | None, typer.Option(help="The person who judges: export fills it in, import uses it where a row has none.")
    ] = None,
    max_target: MaxTarget = 256,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Judge rationales on a sheet, in any spreadsheet program, and compare people and gates.

    In the columns of the sheet, write accept, reject (with a reason) or edit (with an edited text). Verdicts count
    before the gates, in all commands; all are kept, and of two on one rationale the later counts. --split and --teacher
    are for export.

    Example: tinyllm review export sheet.csv --sample 50 --blind, then tinyllm review import sheet.csv
    """
    session = Session(db, config, Console(json=json, quiet=quiet))
    if (file is None) != (action == "summary"):
        raise UsageProblem(
            f"review {action} takes no file." if action == "summary" else f"Which sheet does {action} mean?",
            f"For example: {command_text('review', 'export', 'sheet.csv')}",
        )
    with session.project() as project:
        if file is None:
            found = api.review_summary(project, dataset=dataset, max_target=max_target)
            show_review(session.console, found)
            session.console.result(found)
            session.console.next(
                "tinyllm review export sheet.csv --blind" if not found.reviewed else "tinyllm gate --show human"
            )
        elif action == "import":
            _import(session, project, file, reviewer)
        else:
            with session.console.events() as on_event:
                sheet = api.export_review_sheet(
                    project, file, dataset=dataset, split=split, teachers=teacher or (), sample=sample, seed=seed,
                    blind=blind, reviewer=reviewer, max_target=max_target, on_event=on_event,
                )  # fmt: skip
            show_sheet(session.console, sheet)
            session.console.result(sheet)
            session.console.next(shlex.join(["tinyllm", "review", "import", str(file)]))


def _import(session: Session, project: Project, file: Path, reviewer: str | None) -> None:
    """Exit code 1 when a row was refused."""
    done = api.import_review_sheet(project, file, reviewer=reviewer)
    show_import(session.console, done)
    session.console.result(done)
    for one in done.refused:
        session.console.warn(f"{file}, row {one.row}: {one.reason}.")
    if done.refused:
        raise typer.Exit(1)
    session.console.next("tinyllm review")
