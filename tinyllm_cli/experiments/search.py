"""Look for good alphas on the valid split: Optuna proposes, weak trials are ended early, and a killed search goes on.

Each trial is a training in a process of its own. What the sampler knows lies in a journal beside the database.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinyllm_cli.errors import UsageProblem, WorldProblem
from tinyllm_cli.experiments.grid import ExperimentCell
from tinyllm_cli.experiments.runner import CellProcess, WorkerEnv, stop
from tinyllm_cli.files import cut_torn_line
from tinyllm_cli.records.runs import Run
from tinyllm_cli.store import Store
from tinyllm_cli.store import experiments as stored_experiments
from tinyllm_cli.training.checkpoint import discard_state, state_folder

LOWEST, HIGHEST = 0.01, 3.0
"""The range of the paper's grid, which the search walks on a logarithmic scale."""

_POLL = 0.2


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """What is looked for. `train` makes the words after `tinyllm distill` from the alphas; `start` are those that are
    tried first."""

    name: str
    dataset: str
    student: str
    start: Mapping[str, float]
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
    job: CellProcess
    others: set[int]
    """Runs of the same alphas that other processes were at before."""

    reported: set[int] = field(default_factory=set)

    def report(self, figures: Mapping[str, Any]) -> None:
        """Tell the study the valid accuracies that it does not know yet."""
        for point in figures.get("valid", ()):
            if point["step"] not in self.reported:
                self.reported.add(point["step"])
                self.trial.report(point["accuracy"], point["step"])

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self.job.started, 1)


OnTrial = Callable[[Sequence[CellProcess], int, int, float | None], None]
"""Called with the jobs in work, the trials that are over, how many there are to be, and the best valid accuracy."""


def open_study(journal: Path, hunt: SearchConfig) -> Any:
    """The study of this hunt, begun before or now. A trial that a kill cut off is asked for again.

    Raises UsageProblem where Optuna is not installed."""
    try:
        import optuna
        from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
    except ImportError as error:
        raise UsageProblem("A search needs Optuna.", "Install it: pip install 'tinyllm-cli[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal.parent.mkdir(parents=True, exist_ok=True)
    if journal.exists():
        _mend(journal, JournalFileSymlinkLock(str(journal)))
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(journal))),
        study_name=hunt.name,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
        load_if_exists=True,
    )
    # Seeded by what it knows: a search that goes on must not draw the same numbers again.
    seed = (1000 * hunt.seed + len(study.trials)) % 2**32
    study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=4, multivariate=True)
    if not study.trials:
        study.enqueue_trial({name: min(max(alpha, LOWEST), HIGHEST) for name, alpha in hunt.start.items()})
    for trial in study.trials:
        if trial.state == optuna.trial.TrialState.RUNNING:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            study.enqueue_trial(trial.params)
    return study


def _mend(journal: Path, lock: Any) -> None:
    """Optuna appends to what a full disk left of a line, and can't read that ever after. `lock` is its own."""
    lock.acquire()
    try:
        cut_torn_line(journal)
    finally:
        lock.release()


@dataclass(kw_only=True)
class Search:
    """A study that goes on in this process."""

    store: Store
    experiment: int
    study: Any
    hunt: SearchConfig
    surroundings: WorkerEnv
    _working: list[_Trial] = field(default_factory=list)
    _failed: list[str] = field(default_factory=list)

    def carry_out(self, trials: int, jobs: int, watch: OnTrial) -> Found:
        """Go on until the study has `trials` that came to an end, those that fail now counted too.

        Raises WorldProblem when none of them was trained to the end."""
        self.store.experiments.drop_unfinished(self.experiment)
        try:
            while True:
                while len(self._working) < jobs and self._wants_more(trials):
                    self._begin()
                if not self._working:
                    break
                time.sleep(_POLL)
                self._working = [one for one in self._working if not self._over(one)]
                best = [trial.value for trial in self._trials("COMPLETE")]
                watch([one.job for one in self._working], self._ended, trials, max(best, default=None))
        except BaseException:
            stop([one.job for one in self._working])
            for one in self._working:
                self.store.experiments.note(self.experiment, one.job.position, "planned")
            raise
        return self._best()

    def _wants_more(self, trials: int) -> bool:
        """Where the first ones fail, so will the others."""
        hopeless = bool(self._failed) and not self._ended
        return not hopeless and self._ended + len(self._failed) + len(self._working) < trials

    @property
    def _ended(self) -> int:
        return len(self._trials("COMPLETE", "PRUNED"))

    def _trials(self, *states: str) -> list[Any]:
        from optuna.trial import TrialState

        found: list[Any] = self.study.get_trials(deepcopy=False, states=[TrialState[state] for state in states])
        return [trial for trial in found if trial.state != TrialState.COMPLETE or self._is_here(trial)]

    def _is_here(self, trial: Any) -> bool:
        """The journal may be older than the database, whose runs have the same numbers."""
        run = self.store.runs.find(int(trial.user_attrs["run"]))
        wanted = (self.hunt.student, self.hunt.dataset, self.hunt.seed, _rounded(trial.params))
        return run is not None and run.state == "done" and (run.student, run.dataset, run.seed, run.alpha) == wanted

    def _begin(self) -> None:
        trial = self.study.ask()
        alphas = _rounded({name: trial.suggest_float(name, LOWEST, HIGHEST, log=True) for name in self.hunt.start})
        label = {"dataset": self.hunt.dataset, "trial": trial.number, **alpha_labels(alphas)}
        position = self.store.experiments.add_cell(self.experiment, label)
        cell = ExperimentCell(label=label, distill=self.hunt.train(alphas), evaluate=None)
        gpu = self.surroundings.gpu([one.job for one in self._working])
        job = CellProcess(position=position, cell=cell, surroundings=self.surroundings, gpu=gpu)
        others = {run.id for run in self._in_work(alphas)}
        self._working.append(_Trial(trial=trial, alphas=alphas, job=job, others=others))
        job.start()

    def _in_work(self, alphas: Mapping[str, float]) -> list[Run]:
        return self.store.runs.in_work(self.hunt.student, self.hunt.dataset, alphas, self.hunt.seed)

    def _over(self, one: _Trial) -> bool:
        """Whether the trial is over. While it goes on, its valid accuracies decide whether it may."""
        if one.job.over():
            self._end(one)
            return True
        run = next((run for run in self._in_work(one.alphas) if run.id not in one.others), None)
        if run is None or one.job.waits:
            return False
        one.report(run.metrics)
        if not one.reported or not one.trial.should_prune():
            return False
        self._prune(one, run)
        return True

    def _end(self, one: _Trial) -> None:
        from optuna.trial import TrialState

        job = one.job
        if job.error is not None:
            self._failed.append(job.error)
            self.study.tell(one.trial, state=TrialState.FAIL)
            self._note(one, "failed", error=job.error)
            return
        one.report(job.figures)
        one.trial.set_user_attr("run", job.run)
        self.study.tell(one.trial, max(point["accuracy"] for point in job.figures["valid"]))
        self._note(one, "done", run=job.run)

    def _prune(self, one: _Trial, run: Run) -> None:
        """The run is 'stopped'. Nobody will go on with it, so its state, larger than a student, is not kept."""
        from optuna.trial import TrialState

        stop([one.job])
        if one.job.over() and one.job.error is None:  # it was quicker
            self._end(one)
            return
        self.study.tell(one.trial, state=TrialState.PRUNED)
        self._note(one, "pruned", run=run.id)
        with self.store.runs.claiming(run.id) as ours:
            ended = self.store.runs.find(run.id)
            if ours and ended is not None and ended.state == "stopped":
                discard_state(state_folder(Path(run.folder)))

    def _note(self, one: _Trial, state: stored_experiments.CellState, **more: Any) -> None:
        self.store.experiments.note(
            self.experiment, one.job.position, state, seconds=one.seconds, **more
        )  # fmt: skip

    def _best(self) -> Found:
        whole = self._trials("COMPLETE")
        if not whole:
            reason = self._failed[-1] if self._failed else "every one was ended early"
            raise WorldProblem(f"No trial was trained to its end: {reason}", "Mend it and run the same command.")
        best = max(whole, key=lambda trial: (trial.value, -trial.number))
        counts = {state.lower(): len(self._trials(state)) for state in ("COMPLETE", "PRUNED")}
        counts["failed"] = len(self._failed)
        return Found(
            run=int(best.user_attrs["run"]),
            alphas=_rounded(best.params),
            valid=float(best.value),
            trials={state: count for state, count in counts.items() if count},
        )


def _rounded(alphas: Mapping[str, float]) -> dict[str, float]:
    """As they are trained with."""
    return {name: round(value, 4) for name, value in alphas.items()}


def alpha_labels(alphas: Mapping[str, float]) -> dict[str, float]:
    return {f"alpha of {name}": alpha for name, alpha in alphas.items()}
