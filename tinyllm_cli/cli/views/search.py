"""A search for alphas in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinyllm_cli.cli.views.console import Console
from tinyllm_cli.cli.views.experiment import estimate_text, show_results

if TYPE_CHECKING:
    from tinyllm_cli.api.experiments import ExperimentResult
    from tinyllm_cli.experiments.search import ScheduledSearch
    from tinyllm_cli.experiments.trials import SearchResult


def show_search(console: Console, scheduled: ScheduledSearch, jobs: int) -> None:
    """What a search would do; `jobs` are the wanted processes."""
    from tinyllm_cli.experiments.search import NAME

    training = scheduled.config.training
    console.note(
        f"{NAME}: up to {scheduled.trials} trials of the alphas of {' and '.join(training.alpha)}, selected on"
        f" {training.dataset}/valid; only the best is evaluated on test. {estimate_text(scheduled.estimate, jobs)}"
    )


def planned_search(console: Console, scheduled: ScheduledSearch) -> None:
    """The search under --json, where nothing is started."""
    from tinyllm_cli.experiments.search import NAME

    teachers = list(scheduled.config.training.alpha)
    console.result({"experiment": NAME, "trials": scheduled.trials, "teachers": teachers})


def show_best(console: Console, best: SearchResult, found: ExperimentResult) -> None:
    """The best alphas, and the results of all trials.

    Raises WorldProblem when trials failed."""
    console.say(_best_text(best))
    show_results(console, found, best)


def _best_text(found: SearchResult) -> str:
    ended = ", ".join(f"{count} {state}" for state, count in found.trials.items())
    text = (
        f"Best of {sum(found.trials.values())} trials ({ended}): --alpha {_alpha(found.alphas)},"
        f" valid accuracy {found.valid:.1%}, run {found.run}."
    )
    ties = "; ".join(map(_alpha, found.tied))
    return f"{text} Valid does not distinguish it from: {ties}." if ties else text


def _alpha(alphas: dict[str, float]) -> str:
    return ",".join(f"{name}={value:g}" for name, value in alphas.items())
