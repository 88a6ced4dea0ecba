"""What a search for alphas looks for, and Optuna's study of it in a journal beside the database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.files import cut_torn_line
from tinyllm_cli.records.experiments import CellTraining

LOWEST, HIGHEST = 0.01, 3.0
"""The range of the paper's grid, searched on a logarithmic scale."""


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """What is searched: `training` with the alphas to try first. `name` identifies the study in its journal."""

    name: str
    training: CellTraining


def open_study(journal: Path, config: SearchConfig) -> Any:
    """The study of this search, new or resumed. A trial that a kill interrupted is enqueued again.

    Raises UsageProblem where Optuna is not installed."""
    try:
        import optuna
        from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
    except ImportError as error:
        raise UsageProblem("A search needs Optuna.", "Install it: pip install 'tinyllm-cli[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal.parent.mkdir(parents=True, exist_ok=True)
    if journal.exists():
        _repair(journal, JournalFileSymlinkLock(str(journal)))
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(journal))),
        study_name=config.name,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
        load_if_exists=True,
    )
    # Seeded by its trials: a resumed search must not draw the same numbers again.
    seed = (1000 * config.training.seed + len(study.trials)) % 2**32
    study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=4, multivariate=True)
    if not study.trials:
        start = config.training.alpha
        study.enqueue_trial({name: min(max(alpha, LOWEST), HIGHEST) for name, alpha in start.items()})
    for trial in study.trials:
        if trial.state == optuna.trial.TrialState.RUNNING:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            study.enqueue_trial(trial.params)
    return study


def _repair(journal: Path, lock: Any) -> None:
    """Optuna appends to the torn last line that a full disk leaves, and can never read the file again. `lock` is its
    own."""
    lock.acquire()
    try:
        cut_torn_line(journal)
    finally:
        lock.release()
