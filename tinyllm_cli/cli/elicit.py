"""`tinyllm elicit`: teachers write rationales into the database."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyllm_cli.cli.console import Console
from tinyllm_cli.cli.session import DEFAULT_DB, Config, Db, Debug, Json, Quiet, Session, guarded

if TYPE_CHECKING:
    from backends.base import Sampling, Teacher
    from tinyllm_cli.config import TeacherSpec
    from tinyllm_cli.elicit import Tally
    from tinyllm_cli.pending import Job
    from tinyllm_cli.store import Store


@guarded
def elicit(
    teacher: Annotated[
        list[str],
        typer.Option("--teacher", "-t", help="A teacher, or the beginning of its name. May be repeated."),
    ],
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="A data set by name, or the path of your own.")],
    split: Annotated[str, typer.Option(help="Which questions: train, valid or test.")] = "train",
    icl: Annotated[int, typer.Option(min=0, max=16, help="In-context examples, drawn from train; 0 for none.")] = 2,
    teacher_forcing: Annotated[
        bool,
        typer.Option(
            "--teacher-forcing/--no-teacher-forcing",
            help="Show the teacher the gold answer and have it explained, or have the teacher answer by itself.",
        ),
    ] = True,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N questions of the split.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Rationales for each question.")] = 1,
    temperature: Annotated[float | None, typer.Option(min=0.0, help="0 is greedy.", show_default="0")] = None,
    top_p: Annotated[float | None, typer.Option(min=0.01, max=1.0, help="Nucleus sampling.", show_default="1")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest reply.", show_default="256")] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Decides the in-context examples and the sampling.", show_default="0"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show one prompt in full and what would be asked.")
    ] = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Have teachers write a rationale for each question that has none yet. Resumes by itself.

    Example: tinyllm elicit --teacher llama2 --dataset riddle
    """
    from tinyllm_cli.config import match_name
    from tinyllm_cli.ingest import ingest_named
    from tinyllm_cli.pending import Job
    from tinyllm_cli.prompts import Recipe

    session = Session(db, config, Console(json=json, quiet=quiet))
    settings = session.settings
    specs = [settings.teachers[match_name(name, settings.teachers, "teacher")] for name in teacher]
    typed = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens, "seed": seed}
    with closing(session.open_store()) as store:
        with session.console.meter(f"reading {dataset}") as meter:
            ingested = ingest_named(store, dataset, settings, lambda rows: meter(rows, 0))
        jobs = [
            Job(
                dataset=ingested.name,
                split=split,
                spec=spec,
                recipe=Recipe(icl=icl, seed=seed or 0, teacher_forcing=teacher_forcing),
                sampling=_sampling(spec, typed),
                samples=samples,
                limit=limit,
            )
            for spec in specs
        ]
        results = [(preview if dry_run else run_job)(session, store, job) for job in jobs]
        session.console.result({"dataset": ingested.name, "split": split, "teachers": results})
        if not dry_run:
            session.console.next(_next_command(specs, ingested.name, split, teacher_forcing))


def _sampling(spec: TeacherSpec, typed: dict[str, Any]) -> Sampling:
    """Flags over the teacher's table in tinyllm.toml over the defaults."""
    from backends.base import Sampling
    from tinyllm_cli.prompts import STOP

    chosen = {"stop": STOP, **spec.sampling, **{name: value for name, value in typed.items() if value is not None}}
    return Sampling(**{**chosen, "stop": tuple(chosen["stop"])})


def _next_command(specs: list[TeacherSpec], dataset: str, split: str, teacher_forcing: bool) -> str:
    if teacher_forcing:
        return f"tinyllm distill --alpha {','.join(f'{spec.name}=1' for spec in specs)}"
    return f"tinyllm eval --teacher {specs[0].name} --dataset {dataset} --split {split}"


def run_job(session: Session, store: Store, job: Job) -> dict[str, Any]:
    """Make the job's teacher and have it answer."""
    import backends

    with closing(backends.create(job.spec.backend, job.spec.options)) as teacher:
        return drive(session, store, job, teacher)


def drive(session: Session, store: Store, job: Job, teacher: Teacher) -> dict[str, Any]:
    """Elicit one job with progress; prints and returns what came of it."""
    from tinyllm_cli.elicit import elicit as elicit_stage
    from tinyllm_cli.errors import InterruptedByUser
    from tinyllm_cli.store.rationales import count as count_rationales

    name = job.spec.name
    with session.console.meter(f"{name} on {job.dataset}/{job.split}") as meter:

        def watch(tally: Tally) -> None:
            meter(tally.already + tally.done + tally.failed, tally.wanted, _detail(tally))

        try:
            tally = elicit_stage(store, job, teacher, watch)
        except KeyboardInterrupt as error:
            kept = count_rationales(store, job.dataset, job.split, name)
            raise InterruptedByUser(
                f"Stopped: {kept} rationales of {name} are kept for {job.dataset}/{job.split}.",
                "Run the same command to go on.",
            ) from error
    _say(session, job, tally)
    return _summary(name, tally)


def preview(session: Session, store: Store, job: Job) -> dict[str, Any]:
    """Show the prompt for the first question and how many would be asked; asks nothing."""
    import backends
    from tinyllm_cli.pending import RECORDED, Missing
    from tinyllm_cli.store import questions as stored_questions

    teacher = backends.create(job.spec.backend, job.spec.options)
    with closing(teacher):
        missing = Missing(store, job, teacher)
        to_ask = sum(len(page) for page in missing.pages())
        first = missing.prompt(stored_questions.at(store, job.dataset, job.split, 0))
    text = "\n\n".join(f"[{message.role}]\n{message.content}" for message in first.messages)
    console, model, already = session.console, missing.asking.model, missing.already
    console.say("(recorded rationales: nothing is asked)" if job.spec.backend == RECORDED else text)
    console.say(
        f"\nWould ask {job.spec.name} ({model}) {to_ask} times about {job.dataset}/{job.split};"
        f" {already} are answered already. Nothing was asked."
    )
    return {"teacher": job.spec.name, "model": model, "prompt": text, "ask": to_ask, "already": already}


def _detail(tally: Tally) -> str:
    parts = [f"{tally.completion_tokens:,} tokens"] if tally.completion_tokens else []
    parts += [f"{tally.cost:.4f} spent"] if tally.cost is not None else []
    parts += [f"{tally.failed} failed"] if tally.failed else []
    return ", ".join(parts)


def _say(session: Session, job: Job, tally: Tally) -> None:
    console = session.console
    line = f"{job.spec.name} on {job.dataset}/{job.split}: {tally.done} new rationales, {tally.already} were there"
    line += f", {tally.failed} failed" if tally.failed else ""
    line += f", {tally.absent} questions have none" if tally.absent else ""
    line += f"; {tally.cut_off} were cut off at {job.sampling.max_tokens} tokens" if tally.cut_off else ""
    console.say(f"{line}.")
    for key, reason in tally.failures:
        console.note(f"  failed: {key}: {reason}")
    if tally.failed > len(tally.failures):
        console.note(f"  and {tally.failed - len(tally.failures)} more; the table 'failures' has them all")
    if tally.failed:
        console.note("The same command asks the failed ones again.")


def _summary(name: str, tally: Tally) -> dict[str, Any]:
    return {
        "teacher": name,
        "new": tally.done,
        "already": tally.already,
        "failed": tally.failed,
        "absent": tally.absent,
        "cut_off": tally.cut_off,
        "prompt_tokens": tally.prompt_tokens,
        "completion_tokens": tally.completion_tokens,
        "cost": tally.cost,
    }
