"""The trials of a search for alphas: each is a training in a process of its own, and weak ones are stopped early."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyllm_cli.errors import WorldProblem
from tinyllm_cli.experiments.best_alpha import ValidScore, best_of, valid_score
from tinyllm_cli.experiments.journal import HIGHEST, LOWEST, SearchConfig
from tinyllm_cli.experiments.work import CellEnv, CellWork
from tinyllm_cli.experiments.worker import stop, stop_and_close
from tinyllm_cli.records.experiments import ExperimentCell
from tinyllm_cli.records.runs import Run
from tinyllm_cli.store import Store
from tinyllm_cli.store.experiments import CellOutcome
from tinyllm_cli.training.checkpoint import discard_state, state_folder

if TYPE_CHECKING:
    from tinyllm_cli.store.experiments import CellState

_POLL = 0.2


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The best trial: its run, alphas and valid accuracy; `tied` are the alphas of other trials that the validation
    split can't distinguish from it; `trials` counts them by how they ended."""

    run: int
    alphas: dict[str, float]
    valid: float
    trials: dict[str, int]
    tied: tuple[dict[str, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class SearchProgress:
    """`over` of `total` trials have ended; `best` is the highest valid accuracy so far; the last one has a `result`."""

    experiment: int
    over: int
    total: int
    best: float | None = None
    result: SearchResult | None = None


@dataclass(kw_only=True)
class _Trial:
    trial: Any
    alphas: dict[str, float]
    job: CellWork
    others: set[int]
    """Runs of the same alphas that other processes had before."""

    reported: set[int] = field(default_factory=set)

    def report(self, figures: Mapping[str, Any]) -> None:
        """Report the valid accuracies that the study does not have yet."""
        for point in figures.get("valid", ()):
            if point["step"] not in self.reported:
                self.reported.add(point["step"])
                self.trial.report(point["accuracy"], point["step"])


@dataclass(kw_only=True)
class Search:
    """A study in this process."""

    store: Store
    experiment: int
    study: Any
    config: SearchConfig
    env: CellEnv
    _working: list[_Trial] = field(default_factory=list)
    _failed: list[str] = field(default_factory=list)

    def run(self, trials: int, jobs: int) -> Generator[SearchProgress, None, None]:
        """Continue until the study has `trials` that ended, including those that fail now."""
        self.store.experiments.drop_unfinished(self.experiment)
        yield self._progress(trials)
        try:
            while True:
                while len(self._working) < jobs and self._wants_more(trials):
                    self._begin()
                if not self._working:
                    break
                time.sleep(_POLL)
                self._working = [one for one in self._working if not self._over(one)]
                yield self._progress(trials)
        except BaseException:
            stop_and_close([one.job for one in self._working])
            for one in self._working:
                self.store.experiments.note(self.experiment, one.job.position, "planned")
            raise

    def result(self) -> SearchResult:
        """The best trial so far by valid accuracy, then valid loss; of equal ones the first, and the others are named.

        Raises WorldProblem when no trial has finished its training."""
        complete = self._trials("COMPLETE")
        if not complete:
            reason = self._failed[-1] if self._failed else "every one was stopped early"
            raise WorldProblem(f"No trial has finished its training: {reason}", "Fix it and run the same command.")
        scores = [self._score(trial) for trial in complete]
        best = [complete[place] for place in best_of([[score] for score in scores])]
        counts = {state.lower(): len(self._trials(state)) for state in ("COMPLETE", "PRUNED")}
        counts["failed"] = len(self._failed)
        alphas = [rounded(trial.params) for trial in best]
        return SearchResult(
            run=int(best[0].user_attrs["run"]),
            alphas=alphas[0],
            valid=float(best[0].value),
            trials={state: count for state, count in counts.items() if count},
            tied=tuple(one for place, one in enumerate(alphas) if one not in alphas[:place])[1:],
        )

    def _score(self, trial: Any) -> ValidScore:
        run = self.store.runs.find(int(trial.user_attrs["run"]))
        assert run is not None
        known = valid_score(run)
        return ValidScore(run=run.id, accuracy=float(trial.value), loss=known.loss if known else None)

    def _progress(self, trials: int) -> SearchProgress:
        best = max((trial.value for trial in self._trials("COMPLETE")), default=None)
        return SearchProgress(experiment=self.experiment, over=self._ended, total=trials, best=best)

    def _wants_more(self, trials: int) -> bool:
        """Where the first trials fail, the others will as well."""
        hopeless = bool(self._failed) and not self._ended
        return not hopeless and self._ended + len(self._failed) + len(self._working) < trials

    @property
    def _ended(self) -> int:
        return len(self._trials("COMPLETE", "PRUNED"))

    def _trials(self, *states: str) -> list[Any]:
        from optuna.trial import TrialState

        found: list[Any] = self.study.get_trials(deepcopy=False, states=[TrialState[state] for state in states])
        return [trial for trial in found if trial.state != TrialState.COMPLETE or self._is_in_store(trial)]

    def _is_in_store(self, trial: Any) -> bool:
        """The journal may be older than the database, whose runs have the same numbers."""
        run = self.store.runs.find(int(trial.user_attrs["run"]))
        training = self.config.training
        wanted = (training.student, training.dataset, training.seed, rounded(trial.params))
        return run is not None and run.state == "done" and (run.student, run.dataset, run.seed, run.alpha) == wanted

    def _begin(self) -> None:
        trial = self.study.ask()
        start = self.config.training.alpha
        alphas = rounded({name: trial.suggest_float(name, LOWEST, HIGHEST, log=True) for name in start})
        label = {"dataset": self.config.training.dataset, "trial": trial.number, **alpha_labels(alphas)}
        position = self.store.experiments.add_cell(self.experiment, label)
        cell = ExperimentCell(label=label, distill=replace(self.config.training, alpha=alphas), evaluate=None)
        job = self.env.begin(position, cell, [one.job for one in self._working])
        others = {run.id for run in self._in_work(alphas)}
        self._working.append(_Trial(trial=trial, alphas=alphas, job=job, others=others))
        job.start()

    def _in_work(self, alphas: Mapping[str, float]) -> list[Run]:
        training = self.config.training
        return self.store.runs.in_work(training.student, training.dataset, alphas, training.seed)

    def _over(self, one: _Trial) -> bool:
        """Whether the trial has ended. While it runs, its valid accuracies decide whether it continues."""
        if one.job.over():
            self._end(one)
            return True
        run = next((run for run in self._in_work(one.alphas) if run.id not in one.others), None)
        figures = one.job.live if run is None else run.metrics
        if figures is None or one.job.waits:
            return False
        one.report(figures)
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

    def _prune(self, one: _Trial, run: Run | None) -> None:
        """The run is 'stopped'. It will not be resumed, so its state, which is larger than a student, is removed."""
        from optuna.trial import TrialState

        stop([one.job])
        if one.job.over() and one.job.error is None:  # it ended first
            self._end(one)
            return
        one.job.close()
        self.study.tell(one.trial, state=TrialState.PRUNED)
        number = one.job.run if run is None else run.id
        self._note(one, "pruned", run=number)
        if number is None:  # stopped elsewhere, before a state came from there
            return
        with self.store.runs.claiming(number) as ours:
            ended = self.store.runs.find(number)
            if ours and ended is not None and ended.state == "stopped":
                discard_state(state_folder(Path(ended.folder)))

    def _note(self, one: _Trial, state: CellState, **more: Any) -> None:
        self.store.experiments.note(
            self.experiment, one.job.position, state, CellOutcome(seconds=one.job.seconds, **more)
        )


def rounded(alphas: Mapping[str, float]) -> dict[str, float]:
    """Alphas as they are trained with."""
    return {name: round(value, 4) for name, value in alphas.items()}


def alpha_labels(alphas: Mapping[str, float]) -> dict[str, float]:
    return {f"alpha of {name}": alpha for name, alpha in alphas.items()}
