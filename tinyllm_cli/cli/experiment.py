"""`tinyllm experiment`: the paper's experiments, each by one command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from tinyllm_cli import api
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, Quiet
from tinyllm_cli.cli.session import Session, command_line, guarded
from tinyllm_cli.cli.views.console import Console

if TYPE_CHECKING:
    from tinyllm_cli.api.experiments import ExperimentOptions
    from tinyllm_cli.experiments.cluster.env import ClusterSettings
    from tinyllm_cli.records.experiments import OptionValue

Experiment = Literal["table1", "ablation", "train-size", "alpha", "seeds"]
_Number = TypeVar("_Number", int, float)
_shared = partial(typer.Option, rich_help_panel="Shared by all runs")
_cluster = partial(typer.Option, rich_help_panel="Cluster")

_FRACTIONS = "12.5,25,50,100 (percent)"
_SET_BY_PLAN = frozenset({"--alpha", "--dataset", "--student", "--seed", "--limit", "--valid-limit", "--method",
                          "--icl", "--shuffle-rationales", "--db", "--config", "--json", "--dry-run",
                          "--restart"})  # fmt: skip
"""Options of distill that a plan sets, or that would make its runs unusable for it."""


@guarded
def experiment(
    name: Annotated[Experiment, typer.Argument(help="The experiment.", show_default=False)],
    more: Annotated[
        list[str] | None, typer.Argument(help="Further options for distill, after --, such as: -- --epochs 3")
    ] = None,
    dataset: Annotated[
        list[str] | None,
        _shared("--dataset", "-d", help="A data set; repeatable.", show_default="those with rationales"),
    ] = None,
    student: Annotated[
        list[str] | None,
        _shared(
            "--student", "-s", help="A student; repeatable.",
            show_default="that of the latest run, or google/flan-t5-small",
        ),
    ] = None,
    alpha: Annotated[
        str | None,
        _shared(help="Teachers and their weights, as for distill.", show_default="1 for every teacher"),
    ] = None,
    seeds: Annotated[str, _shared(help="Seeds, each a run: 0,1,2.")] = "0",
    limit: Annotated[int | None, _shared(min=1, help="Only the first N questions of train and of valid.")] = None,
    test_limit: Annotated[int | None, _shared(min=1, help="Only the first N test questions.")] = None,
    scoring: Annotated[
        Literal["rank", "generate", "both", "explain"] | None,
        _shared(
            help="How test answers are scored, as in tinyllm eval.",
            show_default="rank; explain with --target rationale-first",
        ),
    ] = None,
    methods: Annotated[
        str | None, typer.Option(help="table1: methods, such as inference,finetune,tinyllm.", show_default="all")
    ] = None,
    fractions: Annotated[
        str | None,
        typer.Option(help="train-size: shares of the training set, in percent.", show_default="12.5,25,50,75,100"),
    ] = None,
    grid: Annotated[
        str | None,
        typer.Option(help="alpha: the values of each teacher's alpha.", show_default="0.01,0.1,0.5,1,2,3"),
    ] = None,
    search: Annotated[
        int | None,
        typer.Option(min=1, help="alpha: N trials of a search on valid instead of the grid (needs Optuna)."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at the same time, where memory allows.")] = 1,
    on: Annotated[
        Literal["local", "ray"], _cluster(help="Where the runs are trained: here, or on the nodes of a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None,
        _cluster(help="The cluster: host:port, auto (one that runs here) or local (start one here).",
                 show_default="auto"),
    ] = None,
    run_cpus: Annotated[
        int | None, _cluster(min=1, help="Processors for each run.", show_default="an equal part of the cluster's")
    ] = None,
    run_gpus: Annotated[
        float | None,
        _cluster(min=0, help="GPUs for each run; 0.5 lets two runs share one.",
                 show_default="1 where the cluster has any"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Skip the confirmation.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and start nothing.")] = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Run one of the paper's experiments: show the plan, then train and evaluate. Finished runs are not repeated.

    Example: tinyllm experiment table1 --dataset obqa --seeds 0,1,2 --methods inference,finetune,tinyllm
    """
    from tinyllm_cli.cli.views import experiment as view
    from tinyllm_cli.cli.views.search import planned_search, show_best, show_search
    from tinyllm_cli.errors import UsageProblem
    from tinyllm_cli.experiments.setup import ExperimentRequest
    from tinyllm_cli.students.model_names import absolute
    from tinyllm_cli.training.alpha import parse_alpha

    for option, typed, owner in (
        ("--methods", methods, "table1"),
        ("--fractions", fractions, "train-size"),
        ("--grid", grid, "alpha"),
        ("--search", search, "alpha"),
    ):
        if typed is not None and name != owner:
            raise UsageProblem(f"{option} belongs to the experiment {owner}.", f"Remove it, or run experiment {owner}.")
    if search is not None and grid is not None:
        raise UsageProblem("--search and --grid exclude each other.", "A search chooses the alphas that it tries.")
    cluster = _cluster_settings(on, address, run_cpus, run_gpus)
    options = distill_options(more or [])
    request = ExperimentRequest(
        datasets=dataset or [],
        students=list(map(absolute, student or [])),
        alpha=1.0 if alpha is None else parse_alpha(alpha),
        seeds=numbers(seeds, int, "--seeds", "0,1,2"),
        limit=limit,
        test_limit=test_limit,
        scoring=scoring or ("explain" if options.get("target") == "rationale-first" else "rank"),
        options=options,
    )
    session = Session(db, config, Console(json=json, quiet=quiet))
    console = session.console
    with session.project(create=bool(dataset)) as project, console.events() as on_event:
        if search is not None:
            scheduled = api.plan_search(project, request, search, jobs=jobs, on=on)
            show_search(console, scheduled, jobs)
            if dry_run or not view.confirmed(console, scheduled.trials, yes=yes):
                planned_search(console, scheduled)
                return
            best, found = api.run_search(project, scheduled, command=command_line(), cluster=cluster, on_event=on_event)
            show_best(console, best, found)
            return
        varied = _grids(methods, fractions, grid)
        varied |= {"jobs": jobs, "on": on}
        planned = api.plan_experiment(project, name, request, **varied)
        if not student and planned.plan.cells:
            console.note(f"Student: {planned.student}")
        view.show_plan(console, planned.plan, project.settings.teachers)
        view.show_schedule(console, planned.schedule, jobs)
        if dry_run or not view.confirmed(console, len(planned.schedule.todo), yes=yes):
            view.planned_result(console, planned.schedule)
            return
        found = api.run_experiment(project, planned, command=command_line(), cluster=cluster, on_event=on_event)
        view.show_results(console, found)


def _cluster_settings(
    on: Literal["local", "ray"], address: str | None, cpus: int | None, gpus: float | None
) -> ClusterSettings | None:
    """Raises UsageProblem for settings of a cluster without one."""
    from tinyllm_cli.errors import UsageProblem
    from tinyllm_cli.experiments.cluster.env import ClusterSettings

    if on == "ray":
        return ClusterSettings(address=address or "auto", cpus=cpus, gpus=gpus)
    for option, value in (("--address", address), ("--run-cpus", cpus), ("--run-gpus", gpus)):
        if value is not None:
            raise UsageProblem(f"{option} needs a cluster.", "Add --on ray.")
    return None


def distill_options(words: Sequence[str]) -> Mapping[str, OptionValue]:
    """Options of distill as parameters with their values.

    Raises UsageProblem for options that distill lacks, that a plan sets, or whose values distill refuses."""
    from dataclasses import fields

    from typer.exceptions import TyperException
    from typer.main import get_command

    from tinyllm_cli.api.training import DistillOptions, check_options
    from tinyllm_cli.cli.distill import check_names, distill
    from tinyllm_cli.errors import UsageProblem
    from tinyllm_cli.records.settings import TrainSettings

    alone = typer.Typer(add_completion=False)
    alone.command()(distill)
    try:
        context = get_command(alone).make_context("distill", list(words))
    except TyperException as error:
        message = getattr(error, "format_message", error.__str__)()  # names the option, where typer knows it
        raise UsageProblem(
            f"The words after -- are options of distill. {message}.", "See tinyllm distill --help."
        ) from error
    found: dict[str, OptionValue] = {}
    for one in context.command.params:
        source = context.get_parameter_source(one.name or "")
        if source is None or source.name != "COMMANDLINE" or one.name is None:
            continue
        if not _SET_BY_PLAN.isdisjoint(one.opts):
            raise UsageProblem(
                f"{max(one.opts, key=len)} is not allowed after --.", "The plan sets it; see tinyllm experiment --help."
            )
        found[one.name] = context.params[one.name]
    if found.get("lora_rank") == 0:  # the default, which would contradict the method lora
        del found["lora_rank"]
    check_names(
        str(found.get("schedule", TrainSettings.schedule)), str(found.get("optimizer", TrainSettings.optimizer))
    )
    own: dict[str, Any] = {one.name: found[one.name] for one in fields(TrainSettings) if one.name in found}
    TrainSettings(**own)
    about = {name: found[name] for name in ("per_question", "choose") if name in found}
    check_options(DistillOptions(settings=own, **about))  # type: ignore[typeddict-item]
    return found


def numbers(text: str, kind: type[_Number], option: str, example: str) -> list[_Number]:
    """`0,1,2` as numbers; `example` shows what the option takes.

    Raises UsageProblem for other text."""
    from tinyllm_cli.errors import UsageProblem

    try:
        return [kind(item) for item in text.split(",")]
    except ValueError as error:
        raise UsageProblem(
            f"{option}: '{text[:80]}' is not a list of {'whole ' if kind is int else ''}numbers with commas.",
            f"For example: {option} {example}",
        ) from error


def _grids(methods: str | None, fractions: str | None, grid: str | None) -> ExperimentOptions:
    """The values that a plan varies."""
    from tinyllm_cli.errors import UsageProblem
    from tinyllm_cli.experiments import plans

    wanted = None if methods is None else tuple(method.strip() for method in methods.split(","))
    unknown = sorted(set(wanted or ()) - set(plans.METHODS))
    if unknown:
        raise UsageProblem(f"There is no method '{unknown[0]}'.", f"Methods: {', '.join(plans.METHODS)}.")
    percents = None if fractions is None else numbers(fractions, float, "--fractions", _FRACTIONS)
    if not all(0 < percent <= 100 for percent in percents or ()):
        raise UsageProblem(
            "--fractions are percentages of the training set, above 0 and up to 100.",
            f"For example: --fractions {_FRACTIONS}",
        )
    shares = None if percents is None else [percent / 100 for percent in percents]
    values = None if grid is None else numbers(grid, float, "--grid", "0.1,1,3")
    if not all(0 <= value < inf for value in values or ()):
        raise UsageProblem("--grid: an alpha is 0 or more, and finite.", "For example: --grid 0.1,1,3")
    return {"methods": wanted, "fractions": shares, "grid": values}
