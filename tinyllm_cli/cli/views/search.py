"""A search for alphas in the terminal."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

from tinyllm_cli.cli.session import Session, command_line
from tinyllm_cli.cli.views.experiment import conclude, confirmed, estimate_text

if TYPE_CHECKING:
    from tinyllm_cli.experiments.search import ScheduledSearch
    from tinyllm_cli.experiments.trials import SearchProgress, SearchResult
    from tinyllm_cli.store import Store


def search(
    session: Session, store: Store, scheduled: ScheduledSearch, *, jobs: int, yes: bool, dry_run: bool
) -> None:  # fmt: skip
    """Search, with progress, and show the best alphas. `jobs` are the wanted processes.

    Raises WorldProblem when trials failed."""
    from tinyllm_cli.experiments.search import NAME

    console, training = session.console, scheduled.config.training
    teachers = " and ".join(training.alpha)
    console.note(
        f"{NAME}: up to {scheduled.trials} trials of the alphas of {teachers}, selected on {training.dataset}/valid;"
        f" only the best is evaluated on test. {estimate_text(scheduled.estimate, jobs)}"
    )
    if dry_run or not confirmed(session, scheduled.trials, yes=yes):
        console.result({"experiment": NAME, "trials": scheduled.trials, "teachers": list(training.alpha)})
        return
    step = _carry_out(session, store, scheduled)
    assert step.result is not None
    console.say(_best_text(step.result))
    conclude(session, store, NAME, step.experiment, more={"best": asdict(step.result)})


def _carry_out(session: Session, store: Store, scheduled: ScheduledSearch) -> SearchProgress:
    """The last progress, which has the result."""
    from tinyllm_cli.experiments.runner import RunOptions, interrupted
    from tinyllm_cli.experiments.search import NAME
    from tinyllm_cli.experiments.search import search as stage

    options = RunOptions(config=session.config, command=command_line())
    step: SearchProgress | None = None
    try:
        with session.console.meter(NAME) as meter, closing(stage(store, scheduled, options)) as steps:
            for step in steps:
                meter(step.over, step.total, "" if step.best is None else f"best valid {step.best:.1%}")
    except KeyboardInterrupt as error:
        if step is None:
            raise
        raise interrupted(store, step.experiment) from error
    assert step is not None
    return step


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
