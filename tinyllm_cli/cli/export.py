"""`tinyllm export`: a run's student in another runtime's format, checked against the student."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tinyllm_cli import api
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, Quiet, RunNumber
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console

if TYPE_CHECKING:
    from tinyllm_cli.export.export import Exported

_SCORINGS = {"rank": "ranked options", "generate": "greedy text"}


@guarded
def export(
    to: Annotated[Literal["onnx", "ctranslate2", "gguf"], typer.Option(help="The format.")],
    out: Annotated[Path, typer.Option(help="The folder to create.")],
    run: RunNumber = None,
    quantize: Annotated[
        Literal["int8"] | None, typer.Option(help="int8: smaller, and faster on a CPU, at some cost in accuracy.")
    ] = None,
    questions: Annotated[int, typer.Option(min=1, help="How many questions the export is checked on.")] = 50,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Export a run's student, and check on questions of the run's data set that it gives the same answers.

    Example: tinyllm export --run 3 --to ctranslate2 --quantize int8 --out fast
    """
    session = Session(db, config, Console(json=json, quiet=quiet))
    with session.project() as project, session.console.events() as on_event:
        done = api.export(project, to, out, run=run, quantize=quantize, questions=questions, on_event=on_event)
    _show(session.console, done)
    session.console.result({"format": to, "quantize": quantize, **asdict(done)})
    session.console.next(shlex.join(["cat", str(done.folder / "README.md")]))


def _show(console: Console, done: Exported) -> None:
    for one in done.agreements:
        apart = "" if one.largest_difference is None else f", scores differ by at most {one.largest_difference:.2g}"
        console.say(
            f"{one.same} of {one.questions} answers are the same by {_SCORINGS[one.scoring]}{apart};"
            f" accuracy {one.correct_before / one.questions:.1%} before, {one.correct_after / one.questions:.1%} after."
        )
    console.say(f"Exported: {done.folder} ({done.megabytes:.1f} MB; the student: {done.megabytes_before:.1f} MB)")
