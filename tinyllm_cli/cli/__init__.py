"""The command line: one module for each command, and what they share in `session` and `console`."""

from __future__ import annotations

import io
import os
import sys

import typer

from tinyllm_cli import __version__
from tinyllm_cli.cli import (
    audit,
    backup,
    check,
    compare,
    delete,
    distill,
    elicit,
    evaluate,
    experiment,
    export,
    export_data,
    find,
    gate,
    import_,
    info,
    inspect,
    list_,
    merge,
    predict,
    prune,
    push,
    rename,
    report,
    review,
    split,
    usefulness,
    view,
)
from tinyllm_cli.cli.group import CommandGroup
from tinyllm_cli.cli.views import log
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.config.env_file import apply_env_file
from tinyllm_cli.errors import UsageProblem

app = typer.Typer(
    name="tinyllm",
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help=(
        "Distil a small student model from the rationales of several large language models.\n\n"
        "Teachers write rationales into SQLite, a student learns answers and rationales together, and a report "
        "says what that was worth. Begin with: tinyllm elicit --teacher expert --dataset everyday"
    ),
)
app.command(name="import")(import_.import_data)
app.command(name="elicit")(elicit.elicit)
app.command(name="gate")(gate.gate)
app.command(name="review")(review.review)
app.command(name="audit")(audit.audit)
app.command(name="usefulness")(usefulness.usefulness)
app.command(name="distill")(distill.distill)
app.command(name="eval")(evaluate.evaluate)
app.command(name="experiment")(experiment.experiment)
app.command(name="find")(find.find)
app.command(name="inspect")(inspect.inspect)
app.command(name="report")(report.report)
app.command(name="compare")(compare.compare)
app.command(name="view")(view.view)
app.command(name="predict")(predict.predict)
app.command(name="export")(export.export)
app.command(name="export-data")(export_data.export_data)
app.command(name="push")(push.push)
app.command(name="list")(list_.list_contents)
app.command(name="rename")(rename.rename)
app.command(name="delete")(delete.delete)
app.command(name="prune")(prune.prune)
app.command(name="backup")(backup.backup)
app.command(name="check")(check.check)
app.command(name="merge")(merge.merge)
app.command(name="split")(split.split)
app.command(name="info")(info.info)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tinyllm {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """The options before a command, and the format of its log."""
    log.check_format()


def main() -> None:
    """Run the command that the arguments name."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character that the terminal's encoding lacks ends no command
            stream.reconfigure(errors="backslashreplace")
    try:
        apply_env_file(os.environ)  # before options and libraries read the environment
    except UsageProblem as error:
        Console(json="--json" in sys.argv).error(str(error), error.hint, error.exit_code)
        sys.exit(error.exit_code)
    # transformers asks the hub about a model's safetensors conversion in a thread of its own; we never load pickle.
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        app()
    except BrokenPipeError:  # `tinyllm report | head`
        sys.stderr.close()
        sys.exit(141)
