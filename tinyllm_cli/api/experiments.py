"""`plan_experiment` and `run_experiment`: the paper's experiments as plans of trainings and evaluations."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from tinyllm_cli.api.project import Project
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.events import OnEvent, Progress, ignore_events

if TYPE_CHECKING:
    from tinyllm_cli.experiments.grid import ExperimentPlan
    from tinyllm_cli.experiments.runner import ExperimentProgress, Schedule
    from tinyllm_cli.experiments.setup import ExperimentRequest
    from tinyllm_cli.store.experiments import StoredCell

ExperimentName = Literal["table1", "ablation", "train-size", "alpha", "seeds"]


class ExperimentOptions(TypedDict, total=False):
    """Keywords of `plan_experiment` and `run_experiment`."""

    methods: Sequence[str] | None
    """table1: methods; default: all."""

    fractions: Sequence[float] | None
    """train-size: shares of the training set, 0 to 1; default: 0.125, 0.25, 0.5, 0.75, 1."""

    grid: Sequence[float] | None
    """alpha: the values of each teacher's alpha; default: 0.01, 0.1, 0.5, 1, 2, 3."""

    jobs: int
    """Runs at the same time, where memory allows; default: 1."""

    command: str
    """The command line to record; default: none."""


@dataclass(frozen=True, kw_only=True)
class PlannedExperiment:
    """A plan and what of it is to do. `plan` also names the excluded parts, with the command that adds each."""

    plan: ExperimentPlan
    schedule: Schedule


@dataclass(frozen=True, kw_only=True)
class ExperimentResult:
    """The cells of a plan with their runs and evaluations, as the store holds them."""

    experiment: int
    name: str
    cells: tuple[StoredCell, ...]


def plan_experiment(
    project: Project, name: ExperimentName, request: ExperimentRequest, **options: Unpack[ExperimentOptions]
) -> PlannedExperiment:
    """The plan of an experiment: its cells, what is done already, and an estimate. Starts nothing.

    Raises UsageProblem when nothing can be planned."""
    from tinyllm_cli.experiments import plans
    from tinyllm_cli.experiments.runner import schedule
    from tinyllm_cli.experiments.setup import resolve_setup

    setup = resolve_setup(project.store, project.settings, request)
    if name == "table1":
        plan = plans.table1(setup, options.get("methods") or plans.METHODS)
    elif name == "ablation":
        plan = plans.ablation(setup)
    elif name == "train-size":
        plan = plans.train_size(setup, options.get("fractions") or plans.FRACTIONS)
    elif name == "alpha":
        plan = plans.alpha_grid(setup, options.get("grid") or plans.GRID)
    else:
        plan = plans.seeds(setup)
    if not plan.cells:
        excluded = "; ".join(f"{one.what} (add it with: {one.command})" for one in plan.left_out)
        raise UsageProblem("This experiment has nothing to train.", f"Excluded: {excluded}." if excluded else "")
    return PlannedExperiment(
        plan=plan, schedule=schedule(project.store, project.settings, setup, plan, options.get("jobs", 1))
    )


def run_experiment(
    project: Project, name: ExperimentName, request: ExperimentRequest, *, on_event: OnEvent = ignore_events,
    **options: Unpack[ExperimentOptions],
) -> ExperimentResult:  # fmt: skip
    """Plan an experiment and run what is not done, each cell in a process of its own. A failed cell is a cell of the
    result with its reason; the same call runs it again."""
    planned = plan_experiment(project, name, request, **options)
    number = 0
    with closing(_steps(project, planned, options.get("command", ""))) as steps:
        for step in steps:
            number = step.experiment
            on_event(Progress(label=name, done=step.over, total=step.total))
    return ExperimentResult(experiment=number, name=name, cells=tuple(project.store.experiments.cells(number)))


def _steps(project: Project, planned: PlannedExperiment, command: str) -> Generator[ExperimentProgress, None, None]:
    from tinyllm_cli.experiments.runner import RunOptions, run

    return run(project.store, planned.schedule, RunOptions(config=project.config, command=command))
