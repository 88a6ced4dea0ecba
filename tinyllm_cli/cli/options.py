"""Options that several commands share, each declared once."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from tinyllm_cli.cli.completion import dataset_names, run_numbers, teacher_names
from tinyllm_cli.config.ranges import ICL
from tinyllm_cli.records.settings import RationaleKind, TextChoice

_COMMON = "Common options"
_choice = partial(typer.Option, rich_help_panel="Which rationales")
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
MaxInput = Annotated[
    int | None,
    typer.Option(min=8, help="A model's longest input in tokens; a run has its own.", show_default="1024"),
]
Split = Annotated[Literal["train", "valid", "test"], typer.Option(help="Which questions: train, valid or test.")]
Gates = Annotated[
    bool,
    typer.Option(
        "--gates/--no-gates",
        help="Use the rationales that pass the gates; --no-gates: all, cut only at a hallucinated next question.",
    ),
]
Rationales = Annotated[
    RationaleKind,
    _choice(
        help="forced: written by teachers that saw the gold answer (the paper); correct: written without it and ending"
        " in the right answer; correct-or-forced: forced where a question has no correct one.",
    ),
]
Icl = Annotated[
    int | None,
    _choice(
        min=ICL[0], max=ICL[1], help="Use only rationales elicited with this number of in-context examples.",
        show_default="any",
    ),
]  # fmt: skip
PerQuestion = Annotated[
    int | None,
    _choice(min=1, help="Use the best N texts of all teachers per question, by --choose.", show_default="all"),
]
Choose = Annotated[
    TextChoice | None,
    _choice(
        help="learnability: the most likely for the student; usefulness: the most useful; agreement: the closest to the"
        " other texts; random: a draw by the seed.",
        show_default="agreement",
    ),
]
UsefulnessModel = Annotated[
    str | None,
    _choice(
        help="The model whose usefulness scores are used, or a prefix of its name.",
        show_default="the only model that scored",
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
