"""`tinyllm elicit`: teachers write rationales into the database."""

from __future__ import annotations

import shlex
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tinyllm_cli import api
from tinyllm_cli.api.elicitation import ElicitOptions
from tinyllm_cli.cli.completion import dataset_names, teacher_names
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, QuestionLimit, Quiet, Split
from tinyllm_cli.cli.session import Session, command_line, guarded, without
from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.elicit import TerminalConsent, show_part, show_preview
from tinyllm_cli.config.ranges import ICL, SAMPLES, SAMPLING
from tinyllm_cli.errors import UsageProblem, WorldProblem

if TYPE_CHECKING:
    from tinyllm_cli.elicitation.results import ElicitResult

_money = partial(typer.Option, rich_help_panel="Cost")
_batches = partial(typer.Option, rich_help_panel="Batches")
_cluster = partial(typer.Option, rich_help_panel="Cluster")


@guarded
def elicit(
    teacher: Annotated[
        list[str],
        typer.Option("--teacher", "-t", help="A teacher, or an unambiguous beginning of its name. Repeatable.",
                     autocompletion=teacher_names),
    ],
    dataset: Annotated[
        str, typer.Option("--dataset", "-d", help="A data set by name, or a path to your own.",
                          autocompletion=dataset_names),
    ],
    split: Split = "train",
    icl: Annotated[
        int, typer.Option(min=ICL[0], max=ICL[1], help="In-context examples, drawn from train; 0: none.")
    ] = 2,
    teacher_forcing: Annotated[
        bool,
        typer.Option(
            "--teacher-forcing/--no-teacher-forcing",
            help="The teacher sees the gold answer and explains it; --no-teacher-forcing: it answers on its own.",
        ),
    ] = True,
    limit: QuestionLimit = None,
    samples: Annotated[int, typer.Option(min=SAMPLES[0], max=SAMPLES[1], help="Rationales per question.")] = 1,
    temperature: Annotated[
        float | None,
        typer.Option(min=SAMPLING["temperature"][0], max=SAMPLING["temperature"][1],
                     help="Sampling temperature; 0: greedy.",
                     show_default="0; a hosted teacher's endpoint decides"),
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(min=SAMPLING["top_p"][0], max=SAMPLING["top_p"][1], help="Nucleus sampling; 1: off.",
                                    show_default="1; a hosted teacher's endpoint decides"),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(min=SAMPLING["max_tokens"][0], max=SAMPLING["max_tokens"][1], help="Longest reply in tokens.",
                     show_default="256"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of in-context examples and sampling.", show_default="0")
    ] = None,
    budget: Annotated[
        float | None,
        _money(min=0.0, help="Spending limit of this command, in the currency of the prices.", show_default="no limit"),
    ] = None,
    max_tokens_total: Annotated[
        int | None, _money(min=1, help="Token limit of this command, in and out.", show_default="no limit")
    ] = None,
    pilot: Annotated[bool, _money("--pilot", help="Ask 5 questions, show a reply and an estimate of the rest.")] =
    False, yes: Annotated[bool, _money("--yes", "-y", help="Skip the cost confirmation.")] = False,
    batch: Annotated[
        bool, _batches("--batch", help="Use the endpoint's batch API: cheaper, within a day. Run again to continue.")
    ] = False,
    wait: Annotated[
        bool,
        _batches(
            "--wait/--no-wait",
            help="Wait until the batches are done; --no-wait: submit, collect what is done, and end.",
        ),

    ] = True,
    on: Annotated[
        Literal["local", "ray"] | None,
        _cluster(help="Where the teacher's engine runs: here, or as replicas on a Ray cluster.",
                 show_default="as in tinyllm.toml; else local"),
    ] = None,
    replicas: Annotated[
        int | None,
        _cluster(min=1, max=10_000, help="Replicas of the engine on the cluster.",
                 show_default="as in tinyllm.toml; else 1"),
    ] = None,
    dry_run: Annotated[bool, _money("--dry-run", help="Show one prompt and an estimate; ask nothing.")] = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Have teachers write a rationale for each question that has none yet. Resumes where it stopped.

    Example: tinyllm elicit --teacher llama2 --dataset riddle
    """
    if pilot and dry_run:
        raise UsageProblem("--pilot and --dry-run exclude each other.", "A pilot asks questions; a dry run asks none.")
    session = Session(db, config, Console(json=json, quiet=quiet))
    console = session.console
    options = ElicitOptions(
        split=split, icl=icl, teacher_forcing=teacher_forcing, limit=limit, samples=samples, temperature=temperature,
        top_p=top_p, max_tokens=max_tokens, seed=seed, budget=budget, max_tokens_total=max_tokens_total, batch=batch,
        wait=wait, on=on, replicas=replicas, consent=TerminalConsent(console, yes),
    )  # fmt: skip
    with session.project(create=True) as project, console.events(partial(show_part, console)) as on_event:
        if dry_run:
            preview = api.preview_elicitation(project, teacher, dataset, on_event=on_event, **options)
            for one in preview.teachers:
                show_preview(console, one, f"{preview.dataset}/{preview.split}", preview.currency)
            console.result(preview)
            return
        run = api.pilot if pilot else api.elicit
        found = run(project, teacher, dataset, on_event=on_event, **options)
    console.result(found)
    if batch and any(one.pending for one in found.teachers):
        console.next(command_line())
    elif pilot:
        console.next(without("--pilot"))
        console.note("The replies so far are stored and count.")
    else:
        _suggest(console, found, teacher_forcing=teacher_forcing)


def _suggest(console: Console, found: ElicitResult, *, teacher_forcing: bool) -> None:
    """The next command. Raises when the teachers were asked and no rationale came of it."""
    written = [one.teacher for one in found.teachers if one.has_rationales]
    if not written and any(one.failed for one in found.teachers):
        reason = next(one.reason for one in found.teachers if one.reason)
        raise WorldProblem(
            f"No request returned a rationale: {reason}.",
            "See the prompt with --dry-run, and try five with --pilot. The same command asks the failed ones again.",
        )
    if not written and any(one.absent for one in found.teachers):
        raise UsageProblem(
            f"None of these rationales belongs to a question of {found.dataset}, split {found.split}.",
            "They are matched by id and split; the file may belong to another data set.",
        )
    if any(one.out_of_budget for one in found.teachers):
        console.next("the same command with a larger --budget or --max-tokens-total")
    elif written:
        console.next(shlex.join(_next_command(written, found, teacher_forcing=teacher_forcing)))


def _next_command(teachers: list[str], found: ElicitResult, *, teacher_forcing: bool) -> list[str]:
    if not teacher_forcing:
        return ["tinyllm", "eval", "--teacher", teachers[0], "--dataset", found.dataset, "--split", found.split]
    if found.split == "train":
        return ["tinyllm", "distill", "--alpha", ",".join(f"{name}=1" for name in teachers)]
    return ["tinyllm", "audit", "--dataset", found.dataset]
