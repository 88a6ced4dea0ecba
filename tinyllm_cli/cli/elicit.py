"""`tinyllm elicit`: teachers write rationales into the database."""

from __future__ import annotations

import shlex
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyllm_cli.cli.console import Console
from tinyllm_cli.cli.session import DEFAULT_DB, Config, Db, Debug, Json, Quiet, Session, command_line, guarded
from tinyllm_cli.cli.views.batch import Batcher
from tinyllm_cli.cli.views.elicit import ElicitationView
from tinyllm_cli.errors import UsageProblem, WorldProblem

if TYPE_CHECKING:
    from backends.base import Sampling
    from tinyllm_cli.config import TeacherSpec

_MONEY = "Money and checks"
_BATCHES = "Batches"


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
    samples: Annotated[int, typer.Option(min=1, max=1000, help="Rationales for each question.")] = 1,
    temperature: Annotated[float | None, typer.Option(min=0.0, max=100.0, help="0 is greedy.", show_default="0")] = None,
    top_p: Annotated[float | None, typer.Option(min=0.01, max=1.0, help="Nucleus sampling.", show_default="1")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest reply.", show_default="256")] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Decides the in-context examples and the sampling.", show_default="0"),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(min=0.0, help="Money that this command may spend, in all.", rich_help_panel=_MONEY),
    ] = None,
    max_tokens_total: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens that this command may take, in and out, in all.", rich_help_panel=_MONEY),
    ] = None,
    pilot: Annotated[
        bool,
        typer.Option("--pilot", help="Ask 5 questions, show what came of it and what the rest would take.",
                     rich_help_panel=_MONEY),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Spend money without a question.", rich_help_panel=_MONEY)
    ] = False,
    batch: Annotated[
        bool,
        typer.Option("--batch", help="Through the endpoint's Batch API: for less money, within a day. Run it again to"
                     " go on.", rich_help_panel=_BATCHES),
    ] = False,
    wait: Annotated[
        bool,
        typer.Option("--wait/--no-wait", help="Wait until the batches are done, or submit, collect and end.",
                     rich_help_panel=_BATCHES),
    ] = True,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show one prompt in full and what asking would take; ask nothing.",
                     rich_help_panel=_MONEY),
    ] = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Have teachers write a rationale for each question that has none yet. Resumes by itself.

    Example: tinyllm elicit --teacher llama2 --dataset riddle
    """
    from tinyllm_cli.config.names import match_name
    from tinyllm_cli.elicitation.budget import Budget
    from tinyllm_cli.elicitation.requests import Job
    from tinyllm_cli.ingestion.ingest import ingest_named
    from tinyllm_cli.records.elicitation import Recipe

    if not wait and not batch:
        raise UsageProblem("--no-wait goes with --batch.", "Add --batch, or leave --no-wait out.")
    session = Session(db, config, Console(json=json, quiet=quiet))
    settings = session.settings
    specs = [settings.teachers[match_name(name, settings.teachers, "teacher")] for name in teacher]
    _say_origin(session.console, specs)
    typed = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens, "seed": seed}
    with closing(session.open_store()) as store:
        with session.console.meter(f"reading {dataset}") as meter:
            ingested = ingest_named(store, dataset, settings, lambda rows: meter(rows, 0))
        for warning in ingested.warnings:
            session.console.warn(warning)
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
        asker = ElicitationView(
            session.console, store, Budget(money=budget, tokens=max_tokens_total), yes=yes, batch=batch
        )
        if not dry_run:
            asker.vet(jobs)
        if batch and not dry_run and not pilot:
            results = Batcher(asker, wait=wait).run(jobs)
        else:
            how = asker.preview if dry_run else asker.pilot if pilot else asker.run
            results = [how(job) for job in jobs]
        session.console.result({"dataset": ingested.name, "split": split, "teachers": results})
        if batch and any(result.get("pending") for result in results):
            session.console.next(command_line())
        elif pilot:
            session.console.next("the same command without --pilot; the answers so far count")
        elif not dry_run:
            _say_way_on(session.console, results, ingested.name, split, teacher_forcing=teacher_forcing)


def _say_origin(console: Console, specs: list[TeacherSpec]) -> None:
    """Where teachers and the endpoint come from, where a file in the current folder decides it."""
    from tinyllm_cli.config.env_file import endpoint_from_env_file

    for spec in specs:
        for notice in spec.notices():
            console.note(notice)
    endpoint = endpoint_from_env_file()
    if endpoint and any(spec.backend == "openai" and not spec.options.get("base_url") for spec in specs):
        console.note(f"Endpoint: {endpoint} (OPENAI_BASE_URL of .env).")


def _sampling(spec: TeacherSpec, typed: dict[str, Any]) -> Sampling:
    """Flags over the teacher's table in tinyllm.toml over the defaults."""
    from backends.base import Sampling
    from tinyllm_cli.elicitation.replies import STOP

    chosen = {"stop": STOP, **spec.sampling, **{name: value for name, value in typed.items() if value is not None}}
    return Sampling(**{**chosen, "stop": tuple(chosen["stop"])})


def _say_way_on(
    console: Console, results: list[dict[str, Any]], dataset: str, split: str, *, teacher_forcing: bool
) -> None:
    """Raises when the teachers were asked and there is nothing to show for it."""
    there = [one["teacher"] for one in results if one.get("new") or one.get("already") or one.get("elsewhere")]
    if not there and any(one.get("failed") for one in results):
        raise WorldProblem(
            f"No request brought a rationale: {next(one['reason'] for one in results if one.get('reason'))}.",
            "See what is asked with --dry-run, and try five with --pilot. The same command asks the failed ones again.",
        )
    if not there and any(one.get("absent") for one in results):
        raise UsageProblem(
            f"None of these rationales belongs to a question of {dataset}, split {split}.",
            "They are joined by id and split; the file may speak of another data set.",
        )
    if any(one.get("out_of_budget") for one in results):
        console.next("the same command with a larger --budget or --max-tokens-total")
    elif there:
        console.next(shlex.join(_next_command(there, dataset, split, teacher_forcing=teacher_forcing)))


def _next_command(teachers: list[str], dataset: str, split: str, *, teacher_forcing: bool) -> list[str]:
    if not teacher_forcing:
        return ["tinyllm", "eval", "--teacher", teachers[0], "--dataset", dataset, "--split", split]
    if split == "train":
        return ["tinyllm", "distill", "--alpha", ",".join(f"{name}=1" for name in teachers)]
    return ["tinyllm", "audit", "--dataset", dataset]
