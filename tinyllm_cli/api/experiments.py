"""`plan_experiment`, `run_experiment`, `plan_search`, `run_search`: the paper's experiments as plans of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from tinyllm_cli.api.project import Project
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.events import OnEvent, Progress, ignore_events

if TYPE_CHECKING:
    from tinyllm_cli.experiments.best_alpha import BestAlpha
    from tinyllm_cli.experiments.cluster.env import ClusterSettings
    from tinyllm_cli.experiments.grid import ExperimentPlan
    from tinyllm_cli.experiments.runner import ExperimentProgress, RunOptions, Schedule
    from tinyllm_cli.experiments.search import ScheduledSearch
    from tinyllm_cli.experiments.setup import ExperimentRequest
    from tinyllm_cli.experiments.trials import SearchProgress, SearchResult
    from tinyllm_cli.records.experiments import Label
    from tinyllm_cli.records.runs import Run
    from tinyllm_cli.report.collect import Result
    from tinyllm_cli.store.experiments import StoredCell

_WIDTH = 60  # characters of a process's last line

Where = Literal["local", "ray"]
ExperimentName = Literal["table1", "ablation", "train-size", "alpha", "seeds"]


class ExperimentOptions(TypedDict, total=False):
    """Keywords of `plan_experiment`."""

    methods: Sequence[str] | None
    """table1: methods; default: all."""

    fractions: Sequence[float] | None
    """train-size: shares of the training set, 0 to 1; default: 0.125, 0.25, 0.5, 0.75, 1."""

    grid: Sequence[float] | None
    """alpha: the values of each teacher's alpha; default: 0.01, 0.1, 0.5, 1, 2, 3."""

    jobs: int
    """Runs at the same time, where memory allows; default: 1."""

    on: Where
    """"ray": memory is that of a cluster; default: "local"."""


@dataclass(frozen=True, kw_only=True)
class PlannedExperiment:
    """A plan and what of it is to do. `plan` also names the excluded parts, with the command that adds each."""

    plan: ExperimentPlan
    schedule: Schedule
    student: str
    """The first student, which may not have been named."""


@dataclass(frozen=True, kw_only=True)
class ExperimentResult:
    """The cells of a plan as the store holds them, with their runs and results by row id. `best`: of an alpha grid,
    what valid selects. `not_started`: cells that would have failed as another one did."""

    experiment: int
    name: str
    cells: tuple[StoredCell, ...]
    runs: Mapping[int, Run]
    results: Mapping[int, Result]
    best: tuple[BestAlpha, ...] = ()
    not_started: tuple[Label, ...] = ()


def plan_experiment(
    project: Project, name: ExperimentName, request: ExperimentRequest, **options: Unpack[ExperimentOptions]
) -> PlannedExperiment:
    """The plan of an experiment: its cells, what is done already, what is excluded and why, and an estimate. Starts
    nothing.

    Raises UsageProblem for a data set without the splits or rationales that the experiment needs."""
    from tinyllm_cli.experiments import plans
    from tinyllm_cli.experiments.runner import schedule
    from tinyllm_cli.experiments.setup import resolve_setup

    setup = resolve_setup(project.store, project.settings, request)
    if name in ("ablation", "train-size", "alpha"):
        _check_weights(setup.alphas, name)
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
    elsewhere = options.get("on", "local") == "ray"
    scheduled = schedule(project.store, project.settings, setup, plan, options.get("jobs", 1), elsewhere=elsewhere)
    return PlannedExperiment(plan=plan, schedule=scheduled, student=setup.students[0])


def _check_weights(alphas: Mapping[str, float], name: str) -> None:
    """Raises UsageProblem where no teacher has a weight, so that there is nothing to vary."""
    if alphas and not any(alphas.values()):
        raise UsageProblem(
            f"The experiment {name} varies training on rationales, and --alpha gives no teacher a weight above 0.",
            "For example: --alpha t5=1,llama=0.5",
        )


def run_experiment(
    project: Project, planned: PlannedExperiment, *, command: str = "", cluster: ClusterSettings | None = None,
    on_event: OnEvent = ignore_events,
) -> ExperimentResult:  # fmt: skip
    """Run what is not done of a plan, each cell in a process of its own, here or on a Ray cluster. `command` is
    recorded with the experiment. A failed cell is part of the result with its reason; running the plan again repeats
    only what is not done.

    Raises Busy when another process runs this experiment, and InterruptedByUser on Ctrl-C, after which the same plan
    resumes."""
    from tinyllm_cli.experiments.runner import interrupted, run

    name = planned.plan.name
    step: ExperimentProgress | None = None
    try:
        with closing(run(project.store, planned.schedule, _options(project, command, cluster))) as steps:
            for step in steps:
                on_event(Progress(label=name, done=step.over, total=step.total, detail=_working(step)))
    except KeyboardInterrupt as error:
        if step is None:
            raise
        raise interrupted(project.store, step.experiment) from error
    assert step is not None
    return _result(project, name, step.experiment, step.not_started)


def _options(project: Project, command: str, cluster: ClusterSettings | None) -> RunOptions:
    from functools import partial

    from tinyllm_cli.experiments.runner import RunOptions

    elsewhere = None
    if cluster is not None:
        from tinyllm_cli.experiments.cluster.env import cluster_env

        elsewhere = partial(cluster_env, settings=project.settings, cluster=cluster)
    return RunOptions(config=project.config, command=command, elsewhere=elsewhere)


def plan_search(
    project: Project, request: ExperimentRequest, trials: int, *, jobs: int = 1, on: Where = "local"
) -> ScheduledSearch:
    """A search for alphas on valid with Optuna, and an estimate. Starts nothing.

    Raises UsageProblem without a valid split or several teachers, and where Optuna is not installed."""
    from tinyllm_cli.experiments.search import schedule_search
    from tinyllm_cli.experiments.setup import resolve_setup

    setup = resolve_setup(project.store, project.settings, request)
    _check_weights(setup.alphas, "alpha")
    return schedule_search(project.store, project.settings, setup, trials, jobs, elsewhere=on == "ray")


def run_search(
    project: Project, scheduled: ScheduledSearch, *, command: str = "", cluster: ClusterSettings | None = None,
    on_event: OnEvent = ignore_events,
) -> tuple[SearchResult, ExperimentResult]:  # fmt: skip
    """Search, and evaluate only the best setting on test.

    Raises Busy and InterruptedByUser as `run_experiment`."""
    from tinyllm_cli.experiments.runner import interrupted
    from tinyllm_cli.experiments.search import NAME, search

    step: SearchProgress | None = None
    try:
        with closing(search(project.store, scheduled, _options(project, command, cluster))) as steps:
            for step in steps:
                detail = "" if step.best is None else f"best valid {step.best:.1%}"
                on_event(Progress(label=NAME, done=step.over, total=step.total, detail=detail))
    except KeyboardInterrupt as error:
        if step is None:
            raise
        raise interrupted(project.store, step.experiment) from error
    assert step is not None
    assert step.result is not None
    return step.result, _result(project, NAME, step.experiment, ())


def _working(step: ExperimentProgress) -> str:
    """The last line of each running process, shortened."""
    lines = []
    for cell in step.working:
        label = " ".join(str(value) for value in cell.label.values())
        line = cell.line if len(cell.line) <= _WIDTH else f"{cell.line[:_WIDTH]}..."
        lines.append(f"{label}: {line}" if line else label)
    return "; ".join(lines)


def _result(project: Project, name: str, experiment: int, not_started: tuple[Label, ...]) -> ExperimentResult:
    from tinyllm_cli.experiments.best_alpha import best_on_valid, valid_score
    from tinyllm_cli.report.collect import result

    store = project.store
    cells = tuple(store.experiments.cells(experiment))
    runs = {run.id: run for run in store.runs.everything()}
    results = {one.id: result(one, runs) for one in store.evaluations.everything()}
    scores = {number: score for number, run in runs.items() if (score := valid_score(run)) is not None}
    tried = [(cell.label, scores[cell.run]) for cell in cells if cell.run in scores]
    return ExperimentResult(
        experiment=experiment, name=name, cells=cells, runs=runs, results=results,
        best=tuple(best_on_valid(tried)) if name == "alpha" else (), not_started=not_started,
    )  # fmt: skip
