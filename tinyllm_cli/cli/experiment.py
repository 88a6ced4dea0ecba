"""`tinyllm experiment`: the paper's experiments, each by one command."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from tinyllm_cli.cli.console import Console
from tinyllm_cli.cli.options import DEFAULT_DB, Config, Db, Debug, Json, Quiet
from tinyllm_cli.cli.session import Session, guarded

if TYPE_CHECKING:
    from tinyllm_cli.experiments.grid import ExperimentPlan, Setup

EXPERIMENTS = ("table1", "ablation", "train-size", "alpha", "seeds")
_Number = TypeVar("_Number", int, float)
_shared = partial(typer.Option, rich_help_panel="What all runs share")


@guarded
def experiment(
    name: Annotated[str, typer.Argument(help="table1, ablation, train-size, alpha or seeds.")],
    more: Annotated[
        list[str] | None, typer.Argument(help="Further options for distill, after --, such as: -- --epochs 3")
    ] = None,
    dataset: Annotated[
        list[str] | None,
        _shared("--dataset", "-d", help="A data set; may be repeated.", show_default="those with rationales"),
    ] = None,
    student: Annotated[
        list[str] | None,
        _shared("--student", "-s", help="A student; may be repeated.", show_default="google/flan-t5-small"),
    ] = None,
    alpha: Annotated[
        str | None,
        _shared(help="Teachers and their weights, as for distill.", show_default="1 for every teacher"),
    ] = None,
    seeds: Annotated[str, _shared(help="Seeds, each a run: 0,1,2.")] = "0",
    limit: Annotated[int | None, _shared(min=1, help="Only the first N training questions.")] = None,
    test_limit: Annotated[int | None, _shared(min=1, help="Only the first N test questions.")] = None,
    scoring: Annotated[str, _shared(help="How test answers are scored: rank, generate or both.")] = "rank",
    methods: Annotated[
        str | None, typer.Option(help="table1: methods, such as inference,finetune,tinyllm.", show_default="all")
    ] = None,
    fractions: Annotated[
        str | None,
        typer.Option(help="train-size: shares of the training set, in percent.", show_default="12.5,25,50,75,100"),
    ] = None,
    grid: Annotated[
        str | None,
        typer.Option(help="alpha: the values that each teacher's alpha takes.", show_default="0.01,0.1,0.5,1,2,3"),
    ] = None,
    search: Annotated[
        int | None,
        typer.Option(min=1, help="alpha: instead of the grid, so many trials of a search on valid (needs Optuna)."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once, where memory allows.")] = 1,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Begin without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and do nothing.")] = False,
    db: Db = DEFAULT_DB,
    config: Config = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Carry out one of the paper's experiments: the plan first, then its runs; what is done is never done again.

    Example: tinyllm experiment table1 --dataset obqa --seeds 0,1,2 --methods inference,finetune,tinyllm
    """
    from tinyllm_cli.cli.views import experiment as view
    from tinyllm_cli.cli.views.search import search as search_alphas
    from tinyllm_cli.errors import UsageProblem

    for option, value, known in (
        ("experiment", name, EXPERIMENTS),
        ("--scoring", scoring, ("rank", "generate", "both")),
    ):
        if value not in known:
            raise UsageProblem(f"{option} can't be '{value}'.", f"Choose one of: {', '.join(known)}.")
    for option, typed, owner in (
        ("--methods", methods, "table1"),
        ("--fractions", fractions, "train-size"),
        ("--grid", grid, "alpha"),
        ("--search", search, "alpha"),
    ):
        if typed is not None and name != owner:
            raise UsageProblem(f"{option} belongs to the experiment {owner}.", f"See: tinyllm experiment {owner} ...")
    session = Session(db, config, Console(json=json, quiet=quiet))
    with closing(session.open_store(create=bool(dataset))) as store:
        setup = view.setup(
            session, store, dataset or [], student or ["google/flan-t5-small"], alpha, numbers(seeds, int, "--seeds"),
            limit, tuple(more or ()), scoring, test_limit,
        )  # fmt: skip
        work = view.Work(
            session, store, setup, jobs, name if search is None else f"{name}-search", yes=yes, dry_run=dry_run
        )
        if search is not None:
            search_alphas(work, search)
        else:
            work.carry_out(_plan(name, setup, methods, fractions, grid))


def numbers(text: str, kind: type[_Number], option: str) -> list[_Number]:
    """`0,1,2` as numbers.

    Raises UsageProblem for anything else."""
    from tinyllm_cli.errors import UsageProblem

    try:
        return [kind(item) for item in text.split(",")]
    except ValueError as error:
        raise UsageProblem(f"{option}: '{text}' is no list of numbers.", f"For example: {option} 0,1,2") from error


def _plan(name: str, setup: Setup, methods: str | None, fractions: str | None, grid: str | None) -> ExperimentPlan:
    from tinyllm_cli.errors import UsageProblem
    from tinyllm_cli.experiments import plans

    wanted = plans.METHODS if methods is None else tuple(method.strip() for method in methods.split(","))
    unknown = sorted(set(wanted) - set(plans.METHODS))
    if unknown:
        raise UsageProblem(f"There is no method '{unknown[0]}'.", f"Methods: {', '.join(plans.METHODS)}.")
    shares = plans.FRACTIONS if fractions is None else [s / 100 for s in numbers(fractions, float, "--fractions")]
    if not all(0 < share <= 1 for share in shares):
        raise UsageProblem("--fractions are percentages above 0, up to 100.", "For example: --fractions 25,50,100")
    values = plans.GRID if grid is None else numbers(grid, float, "--grid")
    if not all(0 <= value < inf for value in values):
        raise UsageProblem("--grid: an alpha is 0 or more.", "For example: --grid 0.1,1,3")
    return {
        "table1": lambda: plans.table1(setup, wanted),
        "ablation": lambda: plans.ablation(setup),
        "train-size": lambda: plans.train_size(setup, shares),
        "alpha": lambda: plans.alpha_grid(setup, values),
        "seeds": lambda: plans.seeds(setup),
    }[name]()
