"""A search for alphas as the terminal shows it: only its best run is ever evaluated on test."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyllm_cli.cli.views.experiment import Work
    from tinyllm_cli.experiments.grid import ExperimentCell, Label
    from tinyllm_cli.experiments.search import Found, SearchConfig


def search(work: Work, trials: int) -> None:
    """Look for the alphas with the best valid accuracy, and evaluate the best run alone on test.

    Raises UsageProblem where there is nothing to search by, and WorldProblem at the end when trials failed."""
    from tinyllm_cli.experiments.search import Search, open_study

    hunt = _hunt(work)
    console = work.session.console
    work.mark_killed()
    console.note(
        f"{work.name}: up to {trials} trials of the alphas of {' and '.join(hunt.start)}, by {hunt.dataset}/valid;"
        f" test is looked at for the best alone. {work.outlook([_like_a_trial(hunt)] * trials)}"
    )
    if work.dry_run or not work.agreed(trials):
        console.result({"experiment": work.name, "trials": trials, "teachers": list(hunt.start)})
        return
    journal = work.store.path.parent / f"{work.store.path.stem}-search" / "alpha.log"
    with work.opened({"search": hunt.name}) as experiment:
        study = open_study(journal, hunt)
        with console.meter(work.name) as meter, work.interruptible(experiment):
            found = Search(
                store=work.store, experiment=experiment, study=study, hunt=hunt, surroundings=work.surroundings()
            ).carry_out(
                trials, work.jobs_that_fit,
                lambda working, over, total, best: meter(over, total, "" if best is None else f"best valid {best:.1%}"),
            )  # fmt: skip
            _evaluate(work, experiment, hunt, found)
        ended = ", ".join(f"{count} {state}" for state, count in found.trials.items())
        weights = ",".join(f"{name}={value:g}" for name, value in found.alphas.items())
        console.say(
            f"Best of {sum(found.trials.values())} trials ({ended}): --alpha {weights},"
            f" valid accuracy {found.valid:.1%}, run {found.run}."
        )
        work.conclude(experiment, {"best": asdict(found)})


def _evaluate(work: Work, experiment: int, hunt: SearchConfig, found: Found) -> None:
    """The best run on test, unless that was done before, in the same way."""
    from tinyllm_cli.experiments.grid import ExperimentCell, PlanBuilder
    from tinyllm_cli.experiments.runner import carry_out
    from tinyllm_cli.experiments.search import alpha_labels

    setup = work.setup
    way: Label = {
        **({} if setup.scoring == "rank" else {"scoring": setup.scoring}),
        **({} if setup.test_limit is None else {"test questions": setup.test_limit}),
    }
    label: Label = {"dataset": hunt.dataset, "best": "on valid", **alpha_labels(found.alphas), **way}
    if any(cell.label == label and cell.run == found.run for cell in work.store.experiments.cells(experiment)):
        return
    cell = ExperimentCell(label=label, distill=None, evaluate=("--run", str(found.run), *PlanBuilder(setup).evaluate()))
    position = work.store.experiments.add_cell(experiment, label)
    carry_out(work.store, experiment, [(position, cell)], work.surroundings(), 1, lambda *_: None)
    work.store.experiments.attach_run(experiment, position, found.run)


def _hunt(work: Work) -> SearchConfig:
    from tinyllm_cli.errors import UsageProblem
    from tinyllm_cli.experiments.grid import PlanBuilder, alpha_text
    from tinyllm_cli.experiments.search import SearchConfig

    setup = work.setup
    if len(setup.coverages) != 1 or len(setup.students) != 1 or len(setup.seeds) != 1:
        raise UsageProblem("A search is for one data set, one student and one seed.", "Say which, with -d and -s.")
    [coverage], [student], [seed] = setup.coverages, setup.students, setup.seeds
    sketch = PlanBuilder(setup)
    teachers = sketch.alphas(coverage)
    if not teachers:
        raise UsageProblem(
            f"No teacher has rationales for {coverage.dataset}.",
            f"Run: tinyllm elicit --teacher NAME --dataset {coverage.dataset}",
        )
    if not coverage.valid:
        raise UsageProblem(f"{coverage.dataset} has no valid split to search by.", "The test split must not choose.")
    limit = () if setup.limit is None else ("--limit", str(setup.limit))
    rest = ("--dataset", coverage.dataset, "--student", student, "--seed", str(seed), *limit, *setup.more)
    return SearchConfig(
        name=" ".join((*teachers, *rest, sketch.edition(coverage, student))), dataset=coverage.dataset,
        student=student, start=teachers, seed=seed,
        train=lambda alphas: ("--alpha", alpha_text(alphas), *rest),
    )  # fmt: skip


def _like_a_trial(hunt: SearchConfig) -> ExperimentCell:
    from tinyllm_cli.experiments.grid import ExperimentCell

    label = {"dataset": hunt.dataset, "student": hunt.student}
    return ExperimentCell(label=label, distill=hunt.train(dict(hunt.start)), evaluate=None)
