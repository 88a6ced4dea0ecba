"""`tinyllm export`: a run's student in another runtime's format, checked."""

from __future__ import annotations

import shlex
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyllm_cli.cli.console import Console
from tinyllm_cli.cli.session import DEFAULT_DB, Config, Db, Debug, Json, Quiet, Session, guarded

if TYPE_CHECKING:
    from tinyllm_cli.export.export import Exported


@guarded
def export(
    to: Annotated[str, typer.Option(help="onnx, ctranslate2 or gguf.")],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    run: Annotated[int | None, typer.Option(help="A run's number.", show_default="the latest run")] = None,
    quantize: Annotated[str | None, typer.Option(help="int8: smaller and on a CPU faster, at some accuracy.")] = None,
    questions: Annotated[int, typer.Option(min=1, help="How many questions to check it on.")] = 50,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Export a run's student, and check that it answers as before on questions of the run's data set.

    Example: tinyllm export --run 3 --to ctranslate2 --quantize int8 --out fast
    """
    from tinyllm_cli.cli.resolve import run_with_student
    from tinyllm_cli.errors import UsageProblem
    from tinyllm_cli.export.export import ExportConfig, find_format
    from tinyllm_cli.export.export import export as export_stage

    if quantize not in (None, "int8"):
        raise UsageProblem(f"--quantize can't be '{quantize}'.", "Choose int8, or leave it out.")
    find_format(to)
    session = Session(db, config, Console(json=json, quiet=quiet))
    with closing(session.open_store(create=False)) as store:
        chosen = run_with_student(store, run)
        done = export_stage(
            store, chosen,
            ExportConfig(format=to, out=out.expanduser(), int8=quantize == "int8", questions=questions),
            session.console.note,
        )  # fmt: skip
    _show(session, done)
    session.console.result({"run": chosen.id, "format": to, "quantize": quantize, **_plain(done)})
    session.console.next(shlex.join(["cat", str(done.folder / "README.md")]))


def _show(session: Session, done: Exported) -> None:
    what = {"rank": "ranked options", "generate": "greedy text"}
    for one in done.agreements:
        apart = "" if one.largest_difference is None else f", scores at most {one.largest_difference:.2g} apart"
        session.console.say(
            f"{one.same} of {one.questions} equal answers by {what[one.scoring]}{apart};"
            f" accuracy {one.correct_before / one.questions:.1%} before, {one.correct_after / one.questions:.1%} after."
        )
    session.console.say(
        f"Exported: {done.folder} ({done.megabytes:.1f} MB; the student: {done.megabytes_before:.1f} MB)"
    )


def _plain(done: Exported) -> dict[str, object]:
    return asdict(done) | {"folder": str(done.folder)}
