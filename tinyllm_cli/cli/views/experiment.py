"""An experiment as the terminal shows it: the plan and what it will take, its runs, and what came out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tinyllm_cli.cli.console import clock
from tinyllm_cli.cli.session import Session, command_line

if TYPE_CHECKING:
    from tinyllm_cli.experiments.grid import ExperimentCell, ExperimentPlan, Setup
    from tinyllm_cli.experiments.resources import History
    from tinyllm_cli.experiments.runner import CellProcess, WorkerEnv
    from tinyllm_cli.store import Store

_OURS = frozenset({"--alpha", "--dataset", "--student", "--seed", "--limit", "--method", "--icl",
                   "--shuffle-rationales", "--db", "--config", "--json", "--dry-run", "--restart"})  # fmt: skip
"""Options of distill that a plan sets itself, or that would take its runs out of its hands."""

_WIDTH = 60
"""Characters of what a job says, of which several stand in a line."""


def setup(
    session: Session, store: Store, datasets: Sequence[str], students: Sequence[str], alpha: str | None,
    seeds: Sequence[int], limit: int | None, more: tuple[str, ...], scoring: str, test_limit: int | None,
) -> Setup:  # fmt: skip
    """Names resolved against the store: data sets that are there, teachers by their full names.

    Raises UsageProblem for what can't be meant."""
    from tinyllm_cli.cli.resolve import resolved
    from tinyllm_cli.errors import UsageProblem
    from tinyllm_cli.experiments.availability import coverage_of
    from tinyllm_cli.experiments.grid import Setup
    from tinyllm_cli.ingestion.ingest import ingest_named
    from tinyllm_cli.students.loading import model_fingerprint
    from tinyllm_cli.training.alpha import named_weights, parse_alpha

    _check_options(more)
    names = list(dict.fromkeys(ingest_named(store, name, session.settings).name for name in datasets))
    names = names or sorted(store.rationales.datasets_with_rationales())
    if not names:
        raise UsageProblem("There are no rationales to experiment with.", "Run: tinyllm elicit, or name a --dataset.")
    wrote = store.rationales.datasets_with_rationales()
    pool = set().union(*(wrote.get(name, set()) for name in names))
    models = list(dict.fromkeys(map(resolved, students)))
    return Setup(
        coverages=[
            coverage_of(store, name, session.settings, limit=limit, test_limit=test_limit) for name in names
        ],
        students=models, alphas=named_weights(1.0 if alpha is None else parse_alpha(alpha), pool, session.settings),
        seeds=list(dict.fromkeys(seeds)), limit=limit, more=more, scoring=scoring, test_limit=test_limit,
        fingerprints={name: model_fingerprint(name) for name in models},
    )  # fmt: skip


def _check_options(more: Sequence[str]) -> None:
    """Raises UsageProblem for options that distill doesn't take, or that a plan sets, before any run starts."""
    import typer
    from typer.exceptions import TyperException
    from typer.main import get_command

    from tinyllm_cli.cli.distill import distill
    from tinyllm_cli.errors import UsageProblem

    alone = typer.Typer(add_completion=False)
    alone.command()(distill)
    try:
        context = get_command(alone).make_context("distill", list(more))
    except TyperException as error:
        said = getattr(error, "format_message", error.__str__)()  # names the option, where typer knows it
        raise UsageProblem(f"What stands after -- is for distill. {said}.", "See tinyllm distill --help.") from error
    for one in context.command.params:
        source = context.get_parameter_source(one.name or "")
        if source is not None and source.name == "COMMANDLINE" and not _OURS.isdisjoint(one.opts):
            raise UsageProblem(
                f"{max(one.opts, key=len)} can't stand after --.", "The plan sets it; see tinyllm experiment --help."
            )


@dataclass
class Work:
    """One experiment in the terminal."""

    session: Session
    store: Store
    setup: Setup
    jobs: int
    name: str
    yes: bool = False
    dry_run: bool = False

    def carry_out(self, plan: ExperimentPlan) -> None:
        """Show the plan, do what of it is not done, show what came out.

        Raises WorldProblem at the end when runs failed."""
        from tinyllm_cli.experiments.runner import carry_out

        self.mark_killed()
        done = self.store.experiments.done_cells()
        todo = [(place, cell) for place, cell in enumerate(plan.cells) if cell.identity not in done]
        self._announce(plan, todo)
        if self.dry_run or not self.agreed(len(todo)):
            cells = [{**cell.as_json(), "done": cell.identity in done} for cell in plan.cells]
            left_out = [asdict(one) for one in plan.left_out]
            self.session.console.result({"experiment": self.name, "cells": cells, "left_out": left_out})
            return
        with self.opened({"cells": [cell.as_json() for cell in plan.cells]}) as experiment:
            with self.session.console.meter(self.name) as meter, self.interruptible(experiment):
                carry_out(
                    self.store, experiment, todo, self.surroundings(), self.jobs_that_fit,
                    lambda working, over, total: meter(over, total, "; ".join(map(_state, working))),
                )  # fmt: skip
            self.conclude(experiment)

    def mark_killed(self) -> None:

        self.store.runs.mark_killed()
        self.store.experiments.mark_killed()

    @contextmanager
    def opened(self, plan: Mapping[str, Any]) -> Iterator[int]:
        """The experiment's number; nobody else carries it out meanwhile."""
        from tinyllm_cli.errors import Busy

        number = self.store.experiments.open_experiment(self.name, {"name": self.name, **plan}, command_line())
        with self.store.experiments.claiming(number) as ours:
            if not ours:
                raise Busy(f"Another process is at this very experiment ({number}).", "Wait for it.")
            yield number

    @contextmanager
    def interruptible(self, experiment: int) -> Iterator[None]:
        """Ctrl-C, and SIGTERM like it, say what is kept."""
        from tinyllm_cli.errors import InterruptedByUser
        from tinyllm_cli.signals import ended_like_interrupted

        try:
            with ended_like_interrupted():
                yield
        except KeyboardInterrupt as error:
            cells = self.store.experiments.cells(experiment)
            done = sum(cell.state in ("done", "pruned") for cell in cells)
            raise InterruptedByUser(
                f"Stopped: {done} of {len(cells)} are done, and what was in work has saved its state.",
                "Run the same command to go on.",
            ) from error

    def surroundings(self) -> WorkerEnv:
        from tinyllm_cli.experiments.resources import threads, trainings_on_gpus
        from tinyllm_cli.experiments.runner import WorkerEnv

        share = max(1, threads() // self.jobs_that_fit)
        config = self.session.config
        return WorkerEnv(
            db=self.store.path, config=config and config.resolve(), threads=share,
            gpus=trainings_on_gpus(self.setup.students, self.history),
        )  # fmt: skip

    @cached_property
    def history(self) -> History:
        from tinyllm_cli.experiments.resources import History

        return History(runs=self.store.runs.everything(), evaluations=self.store.evaluations.everything())

    @cached_property
    def _fitting(self) -> tuple[int, str]:
        from tinyllm_cli.experiments.resources import jobs_that_fit

        return jobs_that_fit(self.setup.students, self.jobs, self.history)

    @property
    def jobs_that_fit(self) -> int:
        return self._fitting[0]

    def _announce(self, plan: ExperimentPlan, todo: Sequence[tuple[int, ExperimentCell]]) -> None:
        from tinyllm_cli.cli.views.cells import plan_table
        from tinyllm_cli.errors import UsageProblem, choices

        console = self.session.console
        for left_out in plan.left_out:
            console.note(f"Left out: {left_out.what}.\n  To have it: {left_out.command}")
        strangers = {one.teacher for one in plan.left_out} - self.session.settings.teachers.keys()
        if strangers:
            console.note(f"tinyllm.toml has to say first where to ask {choices(strangers)}: [teachers.NAME].")
        if not plan.cells:
            raise UsageProblem("There is nothing that this experiment could train.", "See what is left out above.")
        console.show(plan_table(plan, {place for place, _ in todo}))
        done = len(plan.cells) - len(todo)
        console.note(f"{len(todo)} to do, {done} done. {self.outlook([cell for _, cell in todo])}")

    def outlook(self, cells: Sequence[ExperimentCell]) -> str:
        """What these cells will take."""
        from tinyllm_cli.experiments.resources import seconds, student_bytes

        trained = [str(cell.label["student"]) for cell in cells if cell.distill is not None]
        if not trained:
            return "It costs no tokens."
        sizes = {coverage.dataset: coverage.questions for coverage in self.setup.coverages}
        took = [seconds(cell, sizes, self.history) for cell in cells]
        known = [one for one in took if one is not None]
        time = (
            f"Training and evaluating will take about {clock(sum(known))}, by earlier runs of the same student"
            if len(known) == len(took)
            else "How long it takes is unknown until a run of each student is done"
        )
        place = [student_bytes(student, self.history) for student in trained]
        disk = "" if None in place else f" Their students take {sum(filter(None, place)) / 1e9:.1f} GB of disk or less."
        fitting, reason = self._fitting
        fewer = f" {fitting} at once instead of {self.jobs}: {reason}." if fitting < self.jobs else ""
        return f"{time}.{disk} It costs no tokens.{fewer}"

    def agreed(self, count: int) -> bool:
        console = self.session.console
        return not count or self.yes or console.json or not console.can_ask or console.confirm("Begin?")

    def conclude(self, experiment: int, more: Mapping[str, Any] | None = None) -> None:
        """Show what came out.

        Raises WorldProblem when runs failed."""
        from tinyllm_cli.cli.views.cells import named, results_table
        from tinyllm_cli.errors import WorldProblem
        from tinyllm_cli.report.collect import result

        console = self.session.console
        cells = self.store.experiments.cells(experiment)
        runs = {run.id: run for run in self.store.runs.everything()}
        results = {one.id: result(one, runs) for one in self.store.evaluations.everything()}
        console.show(results_table(self.name, cells, runs, results))
        if self.name == "alpha":
            self._say_selected(cells, runs)
        rows = [
            {**asdict(cell), "result": asdict(results[cell.evaluation]) if cell.evaluation in results else None}
            for cell in cells
        ]
        console.result({"experiment": experiment, "name": self.name, "cells": rows, **(more or {})})
        failed = [cell for cell in cells if cell.state == "failed"]
        if failed:
            said = "".join(f"\n  {named(cell.label)}: {cell.error}" for cell in failed)
            raise WorldProblem(f"{len(failed)} of {len(cells)} failed:{said}", "The same command tries them again.")
        console.next("tinyllm report --html report.html")

    def _say_selected(self, cells: Sequence[Any], runs: Mapping[int, Any]) -> None:
        """Of a grid, what the valid split chooses; the test accuracies beside it chose nothing."""
        from tinyllm_cli.experiments.plans import best_on_valid

        known = {number: run.valid_accuracy for number, run in runs.items() if run.valid_accuracy is not None}
        for best in best_on_valid([(cell.label, known[cell.run]) for cell in cells if cell.run in known]):
            self.session.console.say(
                f"Best on valid for {best.dataset} and {best.student.rpartition('/')[2]}: alpha {best.alpha:g} of"
                f" {best.teacher} ({best.valid:.1%}, mean of {best.seeds}), of {best.tried} tried."
            )


def _state(job: CellProcess) -> str:
    from tinyllm_cli.cli.views.cells import named

    said = job.saying()
    if len(said) > _WIDTH:
        said = f"{said[:_WIDTH]}..."
    return f"{named(job.cell.label)}: {said}" if said else named(job.cell.label)
