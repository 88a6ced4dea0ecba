"""Look for good alphas on the valid split: Optuna proposes, weak trials are ended early, and a killed search goes on.

Each trial is a training in a process of its own. What the sampler knows lies in a journal beside the database.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.experiments.plans import Cell
from tinyllm_cli.experiments.running import Job, Surroundings, stop
from tinyllm_cli.store import Store
from tinyllm_cli.store import experiments as stored_experiments
from tinyllm_cli.store import runs as stored_runs

LOWEST, HIGHEST = 0.01, 3.0
"""The range of the paper's grid, which the search walks on a logarithmic scale."""

_POLL = 0.2


@dataclass(frozen=True, kw_only=True)
class Hunt:
    """What is looked for. `train` makes the words after `tinyllm distill` from the alphas."""

    name: str
    dataset: str
    teachers: Sequence[str]
    seed: int
    train: Callable[[dict[str, float]], tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Found:
    """The best trial: its run, alphas and valid accuracy; and how many trials there were, by how they ended."""

    run: int
    alphas: dict[str, float]
    valid: float
    trials: dict[str, int]


@dataclass(kw_only=True)
class _Trial:
    trial: Any
    alphas: dict[str, float]
    job: Job
    reported: set[int] = field(default_factory=set)


Watch = Callable[[Sequence[Job], int, int, float | None], None]
"""Called with the jobs in work, the trials that are over, how many there are to be, and the best valid accuracy."""


def open_study(journal: Path, hunt: Hunt) -> Any:
    """The study of this hunt, begun before or now. A trial that a kill cut off is asked for again.

    Raises UsageProblem where Optuna is not installed."""
    try:
        import optuna
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise UsageProblem("A search needs Optuna.", "Install it: pip install 'tinyllm-cli[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(journal))),
        study_name=hunt.name,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
        load_if_exists=True,
    )
    # Seeded by what it knows: a search that goes on must not draw the same numbers again.
    seed = 1000 * hunt.seed + len(study.trials)
    study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=4, multivariate=True)
    if not study.trials:
        study.enqueue_trial(dict.fromkeys(hunt.teachers, 1.0))
    for trial in study.trials:
        if trial.state == optuna.trial.TrialState.RUNNING:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            study.enqueue_trial(trial.params)
    return study


def search(
    store: Store,
    experiment: int,
    study: Any,
    hunt: Hunt,
    trials: int,
    surroundings: Surroundings,
    jobs: int,
    watch: Watch,
) -> Found:
    """Go on until the study has `trials` that came to an end.

    Raises UsageProblem when none of them was trained to the end."""
    from optuna.trial import TrialState

    working: list[_Trial] = []
    try:
        while True:
            over = _ended(study)
            while len(working) < jobs and over + len(working) < trials:
                working.append(_begin(store, experiment, study, hunt, surroundings))
            if not working:
                break
            time.sleep(_POLL)
            for one in list(working):
                if _step(store, experiment, study, hunt, one):
                    working.remove(one)
            best = [trial.value for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))]
            watch([one.job for one in working], _ended(study), trials, max(best, default=None))
    except BaseException:
        stop([one.job for one in working])
        raise
    return _best(study)


def _ended(study: Any) -> int:
    from optuna.trial import TrialState

    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))


def _begin(store: Store, experiment: int, study: Any, hunt: Hunt, surroundings: Surroundings) -> _Trial:
    trial = study.ask()
    alphas = {name: round(trial.suggest_float(name, LOWEST, HIGHEST, log=True), 4) for name in hunt.teachers}
    label = {
        "dataset": hunt.dataset,
        "trial": trial.number,
        **{f"alpha of {name}": alpha for name, alpha in alphas.items()},
    }
    position = stored_experiments.add_cell(store, experiment, label)
    cell = Cell(label=label, distill=hunt.train(alphas), evaluate=None)
    job = Job(position=position, cell=cell, surroundings=surroundings)
    job.start()
    return _Trial(trial=trial, alphas=alphas, job=job)


def _step(store: Store, experiment: int, study: Any, hunt: Hunt, one: _Trial) -> bool:
    """Whether the trial is over. While it goes on, its valid accuracies decide whether it may."""
    from optuna.trial import TrialState

    job = one.job
    seconds = round(time.monotonic() - job.started, 1)
    if job.over():
        if job.error is not None:
            study.tell(one.trial, state=TrialState.FAIL)
            stored_experiments.note(store, experiment, job.position, "failed", seconds=seconds, error=job.error)
            raise UsageProblem(f"A trial failed: {job.error}", "Mend it and run the same command: the search goes on.")
        one.trial.set_user_attr("run", job.run)
        study.tell(one.trial, max((point["accuracy"] for point in job.figures["valid"]), default=0.0))
        stored_experiments.note(store, experiment, job.position, "done", run=job.run, seconds=seconds)
        return True
    run = stored_runs.working_on(store, hunt.dataset, one.alphas, hunt.seed)
    for point in run.figures.get("valid", ()) if run else ():
        if point["step"] not in one.reported:
            one.reported.add(point["step"])
            one.trial.report(point["accuracy"], point["step"])
    if run is None or not one.reported or not one.trial.should_prune():
        return False
    stop([job])
    study.tell(one.trial, state=TrialState.PRUNED)
    stored_experiments.note(store, experiment, job.position, "pruned", run=run.id, seconds=seconds)
    return True


def _best(study: Any) -> Found:
    from optuna.trial import TrialState

    whole = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not whole:
        raise UsageProblem("No trial was trained to its end.", "Run the same command with more trials.")
    best = max(whole, key=lambda trial: (trial.value, -trial.number))
    states = [trial.state.name.lower() for trial in study.get_trials(deepcopy=False)]
    return Found(
        run=int(best.user_attrs["run"]),
        alphas={name: round(value, 4) for name, value in best.params.items()},
        valid=float(best.value),
        trials={state: states.count(state) for state in sorted(set(states)) if state != "waiting"},
    )
