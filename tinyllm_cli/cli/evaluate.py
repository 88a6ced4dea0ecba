"""`tinyllm eval`: accuracy of students, of any model, and of teachers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tinyllm_cli.cli.console import Console
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, Quiet
from tinyllm_cli.cli.session import Session, guarded

if TYPE_CHECKING:
    from tinyllm_cli.evaluation.evaluate import QuestionSlice
    from tinyllm_cli.evaluation.targets import EvaluationTarget
    from tinyllm_cli.records.evaluations import Evaluation, Scoring
    from tinyllm_cli.store import Store
    from tinyllm_cli.students.base import Student


@guarded
def evaluate(
    run: Annotated[int | None, typer.Option(help="A run's number.", show_default="the latest run")] = None,
    model: Annotated[str | None, typer.Option(help="Any model: a hub name, a folder, a .gguf file, smollm2.")] = None,
    teacher: Annotated[str | None, typer.Option(help="A teacher, by what it answered without teacher-forcing.")] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="A data set.", show_default="the run's own")
    ] = None,
    split: Annotated[str, typer.Option(help="Which questions: train, valid or test.")] = "test",
    scoring: Annotated[
        Literal["rank", "generate", "both"],
        typer.Option(help="rank: the most likely option; generate: greedy text matched to an option."),
    ] = "both",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N questions.")] = None,
    max_input: Annotated[int, typer.Option(min=8, help="Longest input in tokens, for --model.")] = 1024,
    trust_remote_code: Annotated[bool, typer.Option(help="Run code that comes with the model.")] = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure accuracy, with chance, majority class, interval and unparseable answers. Keeps every prediction.

    Example: tinyllm eval --run 3 --split test
    """
    from tinyllm_cli.cli.resolve import loader, resolved, run_with_student
    from tinyllm_cli.errors import UsageProblem
    from tinyllm_cli.evaluation.evaluate import QuestionSlice
    from tinyllm_cli.evaluation.targets import model_target, only_dataset, run_target, scorings_of, teacher_target
    from tinyllm_cli.ingestion.ingest import ingest_named
    from tinyllm_cli.training.model_card import read_beside

    if sum(choice is not None for choice in (run, model, teacher)) > 1:
        raise UsageProblem(
            "--run, --model and --teacher exclude each other.",
            "Give one of them, or none for the latest run.",
        )
    session = Session(db, config, Console(json=json, quiet=quiet))
    with closing(session.open_store(create=model is not None and dataset is not None)) as store:
        if dataset is not None:
            dataset = ingest_named(store, dataset, session.settings).name
        if model is None and teacher is None:
            trained = run_with_student(store, run)
            questions = QuestionSlice(dataset=dataset or trained.dataset, split=split, limit=limit)
            target = _with_context(store, run_target(trained), read_beside(trained), questions)
        else:
            questions = QuestionSlice(dataset=dataset or only_dataset(store), split=split, limit=limit)
            if model is not None:
                target = model_target(resolved(model), max_input)
            else:
                target = teacher_target(store, session.settings, teacher or "", questions.dataset, max_input)
        load = loader(target.model, revision=target.revision, trust_remote_code=trust_remote_code)
        done = _evaluate(session, store, target, questions, scorings_of(target, scoring), load)
        _show(session, store, done)
    session.console.next("tinyllm report --html report.html")


def _with_context(
    store: Store, target: EvaluationTarget, teachers: Sequence[str], questions: QuestionSlice
) -> EvaluationTarget:
    """With the rationales that a PINTO student reads beside the questions."""
    from tinyllm_cli.training.pinto import load_extra_context

    if not teachers:
        return target
    found = load_extra_context(store, teachers, questions.dataset, questions.split, questions.limit)
    return target.with_context(found.extra_context, found.digest)


def _evaluate(
    session: Session, store: Store, target: EvaluationTarget, questions: QuestionSlice, scorings: Sequence[Scoring],
    load: Callable[[], Student],
) -> list[Evaluation]:  # fmt: skip
    """One evaluation and one progress display for each scoring."""
    from tinyllm_cli.evaluation.evaluate import evaluate as stage

    done = []
    for scoring in scorings:
        label = f"{target.subject.name} on {questions.dataset}/{questions.split}, {scoring}"
        with session.console.meter(label) as meter:
            done += stage(store, target, questions, [scoring], load, lambda _, count, total: meter(count, total))
    return done


def _show(session: Session, store: Store, done: list[Evaluation]) -> None:
    from dataclasses import asdict

    from tinyllm_cli.report.collect import result
    from tinyllm_cli.report.terminal import accuracy_tables

    runs = {run.id: run for run in store.runs.everything()}
    results = [result(evaluation, runs) for evaluation in done]
    for table in accuracy_tables(results):
        session.console.show(table)
    for evaluation in done:
        if evaluation.truncated_inputs:
            session.console.say(
                f"{evaluation.truncated_inputs} inputs were longer than the limit and cut ({evaluation.scoring})."
            )
    rows = [{"id": evaluation.id, **asdict(one)} for evaluation, one in zip(done, results, strict=True)]
    session.console.result({"evaluations": rows})
