"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tinyllm_cli.cli.completion import dataset_names, run_numbers, teacher_names

_COMMON = "Common options"
DEFAULT_DB = Path("tinyllm.db")

Db = Annotated[Path, typer.Option("--db", envvar="TINYLLM_DB", help="The SQLite database.", rich_help_panel=_COMMON)]
Config = Annotated[
    Path | None,
    typer.Option("--config", envvar="TINYLLM_CONFIG", help="The settings file.", show_default="tinyllm.toml, if any",
                 rich_help_panel=_COMMON),
]  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.", rich_help_panel=_COMMON)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no hints.", rich_help_panel=_COMMON)]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=_COMMON)]

MaxTarget = Annotated[
    int, typer.Option(min=2, help="The student's longest target in tokens, as in distill, for the gates.")
]
MaxInput = Annotated[int, typer.Option(min=8, help="The student's longest input in tokens.")]
Split = Annotated[Literal["train", "valid", "test"], typer.Option(help="Which questions: train, valid or test.")]
Gates = Annotated[
    bool,
    typer.Option(
        "--gates/--no-gates",
        help="Use the rationales that pass the gates; --no-gates: all, cut only at a hallucinated next question.",
    ),
]
TeacherFilter = Annotated[
    list[str] | None,
    typer.Option("--teacher", "-t", help="Only this teacher. Repeatable.", autocompletion=teacher_names),
]
DatasetWithRationales = Annotated[
    str | None,
    typer.Option("--dataset", "-d", help="A data set.", show_default="the only one with rationales",
                 autocompletion=dataset_names),
]  # fmt: skip
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Reviewer = Annotated[
    str | None, typer.Option("--reviewer", help="The name of the person who judges.", show_default="your user name")
]
QuestionLimit = Annotated[int | None, typer.Option(min=1, help="Only the first N questions.")]
RunNumber = Annotated[
    int | None, typer.Option("--run", help="A run's number.", show_default="the latest run", autocompletion=run_numbers)
]
AnyModel = Annotated[
    str | None, typer.Option("--model", help="Any model: a hub name, a folder, a .gguf file, or smollm2.")
]
TrustRemoteCode = Annotated[bool, typer.Option("--trust-remote-code", help="Run code that comes with the model.")]
