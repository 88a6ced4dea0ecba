"""`tinyllm eval`: accuracy of students, of any model, and of teachers."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from tinyllm_cli.cli.console import Console
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, Quiet
from tinyllm_cli.cli.resolve import loader, resolved
from tinyllm_cli.cli.session import Session, guarded

if TYPE_CHECKING:
    from tinyllm_cli.records.evaluations import Evaluation, Scoring, Subject
    from tinyllm_cli.store import Store
    from tinyllm_cli.students.base import Limits
    from tinyllm_cli.students.inputs import ExtraContext

SCORINGS = ("rank", "generate", "both")


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
        str,
        typer.Option(help="rank: the likeliest option; generate: greedy text matched to an option; both."),
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
    from tinyllm_cli.errors import UsageProblem

    if scoring not in SCORINGS:
        raise UsageProblem(f"--scoring can't be '{scoring}'.", f"Choose one of: {', '.join(SCORINGS)}.")
    if sum(choice is not None for choice in (run, model, teacher)) > 1:
        raise UsageProblem(
            "--run, --model and --teacher exclude each other.",
            "Give one of them, or none for the latest run.",
        )
    session = Session(db, config, Console(json=json, quiet=quiet))
    scorings: tuple[Scoring, ...] = ("rank", "generate") if scoring == "both" else (scoring,)  # type: ignore[assignment]
    with closing(session.open_store(create=model is not None and dataset is not None)) as store:
        target = _target(session, store, run, model, teacher, dataset, max_input)
        if target.teacher is not None:
            scorings = _teacher_scorings(target, scoring)
        done = _evaluate(session, store, target, split, scorings, limit, trust_remote_code)
        _show(session, store, done)
    session.console.next("tinyllm report --html report.html")


@dataclass(frozen=True, kw_only=True)
class _Target:
    """Who answers, and on what."""

    dataset: str
    subject: Subject
    model: str
    limits: Limits
    teacher: str | None = None
    revision: str | None = None
    reads: tuple[str, ...] = ()
    """Teachers whose texts stand beside the questions (PINTO)."""


def _target(
    session: Session,
    store: Store,
    run_id: int | None,
    model: str | None,
    teacher: str | None,
    dataset: str | None,
    max_input: int,
) -> _Target:
    from tinyllm_cli.evaluation.evaluate import model_subject
    from tinyllm_cli.ingestion.ingest import ingest_named
    from tinyllm_cli.students.base import Limits

    if dataset is not None:
        dataset = ingest_named(store, dataset, session.settings).name
    if model is None and teacher is None:
        return _run_target(store, run_id, dataset)
    dataset = dataset or _only_dataset(store)
    limits = Limits(input=max_input)
    if model is not None:
        model = resolved(model)
        return _Target(
            dataset=dataset, subject=model_subject("model", model, model, limits), model=model, limits=limits
        )
    assert teacher is not None
    return _teacher_target(session, store, teacher, dataset, limits)


def _teacher_target(session: Session, store: Store, teacher: str, dataset: str, limits: Limits) -> _Target:
    from tinyllm_cli.config import match_name
    from tinyllm_cli.evaluation.evaluate import model_subject

    wrote = {variant.teacher for variant in store.rationales.variants(dataset)}
    name = match_name(teacher, {*session.settings.teachers, *wrote}, "teacher")
    spec = session.settings.teachers.get(name)
    options = spec.options if spec and spec.backend == "huggingface" else {}
    model, revision = str(options.get("model") or ""), options.get("revision")
    subject = model_subject("teacher", name, model, limits, revision)
    return _Target(dataset=dataset, subject=subject, model=model, limits=limits, teacher=name, revision=revision)


def _teacher_scorings(target: _Target, scoring: str) -> tuple[Scoring, ...]:
    """A teacher's stored answers count first; it is ranked as well where its model lies on this machine."""
    from tinyllm_cli.errors import UsageProblem
    from tinyllm_cli.students.loading import is_local

    if scoring == "rank" and not target.model:
        raise UsageProblem(
            f"{target.teacher} can't be ranked: it is not a Hugging Face model.", "Use --scoring generate."
        )
    if scoring == "both":
        return ("generate", "rank") if is_local(target.model) else ("generate",)
    return ("rank",) if scoring == "rank" else ("generate",)


def _run_target(store: Store, run_id: int | None, dataset: str | None) -> _Target:
    from tinyllm_cli.cli.resolve import run_with_student
    from tinyllm_cli.evaluation.evaluate import run_subject
    from tinyllm_cli.students.base import Limits
    from tinyllm_cli.training.model_card import read_beside

    run = run_with_student(store, run_id)
    limits = Limits.of(run.settings.train)
    return _Target(
        dataset=dataset or run.dataset, subject=run_subject(run), model=run.folder, limits=limits,
        reads=read_beside(run),
    )  # fmt: skip


def _only_dataset(store: Store) -> str:
    from tinyllm_cli.errors import UsageProblem, choices

    names = store.questions.names()
    if len(names) == 1:
        return names[0]
    raise UsageProblem("Which data set?", f"Say it with --dataset. The database has: {choices(names)}.")


def _evaluate(
    session: Session,
    store: Store,
    target: _Target,
    split: str,
    scorings: tuple[Scoring, ...],
    limit: int | None,
    trust_remote_code: bool,
) -> list[Evaluation]:
    from tinyllm_cli.evaluation.evaluate import evaluate_student, evaluate_teacher

    load = loader(target.model, revision=target.revision, trust_remote_code=trust_remote_code)
    subject, extra_context = _reading(store, target, split, limit)
    done = []
    for scoring in scorings:
        if target.teacher is not None and scoring == "generate":
            done.append(evaluate_teacher(store, target.teacher, dataset=target.dataset, split=split, limit=limit))
            continue
        label = f"{target.subject.name} on {target.dataset}/{split}, {scoring}"
        with session.console.meter(label) as meter:
            done.append(
                evaluate_student(
                    store, subject, load, dataset=target.dataset, split=split, scoring=scoring,
                    limits=target.limits, limit=limit, watch=lambda answered, total: meter(answered, total),
                    extra_context=extra_context,
                )
            )  # fmt: skip
    return done


def _reading(store: Store, target: _Target, split: str, limit: int | None) -> tuple[Subject, ExtraContext]:
    """What the subject reads beside the questions, which is part of what it is."""
    from dataclasses import replace

    from tinyllm_cli.students.inputs import NO_EXTRA_CONTEXT
    from tinyllm_cli.training.pinto import load_extra_context

    if not target.reads:
        return target.subject, NO_EXTRA_CONTEXT
    found = load_extra_context(store, target.reads, target.dataset, split, limit)
    return replace(target.subject, extra_context=found.digest), found.extra_context


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
