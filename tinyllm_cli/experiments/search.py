"""Search for alphas on the validation split: Optuna proposes alphas, a killed search resumes, and only the best run is
evaluated on test.

Neither prints nor exits: `search` yields its progress.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

from tinyllm_cli.config import Settings
from tinyllm_cli.errors import UsageProblem, command_text
from tinyllm_cli.experiments.grid import Coverage, ExperimentPlan, Place, PlanBuilder, Setup
from tinyllm_cli.experiments.journal import SearchConfig, open_study
from tinyllm_cli.experiments.resources import Estimate, estimate
from tinyllm_cli.experiments.runner import (
    RunOptions,
    history_of,
    mark_killed,
    on_cluster,
    opened,
    opened_env,
    run_cells,
)
from tinyllm_cli.experiments.setup import check_rationales
from tinyllm_cli.experiments.trials import Search, SearchProgress, SearchResult, alpha_labels
from tinyllm_cli.experiments.work import CellEnv
from tinyllm_cli.records.experiments import ExperimentCell, Label
from tinyllm_cli.signals import ended_like_interrupted
from tinyllm_cli.store import Store

NAME = "alpha-search"


@dataclass(frozen=True, kw_only=True)
class ScheduledSearch:
    """A search of up to `trials` trainings, and what they will take."""

    setup: Setup
    config: SearchConfig
    trials: int
    estimate: Estimate


def schedule_search(
    store: Store, settings: Settings, setup: Setup, trials: int, jobs: int, *, elsewhere: bool = False
) -> ScheduledSearch:
    """A search with up to `jobs` processes at the same time; `elsewhere` as for `schedule`.

    Raises UsageProblem for several data sets, students or seeds, without a valid split, and when a teacher has no
    usable rationale."""
    mark_killed(store)
    config = _config(setup)
    like = ExperimentCell(label={}, distill=config.training, evaluate=None)
    check_rationales(store, settings, ExperimentPlan(name=NAME, cells=(like,)))
    sizes = {coverage.dataset: coverage.questions for coverage in setup.coverages}
    expected = estimate([like] * trials, sizes, jobs, history_of(store))
    if elsewhere:
        expected = on_cluster(expected, jobs)
    return ScheduledSearch(setup=setup, config=config, trials=trials, estimate=expected)


def search(store: Store, scheduled: ScheduledSearch, options: RunOptions) -> Generator[SearchProgress, None, None]:
    """Carry out a search, and evaluate its best run on test. The last progress has the result.

    After KeyboardInterrupt, SIGTERM or `close()` the processes save their states. Raises Busy when another process
    runs this search, and WorldProblem when no trial has finished its training."""
    config, jobs = scheduled.config, scheduled.estimate.jobs
    journal = store.path.parent / f"{store.path.stem}-search" / "alpha.log"
    with opened(store, NAME, {"search": config.name}, options.command) as experiment:
        study = open_study(Path(journal), config)
        with ended_like_interrupted(), opened_env(store, options, [config.training.student], jobs) as env:
            trials = Search(store=store, experiment=experiment, study=study, config=config, env=env)
            yield from trials.run(scheduled.trials, jobs)
            result = trials.result()
            _evaluate(store, experiment, scheduled, result, env)
        yield SearchProgress(
            experiment=experiment, over=scheduled.trials, total=scheduled.trials, best=result.valid, result=result
        )


def _evaluate(store: Store, experiment: int, scheduled: ScheduledSearch, found: SearchResult, env: CellEnv) -> None:
    """Evaluate the best run on test, unless that was done before with the same settings."""
    setup = scheduled.setup
    settings: Label = {
        **({} if setup.scoring == "rank" else {"scoring": setup.scoring}),
        **({} if setup.test_limit is None else {"test questions": setup.test_limit}),
    }
    dataset = scheduled.config.training.dataset
    label: Label = {"dataset": dataset, "best": "on valid", **alpha_labels(found.alphas), **settings}
    if any(cell.label == label and cell.run == found.run for cell in store.experiments.cells(experiment)):
        return
    evaluation = replace(PlanBuilder(setup).evaluation(), run=found.run)
    cell = ExperimentCell(label=label, distill=None, evaluate=evaluation)
    position = store.experiments.add_cell(experiment, label)
    for _ in run_cells(store, experiment, [(position, cell)], env, 1):
        pass
    store.experiments.attach_run(experiment, position, found.run)


def _config(setup: Setup) -> SearchConfig:
    if len(setup.coverages) != 1 or len(setup.students) != 1 or len(setup.seeds) != 1:
        raise UsageProblem(
            "A search needs one data set, one student and one seed.", "Name them with --dataset and --student."
        )
    [coverage], [student], [seed] = setup.coverages, setup.students, setup.seeds
    _check(setup, coverage)
    builder = PlanBuilder(setup)
    place = Place(coverage=coverage, student=student, alphas=builder.alphas(coverage))
    training = replace(builder.training(place, place.alphas), seed=seed)
    words = replace(training, alpha={}).argv()
    name = " ".join((*place.alphas, *words, builder.edition(coverage, student)))
    return SearchConfig(name=name, training=training)


def _check(setup: Setup, coverage: Coverage) -> None:
    if not PlanBuilder(setup).alphas(coverage):
        raise UsageProblem(
            f"No teacher has rationales for {coverage.dataset}.",
            f"Run: {command_text('elicit', '--teacher', 'NAME', '--dataset', coverage.dataset)}",
        )
    if not coverage.valid:
        raise UsageProblem(
            f"{coverage.dataset} has no valid split to search by.", "Test scores are not used for selection."
        )
