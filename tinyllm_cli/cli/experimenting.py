"""An experiment as the terminal shows it: the plan and what it will take, its runs, and what came out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tinyllm_cli.cli.console import clock
from tinyllm_cli.cli.session import Session

if TYPE_CHECKING:
    from tinyllm_cli.experiments.plans import Cell, Label, Plan, Setup
    from tinyllm_cli.experiments.running import Job, Surroundings
    from tinyllm_cli.experiments.search import Hunt
    from tinyllm_cli.store import Store
    from tinyllm_cli.store.experiments import StoredCell


def setup(
    session: Session, store: Store, datasets: Sequence[str], students: Sequence[str], alpha: str | None,
    seeds: Sequence[int], limit: int | None, more: tuple[str, ...], scoring: str, test_limit: int | None,
) -> Setup:  # fmt: skip
    """Names resolved against the store: data sets that are there, teachers by their full names."""
    from tinyllm_cli.cli.distill import resolved
    from tinyllm_cli.errors import UsageProblem
    from tinyllm_cli.experiments.materials import material_of
    from tinyllm_cli.experiments.plans import Setup
    from tinyllm_cli.ingest import ingest_named
    from tinyllm_cli.store import rationales as stored_rationales
    from tinyllm_cli.voices import choose, parse_alpha

    names = [ingest_named(store, name, session.settings).name for name in datasets]
    names = names or sorted(stored_rationales.datasets_with_rationales(store))
    if not names:
        raise UsageProblem("There are no rationales to experiment with.", "Run: tinyllm elicit, or name a --dataset.")
    weights = None if alpha is None else parse_alpha(alpha)
    alphas: dict[str, float] = {}
    wrote = stored_rationales.datasets_with_rationales(store)
    for name in names:
        if name in wrote or isinstance(weights, dict):
            choice = choose(store, session.settings, weights, name)
            alphas |= {voice.teacher: voice.alpha for voice in choice.voices}
    return Setup(
        materials=[material_of(store, name, limit) for name in names], students=[resolved(name) for name in students],
        alphas=alphas, seeds=seeds, limit=limit, more=more, scoring=scoring, test_limit=test_limit,
    )  # fmt: skip


@dataclass
class Work:
    """One experiment in the terminal."""

    session: Session
    store: Store
    setup: Setup
    jobs: int
    plan: Plan
    yes: bool = False
    dry_run: bool = False

    def carry_out(self) -> None:
        """Show the plan, do what of it is not done, show what came out.

        Raises WorldProblem at the end when runs failed."""
        from tinyllm_cli.experiments.running import carry_out
        from tinyllm_cli.store import experiments as stored_experiments
        from tinyllm_cli.store import runs as stored_runs

        stored_runs.bury_the_dead(self.store)
        experiment, known = None, {}
        if not self.dry_run:
            experiment = self._open(
                [asdict(cell) for cell in self.plan.cells], [cell.label for cell in self.plan.cells]
            )
            known = {cell.position: cell for cell in stored_experiments.cells(self.store, experiment)}
        todo = [(n, cell) for n, cell in enumerate(self.plan.cells) if n not in known or known[n].state != "done"]
        self._announce(todo)
        if experiment is None or not self._agreed(len(todo)):
            self.session.console.result({"experiment": self.plan.name, "plan": [asdict(c) for c in self.plan.cells]})
            return
        with self.session.console.meter(self.plan.name) as meter:

            def watch(working: Sequence[Job], over: int, total: int) -> None:
                meter(over, total, "; ".join(filter(None, (_state(job) for job in working))))

            carry_out(self.store, experiment, todo, self._surroundings(), self._jobs(), watch)
        self._conclude(experiment)

    def search(self, trials: int) -> None:
        """Look for the alphas with the best valid accuracy, and evaluate the best run alone on test."""
        from tinyllm_cli.experiments.plans import Cell
        from tinyllm_cli.experiments.running import carry_out
        from tinyllm_cli.experiments.search import open_study, search
        from tinyllm_cli.store import experiments as stored_experiments
        from tinyllm_cli.store import runs as stored_runs

        hunt = self._hunt()
        self.session.console.note(
            f"alpha-search: up to {trials} trials of {', '.join(hunt.teachers)} on {hunt.dataset}/valid."
        )
        if self.dry_run or not self._agreed(trials):
            return
        stored_runs.bury_the_dead(self.store)
        journal = self.store.path.resolve().parent / f"{self.store.path.stem}-search" / "alpha.log"
        study = open_study(journal, hunt)
        experiment = self._open({"search": hunt.name}, [])
        with self.session.console.meter(self.plan.name) as meter:

            def watch(working: Sequence[Job], over: int, total: int, best: float | None) -> None:
                meter(over, total, "" if best is None else f"best valid {best:.1%}")

            found = search(self.store, experiment, study, hunt, trials, self._surroundings(), self._jobs(), watch)
        limit = () if self.setup.test_limit is None else ("--limit", str(self.setup.test_limit))
        words = ("--run", str(found.run), "--split", "test", "--scoring", self.setup.scoring, *limit)
        label: Label = {"dataset": hunt.dataset, "best": "alpha", **found.alphas}
        position = stored_experiments.add_cell(self.store, experiment, label)
        cell = Cell(label=label, distill=None, evaluate=words)
        carry_out(self.store, experiment, [(position, cell)], self._surroundings(), 1, lambda *_: None)
        stored_experiments.attach_run(self.store, experiment, position, found.run)
        ended = ", ".join(f"{count} {state}" for state, count in found.trials.items())
        weights = ",".join(f"{name}={value:g}" for name, value in found.alphas.items())
        self.session.console.say(f"Best of {sum(found.trials.values())} trials ({ended}): --alpha {weights},"
                                 f" valid accuracy {found.valid:.1%}, run {found.run}.")  # fmt: skip
        self._conclude(experiment, {"best": asdict(found)})

    def _hunt(self) -> Hunt:
        from tinyllm_cli.errors import UsageProblem
        from tinyllm_cli.experiments.plans import alpha_text
        from tinyllm_cli.experiments.search import Hunt

        setup = self.setup
        if len(setup.materials) != 1 or len(setup.students) != 1 or len(setup.seeds) != 1:
            raise UsageProblem("A search is for one data set, one student and one seed.", "Say which, with -d and -s.")
        [material], [student], [seed] = setup.materials, setup.students, setup.seeds
        teachers = [name for name, alpha in setup.alphas.items() if name in material.forced and alpha > 0]
        if not teachers:
            raise UsageProblem(f"No teacher has rationales for {material.dataset}.", "Run: tinyllm elicit")
        limit = () if setup.limit is None else ("--limit", str(setup.limit))
        rest = ("--dataset", material.dataset, "--student", student, "--seed", str(seed), *limit, *setup.more)
        name = " ".join((*teachers, *rest))
        return Hunt(name=name, dataset=material.dataset, teachers=teachers, seed=seed,
                    train=lambda alphas: ("--alpha", alpha_text(alphas), *rest))  # fmt: skip

    def _open(self, plan: Any, labels: Sequence[Label]) -> int:
        from tinyllm_cli.cli.distill import command_line
        from tinyllm_cli.store import experiments as stored_experiments

        return stored_experiments.open_experiment(
            self.store, self.plan.name, {"name": self.plan.name, "plan": plan}, command_line(), labels
        )

    def _surroundings(self) -> Surroundings:
        from tinyllm_cli.experiments.running import Surroundings

        threads = max(1, (os.cpu_count() or 1) // self._jobs())
        return Surroundings(db=self.store.path.resolve(), config=self.session.config, threads=threads)

    def _jobs(self) -> int:
        from tinyllm_cli.experiments.outlook import jobs_that_fit

        fitting, _ = jobs_that_fit(self.setup.students[0], self.jobs, os.cpu_count() or 1)
        return fitting

    def _announce(self, todo: Sequence[tuple[int, Cell]]) -> None:
        from tinyllm_cli.experiments.outlook import jobs_that_fit

        console = self.session.console
        done = len(self.plan.cells) - len(todo)
        console.show(_plan_table(self.plan, {position for position, _ in todo}))
        for left_out in self.plan.left_out:
            console.note(f"Left out: {left_out.what}.\n  To have it: {left_out.command}")
        console.note(f"{len(todo)} to do, {done} done. {self._estimate(todo)} It costs no tokens.")
        fitting, reason = jobs_that_fit(self.setup.students[0], self.jobs, os.cpu_count() or 1)
        if fitting < self.jobs:
            console.note(f"{fitting} at once instead of {self.jobs}: {reason}.")

    def _estimate(self, todo: Sequence[tuple[int, Cell]]) -> str:
        from tinyllm_cli.experiments.outlook import seconds
        from tinyllm_cli.store import runs as stored_runs

        runs = stored_runs.everything(self.store)
        total = 0.0
        sizes = {material.dataset: material.questions for material in self.setup.materials}
        for _, cell in todo:
            if cell.distill is None:
                continue
            words = list(cell.distill)
            size = sizes[str(cell.label["dataset"])]
            questions = min(size, int(words[words.index("--limit") + 1])) if "--limit" in words else size
            own = [run for run in runs if run.student == cell.label["student"]]
            took = seconds(own, questions)
            if took is None:
                return "How long that takes is unknown: this student was never trained here."
            total += took
        return f"Training will take about {clock(total / self._jobs())}, by earlier runs of this student."

    def _agreed(self, count: int) -> bool:
        console = self.session.console
        if not count:
            return True
        return self.yes or not console.can_ask or console.json or console.confirm("Begin?")

    def _conclude(self, experiment: int, more: dict[str, Any] | None = None) -> None:
        from tinyllm_cli.errors import WorldProblem
        from tinyllm_cli.reporting.data import result
        from tinyllm_cli.store import experiments as stored_experiments
        from tinyllm_cli.store import runs as stored_runs

        cells = stored_experiments.cells(self.store, experiment)
        runs = {run.id: run for run in stored_runs.everything(self.store)}
        results = {one.id: result(one, runs) for one in stored_runs.evaluations(self.store)}
        self.session.console.show(_results_table(self.plan.name, cells, results))
        rows = [
            {**asdict(cell), "result": asdict(results[cell.evaluation]) if cell.evaluation in results else None}
            for cell in cells
        ]
        self.session.console.result({"experiment": experiment, "name": self.plan.name, "cells": rows, **(more or {})})
        failed = [cell for cell in cells if cell.state == "failed"]
        if failed:
            said = "; ".join(f"{_named(cell.label)}: {cell.error}" for cell in failed[:3])
            raise WorldProblem(
                f"{len(failed)} of {len(cells)} runs failed: {said}", "The same command tries them again."
            )
        self.session.console.next("tinyllm report --html report.html")


def _state(job: Job) -> str:
    said = job.saying()
    return f"{_named(job.cell.label)}: {said}" if said else _named(job.cell.label)


def _named(label: Label) -> str:
    return " ".join(str(value).rpartition("/")[2] for name, value in label.items() if name != "seed") + (
        f" seed {label['seed']}" if "seed" in label else ""
    )


def _columns(labels: Sequence[Label]) -> list[str]:
    """What the labels speak of, without what is the same in all."""
    names = list(dict.fromkeys(name for label in labels for name in label))
    return [name for name in names if len({label.get(name) for label in labels}) > 1] or names


def _plan_table(plan: Plan, todo: set[int]) -> Any:
    from tinyllm_cli.reporting.tables import simple_table

    labels = [cell.label for cell in plan.cells]
    columns = _columns(labels)
    rows = [
        (*(_cell(label.get(name)) for name in columns), "to do" if position in todo else "done")
        for position, label in enumerate(labels)
    ]
    return simple_table(f"Plan of {plan.name}", [*columns, "state"], rows)


def _results_table(name: str, cells: Sequence[StoredCell], results: dict[int, Any]) -> Any:
    from tinyllm_cli.reporting.tables import percent, simple_table

    columns = _columns([cell.label for cell in cells])
    rows = []
    for cell in cells:
        found = results.get(cell.evaluation) if cell.evaluation is not None else None
        accuracy = percent(found.accuracy) if found else "-"
        interval = f"{100 * found.low:.1f} to {100 * found.high:.1f} %" if found else "-"
        run = "-" if cell.run is None else str(cell.run)
        rows.append((*(_cell(cell.label.get(one)) for one in columns), cell.state, run, accuracy, interval))
    return simple_table(name, [*columns, "state", ">run", ">test", "95 % interval"], rows)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return str(value).rpartition("/")[2]
