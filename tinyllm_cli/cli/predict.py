"""`tinyllm predict`: a student answers questions, and says why in its teachers' voices."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyllm_cli.cli.console import Console
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, Quiet
from tinyllm_cli.cli.resolve import loader, resolved
from tinyllm_cli.cli.session import Session, guarded

if TYPE_CHECKING:
    from tinyllm_cli.datasets.question import Question
    from tinyllm_cli.evaluation.predict import FileCheck, PredictedAnswer, PredictionSummary, PredictorConfig
    from tinyllm_cli.students.base import Student

SCORINGS = ("rank", "generate")
_FILES = "A file of questions"
_SHOWN_PROBLEMS = 10


@guarded
def predict(
    question: Annotated[
        str | None, typer.Argument(help="The question.", show_default="asked for, in a terminal")
    ] = None,
    option: Annotated[list[str] | None, typer.Option("--option", "-o", help="One of its options; repeat it.")] = None,
    context: Annotated[str | None, typer.Option(help="A text that the question is about.")] = None,
    run: Annotated[int | None, typer.Option(help="A run's number.", show_default="the latest run")] = None,
    model: Annotated[str | None, typer.Option(help="Any model: a hub name, a folder, a .gguf file, smollm2.")] = None,
    explain_as: Annotated[
        list[str] | None,
        typer.Option(
            "--explain-as", help="Also write a rationale in this teacher's style; repeatable; all: every teacher."
        ),
    ] = None,
    scoring: Annotated[
        str, typer.Option(help="rank: the likeliest option; generate: greedy text matched to an option.")
    ] = "rank",
    file: Annotated[
        Path | None,
        typer.Option(
            help="Questions as .jsonl, .json, .csv or .parquet; right answers optional.", rich_help_panel=_FILES
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Where the answers go, as JSON lines. What it has already is kept.", rich_help_panel=_FILES),
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", help="FIELD=COLUMN, as in tinyllm import; repeat it.", rich_help_panel=_FILES),
    ] = None,
    max_input: Annotated[int, typer.Option(min=8, help="Longest input in tokens, for --model.")] = 1024,
    trust_remote_code: Annotated[bool, typer.Option(help="Run code that comes with the model.")] = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Answer a question with a student: the answer, each option's probability, and rationales on request.

    Example: tinyllm predict "Where do fish live?" --option "in water" --option "in trees" --explain-as all
    """
    from tinyllm_cli.errors import UsageProblem

    if scoring not in SCORINGS:
        raise UsageProblem(f"--scoring can't be '{scoring}'.", f"Choose one of: {', '.join(SCORINGS)}.")
    if run is not None and model is not None:
        raise UsageProblem("--run and --model exclude each other.", "Give one of them, or none for the latest run.")
    _check_source(question, option or [], context, file, out, mapping or [])
    session = Session(db, config, Console(json=json, quiet=quiet))
    if file is None and question is None and (json or not session.console.can_ask):
        raise UsageProblem(
            "What is the question?", 'Say it: tinyllm predict "QUESTION" --option A --option B, or give a --file.'
        )
    manner, voices = _manner(session, run, model, explain_as or [], scoring, max_input)
    load = loader(manner.model, trust_remote_code=trust_remote_code)
    if file is not None:
        assert out is not None
        _answer_file(session, load, manner, file, out, mapping or [])
    elif question is not None:
        _show(session, manner, _ask(load, manner, _question(session, question, option or [], context)))
    else:
        _converse(session, load, manner)
    session.console.next(_next(manner, voices, model))


def _check_source(
    question: str | None,
    options: list[str],
    context: str | None,
    file: Path | None,
    out: Path | None,
    mapping: list[str],
) -> None:
    from tinyllm_cli.errors import UsageProblem

    if file is not None and (question is not None or options or context is not None):
        raise UsageProblem("A question and --file exclude each other.", "Give one of them.")
    if (file is None) != (out is None):
        raise UsageProblem("--file and --out belong together.", "Say both: --file questions.jsonl --out answers.jsonl")
    if file is None and mapping:
        raise UsageProblem("--map belongs to --file.", "It says which column of the file is which field.")
    if question is None and (options or context is not None):
        raise UsageProblem(
            "There are options or a context, but no question.", 'Say it first: tinyllm predict "QUESTION" ...'
        )


def _manner(
    session: Session, run_id: int | None, model: str | None, wanted: list[str], scoring: str, max_input: int
) -> tuple[PredictorConfig, list[str]]:
    """Who answers and how, and the voices there are."""
    from tinyllm_cli.cli.resolve import run_with_student
    from tinyllm_cli.errors import UsageProblem
    from tinyllm_cli.evaluation.predict import PredictorConfig, choose_prefixes
    from tinyllm_cli.students.base import Limits

    prefixes: dict[str, str]
    if model is not None:
        where = resolved(model)
        name, owner, limits = where, model, Limits(input=max_input)
        prefixes = {teacher: spec.prefix for teacher, spec in session.settings.teachers.items()}
    else:
        with closing(session.open_store(create=False)) as store:
            run = run_with_student(store, run_id)
        if run.method == "pinto":
            raise UsageProblem(
                f"Run {run.id} reads what teachers wrote beside each question (PINTO), and here is nothing to read.",
                f"Its accuracy: tinyllm eval --run {run.id}",
            )
        name, where, owner, prefixes = f"run {run.id}", run.folder, f"Run {run.id}", dict(run.settings.prefixes)
        limits = Limits.of(run.settings.train)
    chosen = choose_prefixes(wanted, prefixes, owner)
    manner = PredictorConfig(name=name, model=where, scoring=scoring, limits=limits, prefixes=chosen)  # type: ignore[arg-type]
    return manner, sorted(prefixes)


def _question(session: Session, text: str, options: list[str], context: str | None) -> Question:
    """What was typed, as a question; options are asked for where there are none and somebody is there."""
    from tinyllm_cli.evaluation.predict import typed_question

    if not options and session.console.can_ask and not session.console.json:
        options = _ask_options(session)
    return typed_question(text, options, context)


def _ask(load: Callable[[], Student], manner: PredictorConfig, question: Question) -> PredictedAnswer:
    from tinyllm_cli.evaluation.predict import answer

    return answer(load(), [question], manner)[0]


def _converse(session: Session, load: Callable[[], Student], manner: PredictorConfig) -> None:
    """Ask for questions until an empty line."""
    from tinyllm_cli.errors import UsageProblem
    from tinyllm_cli.evaluation.predict import typed_question

    load()  # before anybody types for a model that isn't there
    session.console.note(f"Asking {manner.name}. An empty line ends the options, and in place of a question the talk.")
    while text := session.console.ask("Question: "):
        try:
            asked = typed_question(text, _ask_options(session), None)
        except UsageProblem as problem:
            session.console.error(str(problem))  # its hint is about options on the command line
            continue
        _show(session, manner, _ask(load, manner, asked))


def _ask_options(session: Session) -> list[str]:
    from tinyllm_cli.datasets.question import MAX_OPTIONS, option_line

    options: list[str] = []
    while len(options) < MAX_OPTIONS and (text := session.console.ask(option_line(len(options), ""))):
        options.append(text)
    return options


def _show(session: Session, manner: PredictorConfig, one: PredictedAnswer) -> None:
    from tinyllm_cli.datasets.question import option_line

    console, prediction, options = session.console, one.prediction, one.question.options
    if prediction.option is None:
        console.say(f"It wrote no option: {prediction.text}")
    else:
        console.say(f"Answer: {option_line(prediction.option, options[prediction.option])}")
    for index, share in enumerate(one.probabilities):
        console.say(f"  {share:6.1%}  {option_line(index, options[index])}")
    for teacher, text in one.rationales.items():
        console.say(f"In the voice of {teacher}: {text or '(nothing)'}")
    if prediction.input_truncated:
        console.say(f"The input was longer than {manner.limits.input} tokens and was cut.")
    console.result(
        {
            "by": manner.name,
            "scoring": manner.scoring,
            "answer": one.text,
            "option": prediction.option,
            "options": list(options),
            "probabilities": list(one.probabilities) or None,
            "text": prediction.text,
            "rationales": dict(one.rationales),
            "input_cut": prediction.input_truncated,
        }
    )


def _answer_file(
    session: Session, load: Callable[[], Student], manner: PredictorConfig, file: Path, out: Path, mapping: list[str]
) -> None:
    from tinyllm_cli.datasets.layout import parse_mapping
    from tinyllm_cli.evaluation.predict import PredictionFiles, answer_file, check_file

    columns = parse_mapping(mapping)
    found = check_file(file, columns)
    for problem in found.problems[:_SHOWN_PROBLEMS]:
        session.console.warn(str(problem), problem.hint)
    if len(found.problems) > _SHOWN_PROBLEMS:
        session.console.warn(f"and {len(found.problems) - _SHOWN_PROBLEMS} more rows that can't be used")
    with session.console.meter(f"{manner.name} on {file.name}") as meter:
        files = PredictionFiles(questions=file, out=out, columns=columns)
        report = answer_file(load, files, manner, found, meter)
    _report(session, found, report, out)


def _report(session: Session, found: FileCheck, report: PredictionSummary, out: Path) -> None:
    from tinyllm_cli.errors import WorldProblem

    console = session.console
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


def _next(manner: PredictorConfig, voices: list[str], model: str | None) -> str:
    who = f"--model {shlex.quote(model)}" if model is not None else f"--{manner.name}"
    if voices and not manner.prefixes and model is None:  # a model that is no student of ours has learnt none
        return f"tinyllm predict {who} --explain-as {voices[0]}"
    return f"tinyllm eval {who}"
