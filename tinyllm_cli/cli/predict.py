"""`tinyllm predict`: a student answers questions, and explains them in its teachers' styles."""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from backends.imports import uncollected, without
from tinyllm_cli import api
from tinyllm_cli.api.evaluation import PredictOptions
from tinyllm_cli.cli.completion import teacher_names
from tinyllm_cli.cli.options import (
    DEFAULT_DB,
    AnyModel,
    Config,
    Db,
    Debug,
    Json,
    MaxInput,
    Quiet,
    RunNumber,
    TrustRemoteCode,
)
from tinyllm_cli.cli.session import Session, guarded
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.errors import UsageProblem, WorldProblem, command_text

if TYPE_CHECKING:
    from tinyllm_cli.api.evaluation import Predictor
    from tinyllm_cli.datasets.question import Question
    from tinyllm_cli.evaluation.predict import FileCheck, PredictedAnswer, PredictionSummary

_file = partial(typer.Option, rich_help_panel="A file of questions")
_SHOWN_PROBLEMS = 10


@guarded
def predict(
    question: Annotated[
        str | None, typer.Argument(help="The question.", show_default="asked for, in a terminal")
    ] = None,
    option: Annotated[list[str] | None, typer.Option("--option", "-o", help="One of its options. Repeatable.")] = None,
    context: Annotated[str | None, typer.Option(help="A text that the question is about.")] = None,
    run: RunNumber = None,
    model: AnyModel = None,
    explain_as: Annotated[
        list[str] | None,
        typer.Option("--explain-as", help="Also write a rationale in this teacher's style; all: every teacher."
                     " Repeatable.", autocompletion=teacher_names),
    ] = None,
    scoring: Annotated[
        Literal["rank", "generate", "explain"] | None,
        typer.Option(
            help="rank: the most likely option; generate: greedy text matched to an option; explain: the student writes"
            " a rationale and answers.",
            show_default="rank; explain for a student that explains first",
        ),
    ] = None,
    votes: Annotated[
        int, typer.Option(min=1, help="With explain: answer by the majority of K sampled rationales.")
    ] = 1,
    file: Annotated[
        Path | None,
        _file(help="Questions as .jsonl, .json, .csv, .tsv or .parquet; gold answers are optional."),
    ] = None,
    out: Annotated[
        Path | None, _file(help="Where the answers go, as JSON lines. Answers that it holds are kept.")
    ] = None,
    mapping: Annotated[
        list[str] | None, _file("--map", help="FIELD=COLUMN, as in tinyllm import. Repeatable.")
    ] = None,
    max_input: MaxInput = None,
    trust_remote_code: TrustRemoteCode = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Answer a question with a student: the answer, each option's probability, and rationales on request.

    Example: tinyllm predict "Where do fish live?" --option "in water" --option "in trees" --explain-as all
    """
    if run is not None and model is not None:
        raise UsageProblem("--run and --model exclude each other.", "Give one of them, or none for the latest run.")
    _check_source(question, option or [], context, file, out, mapping or [])
    session = Session(db, config, Console(json=json, quiet=quiet))
    console = session.console
    if file is None and question is None and (json or not console.can_ask):
        raise UsageProblem(
            "What is the question?",
            f"Give it: {command_text('predict', 'QUESTION', '--option', 'A', '--option', 'B')}, or give a --file.",
        )
    asked = None
    if question is not None and (option or json or not console.can_ask):  # a wrong one is reported before a model loads
        asked = _question(console, question, option or [], context)
    student = _predictor(
        session, PredictOptions(run=run, model=model, explain_as=explain_as or [], scoring=scoring, votes=votes,
                                max_input=max_input, trust_remote_code=trust_remote_code)
    )  # fmt: skip
    if file is not None:
        assert out is not None
        _answer_file(console, student, file, out, mapping or [])
    elif question is not None:
        asked = asked or _question(console, question, [], context)
        with uncollected():
            _show(console, student, _ask_without_scipy(student, asked))
            gc.freeze()  # the command ends soon: the collector need not look through what was imported
    else:
        _converse(console, student)
    console.next(_next(student, model))


def _ask_without_scipy(student: Predictor, question: Question) -> PredictedAnswer:
    """transformers imports scipy for losses of object detection, which takes 0.2 s. Where another package needs it, as
    scikit-learn does, it is imported after all."""
    try:
        with without("scipy"):
            return student.ask(question)
    except ImportError:
        return student.ask(question)


def _predictor(session: Session, options: PredictOptions) -> Predictor:
    """A model needs no database; the prefixes of teachers come from the settings."""
    if options.get("model") is None:
        with session.project() as project:
            return api.predictor(project, **options)
    options["prefixes"] = {name: spec.prefix for name, spec in session.settings.teachers.items()}
    return api.predictor(None, **options)


def _check_source(
    question: str | None,
    options: list[str],
    context: str | None,
    file: Path | None,
    out: Path | None,
    mapping: list[str],
) -> None:
    if file is not None and (question is not None or options or context is not None):
        raise UsageProblem("A question and --file exclude each other.", "Give one of them.")
    if (file is None) != (out is None):
        raise UsageProblem("--file and --out belong together.", "Say both: --file questions.jsonl --out answers.jsonl")
    if file is None and mapping:
        raise UsageProblem("--map belongs to --file.", "It says which column of the file is which field.")
    if question is None and (options or context is not None):
        raise UsageProblem("There are options or a context, but no question.", "Give the question before the options.")


def _question(console: Console, text: str, options: list[str], context: str | None) -> Question:
    """What was typed, as a question; options are asked for in a terminal where there are none."""
    from tinyllm_cli.evaluation.predict import typed_question

    if not options and console.can_ask and not console.json:
        options = _ask_options(console)
    return typed_question(text, options, context)


def _converse(console: Console, student: Predictor) -> None:
    """Ask for questions until an empty line."""
    from tinyllm_cli.evaluation.predict import typed_question

    student.load()  # a missing model is reported before anybody types
    console.note(f"Asking {student.config.name}. An empty line ends the options; an empty question ends the session.")
    while text := console.ask("Question: "):
        try:
            asked = typed_question(text, _ask_options(console), None)
        except UsageProblem as problem:
            console.error(str(problem))  # its hint is about options on the command line
            continue
        _show(console, student, student.ask(asked))


def _ask_options(console: Console) -> list[str]:
    from tinyllm_cli.datasets.question import MAX_OPTIONS, option_line

    options: list[str] = []
    while len(options) < MAX_OPTIONS and (text := console.ask(option_line(len(options), ""))):
        options.append(text)
    return options


def _show(console: Console, student: Predictor, one: PredictedAnswer) -> None:
    from tinyllm_cli.datasets.question import option_line

    prediction, options = one.prediction, one.question.options
    if prediction.option is None:
        console.say(f"The text matches no option: {prediction.text}")
    else:
        console.say(f"Answer: {option_line(prediction.option, options[prediction.option])}")
    for index, share in enumerate(one.probabilities):
        console.say(f"  {share:6.1%}  {option_line(index, options[index])}")
    if student.config.scoring == "explain":
        console.say(f"Explanation: {prediction.text or '(nothing)'}")
    for teacher, text in one.rationales.items():
        console.say(f"Explained as {teacher}: {text or '(nothing)'}")
    if prediction.input_truncated:
        console.say(f"The input exceeded {student.config.limits.input} tokens and was truncated.")
    console.result(
        {
            "by": student.config.name,
            "scoring": student.config.scoring,
            "answer": one.text,
            "option": prediction.option,
            "options": list(options),
            "probabilities": list(one.probabilities) or None,
            "text": prediction.text,
            "rationales": dict(one.rationales),
            "input_cut": prediction.input_truncated,
        }
    )


def _answer_file(console: Console, student: Predictor, file: Path, out: Path, mapping: list[str]) -> None:
    from tinyllm_cli.datasets.layout import parse_mapping

    with console.events() as on_event:
        found, summary = api.predict_file(student, file, out, columns=parse_mapping(mapping), on_event=on_event)
    for problem in found.problems[:_SHOWN_PROBLEMS]:
        console.warn(str(problem), problem.hint)
    if len(found.problems) > _SHOWN_PROBLEMS:
        console.warn(f"and {len(found.problems) - _SHOWN_PROBLEMS} more rows that can't be used")
    _report(console, found, summary, out)


def _report(console: Console, found: FileCheck, report: PredictionSummary, out: Path) -> None:
    before = f", {report.before} of them before" if report.before else ""
    console.say(f"{len(report.lines)} of {report.questions} questions answered{before}: {out}")
    if report.graded:
        console.say(f"{report.correct} of the {report.graded} that came with an answer are right.")
    if report.unparseable:
        console.say(f"{report.unparseable} texts were no option.")
    if report.changed:
        console.say(f"{report.changed} questions have changed since; of lines with one id, the last one counts.")
    console.result(
        {
            "out": str(out),
            "questions": report.questions,
            "answered": len(report.lines),
            "before": report.before,
            "changed": report.changed,
            "graded": report.graded,
            "correct": report.correct,
            "unparseable": report.unparseable,
            "unusable": [str(problem) for problem in found.problems],
        }
    )
    if found.problems:
        raise WorldProblem(
            f"{len(found.problems)} of {len(found.problems) + found.questions} rows could not be used.",
            ("The others are answered. " if found.questions else "")
            + "Correct these and run the same command again: only what is missing is asked.",
        )


def _next(student: Predictor, model: str | None) -> str:
    who = ["--model", model] if model is not None else f"--{student.config.name}".split()  # --run 3
    if student.teachers and not student.config.prefixes and model is None:  # other models know no teacher's style
        return command_text("predict", *who, "--explain-as", student.teachers[0])
    return command_text("eval", *who)
