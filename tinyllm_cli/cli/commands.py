"""The commands by name, and an app of those that one call needs: to import all of them takes longer than `--help`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer

from tinyllm_cli import __version__
from tinyllm_cli.cli.group import CommandGroup
from tinyllm_cli.cli.views import log


@dataclass(frozen=True)
class Command:
    """A function of a module of `tinyllm_cli.cli`, and the first paragraph of its help, which the list of all commands
    shows."""

    module: str
    function: str
    summary: str

    def load(self) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(import_module(f"tinyllm_cli.cli.{self.module}"), self.function)
        return found


COMMANDS = {
    "import": Command(
        "import_", "import_data", "Import a data set of your own, with the recorded rationales beside it."
    ),
    "elicit": Command(
        "elicit",
        "elicit",
        "Have teachers write a rationale for each question that has none yet. Resumes where it stopped.",
    ),
    "gate": Command(
        "gate",
        "gate",
        "Check rationales: each is kept, repaired or rejected, with a reason. `distill` trains on the"
        " kept and repaired.",
    ),
    "review": Command(
        "review", "review", "Judge rationales on a sheet, in any spreadsheet program, and compare people and gates."
    ),
    "audit": Command(
        "audit",
        "audit",
        "Check questions and rationales before training: missing, unfit or truncated rationales, "
        "leaks from the test split.",
    ),
    "usefulness": Command(
        "usefulness",
        "usefulness",
        "Measure how much each rationale raises a model's probability of the gold answer, for `distill --usefulness`.",
    ),
    "distill": Command(
        "distill",
        "distill",
        "Train a student on answers and on teachers' rationales together: L = L_A + sum of alpha_m L_Tm.",
    ),
    "eval": Command(
        "evaluate",
        "evaluate",
        "Measure accuracy, with chance, majority class, interval and unparseable answers. Keeps every prediction.",
    ),
    "experiment": Command(
        "experiment",
        "experiment",
        "Run one of the paper's experiments: show the plan, then train and evaluate. Finished runs are not repeated.",
    ),
    "find": Command(
        "find",
        "find",
        "Find questions by their words, their rationales' verdicts and the answers to them; all "
        "options apply together.",
    ),
    "inspect": Command(
        "inspect",
        "inspect",
        "Show one question: every teacher's rationale, what the gates removed, and every answer.",
    ),
    "report": Command(
        "report",
        "report",
        "Show the paper's tables and figures for your runs, with paired tests; and data, teachers, costs and runs.",
    ),
    "compare": Command(
        "compare",
        "compare",
        "Compare runs: the settings that differ, accuracies with paired tests, and questions with different outcomes.",
    ),
    "view": Command(
        "view",
        "view",
        "Show the database in a browser while other commands work on it: what runs now, questions "
        "with their rationales, reviews, runs and the report. Needs the extra `view`. Ends with "
        "Ctrl-C.",
    ),
    "predict": Command(
        "predict",
        "predict",
        "Answer a question with a student: the answer, each option's probability, and rationales on request.",
    ),
    "export": Command(
        "export",
        "export",
        "Export a run's student, and check on questions of the run's data set that it gives the same answers.",
    ),
    "export-data": Command(
        "export_data",
        "export_data",
        "Write questions with the rationales that distill would learn, to train with other tools.",
    ),
    "push": Command(
        "push", "push", "Publish a student or rationales on the Hugging Face hub, or on the hub that HF_ENDPOINT names."
    ),
    "list": Command(
        "list_",
        "list_contents",
        "List data sets, teachers, runs and plans of experiments, with their rows and disk use; or what runs now.",
    ),
    "rename": Command(
        "rename",
        "rename",
        "Rename a data set or a teacher in everything that refers to it: questions, rationales, runs,"
        " evaluations, plans.",
    ),
    "delete": Command("delete", "delete", "Delete data sets, teachers or runs with everything that depends on them."),
    "prune": Command(
        "prune",
        "prune",
        "Delete the weights of finished runs, except the best ones. Records, metrics and model cards stay.",
    ),
    "backup": Command(
        "backup",
        "backup",
        "Copy the database to one file. The copy is consistent, even while other processes write, and"
        " the file appears when it is complete.",
    ),
    "check": Command(
        "check",
        "check",
        "Check the database file, references between rows, and run folders: missing ones, and those without a run.",
    ),
    "merge": Command(
        "merge",
        "merge",
        "Merge other databases into this one, by content: what is identical is stored once. The files"
        " stay as they are.",
    ),
    "split": Command(
        "split",
        "split",
        "Split the questions among databases for machines without a network. This database stays as it is.",
    ),
    "info": Command(
        "info",
        "info",
        "Show versions, devices and paths for a bug report; of environment variables only the names, so no keys.",
    ),
}


def app_of(names: Collection[str]) -> typer.Typer:
    """An app with these commands."""
    app = _app()
    for name in names:
        app.command(name=name)(COMMANDS[name].load())
    return app


def listing() -> typer.Typer:
    """An app that lists all commands, and runs none."""
    app = _app()
    for name, command in COMMANDS.items():
        app.command(name=name, help=command.summary)(_nothing)
    return app


def _app() -> typer.Typer:
    app = typer.Typer(
        name="tinyllm",
        cls=CommandGroup,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        help=(
            "Distil a small student model from the rationales of several large language models.\n\n"
            "Teachers explain answers, a student is trained on answers and explanations together, and a report shows "
            "the effect on accuracy. To begin: tinyllm elicit --teacher expert --dataset everyday"
        ),
    )
    app.callback()(_root)
    return app


def _nothing() -> None:
    """A command of the list."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tinyllm {__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """The options before a command, and the format of its log."""
    log.check_format()
