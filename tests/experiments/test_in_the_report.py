"""The runs of an experiment are in the report's figure for it, also of one that was limited."""

from __future__ import annotations

from tests.conftest import Command, make_questions
from tests.report.test_arms import BOTH, data, evaluated, first, report
from tinyllm_cli.records.evaluations import Prediction, Subject
from tinyllm_cli.report.collect import Report
from tinyllm_cli.report.html import html_page
from tinyllm_cli.store import Store
from tinyllm_cli.store.evaluations import EvaluatedQuestions


def test_figure_3_shows_a_grid_on_fewer_questions_than_the_other_runs(store: Store) -> None:
    """As after `experiment alpha --limit 16`, beside longer trainings of several methods."""
    data(store, "toy", 40)
    evaluated(store, "toy", first(20))
    evaluated(store, "toy", first(20), method="finetune")
    assert report(store).paper.alphas == ()
    for value in (0.1, 1.0):
        evaluated(store, "toy", first(10 + round(value)), alpha={"ann": value, "bob": 1.0}, limit=16)
    [sweep] = report(store).paper.alphas
    assert [line.label for line in sweep.series] == ["alpha of ann, with bob=1, 16 training questions"]
    assert [(point.x, point.arm.mean * 40) for point in sweep.series[0].points] == [(0.1, 10), (1.0, 11)]
    evaluated(store, "toy", first(21), alpha={**BOTH, "ann": 3.0})
    [sweep] = report(store).paper.alphas
    assert [line.label for line in sweep.series] == ["alpha of ann, with bob=1"], "runs of Table 1's size come first"


def evaluate_on(store: Store, dataset: str, run: int) -> None:
    """Evaluate a run's student on another data set."""
    asked = make_questions(40, dataset=dataset, split="test")
    questions = EvaluatedQuestions(dataset=dataset, split="test", count=40, chance=0.25, majority=0.25)
    subject = Subject(kind="run", name=f"run {run}", run=run, model_fingerprint="f")
    opened = store.evaluations.open(subject, "rank", questions)
    rows = [Prediction(key=one.key, question=one.hash, option=0, correct=True) for one in asked]
    store.evaluations.add_predictions(opened.id, rows)
    store.evaluations.complete(opened.id, 1.0)


def whys(found: Report) -> dict[str, int]:
    """The reasons for which evaluations are left out, and how many each."""
    reasons = [one.why for one in found.left_out]
    return {why: reasons.count(why) for why in reasons}


OTHER_N = "it covers {} test questions of toy, and the tables compare on 40"


def test_figure_3_shows_a_grid_on_fewer_test_questions(store: Store) -> None:
    """As after `experiment alpha --test-limit 20`, beside a table on all of them."""
    data(store, "toy", 40)
    for method in ("finetune", "tinyllm", "distill-step-by-step"):
        evaluated(store, "toy", first(20), method=method)
    for value in (0.1, 1.0, 3.0):
        evaluated(store, "toy", first(10 + round(value)), alpha={"ann": value, "bob": 1.0}, count=20)
    found = report(store)
    [column] = found.paper.tables[0].columns
    assert column.n == 40
    [sweep] = found.paper.alphas
    assert (sweep.n, [point.x for point in sweep.series[0].points]) == (20, [0.1, 1.0, 3.0])
    assert not [one for one in found.paper.missing if "Figure 3" in one.what]
    assert found.left_out == (), "all of them are in the table or the figure"


def test_what_no_table_or_figure_shows_is_listed_with_its_reason(inside: Command, store: Store) -> None:
    """As after two grids with different limits: the figure has one of them."""
    data(store, "toy", 40)
    evaluated(store, "toy", first(20), method="finetune")
    for value in (0.1, 1.0, 3.0):
        evaluated(store, "toy", first(20), alpha={"ann": value, "bob": 1.0})
    for value in (0.5, 2.0):
        evaluated(store, "toy", first(5), alpha={"ann": value, "bob": 1.0}, count=10)
    evaluated(store, "toy", first(9), method="finetune", limit=7)
    evaluated(store, "toy", first(3), teacher="ann", count=8)
    found = report(store)
    [sweep] = found.paper.alphas
    assert (sweep.n, len(sweep.series[0].points)) == (40, 3)
    trained = "its student was trained on 7 questions of toy, and the tables compare those trained on 80"
    assert whys(found) == {OTHER_N.format(10): 2, trained: 1, OTHER_N.format(8): 1}
    assert OTHER_N.format(10) in html_page(found)
    path = store.path
    store.close()
    shown = inside("report", "--db", str(path))
    assert f"4 evaluations are not in tables and comparisons: {OTHER_N.format(10)}" in " ".join(shown.stderr.split())


def test_a_student_that_the_table_lacks_has_its_figure(store: Store) -> None:
    data(store, "toy", 40)
    for method in ("finetune", "tinyllm", "distill-step-by-step"):
        evaluated(store, "toy", first(20), method=method)
    for value in (0.1, 1.0):
        evaluated(store, "toy", first(10), alpha={"ann": value, "bob": 1.0}, count=20, student="small")
    [sweep] = report(store).paper.alphas
    assert (sweep.student, sweep.n) == ("small", 20)
    assert report(store).left_out == ()


def test_an_evaluation_on_another_data_set_is_listed(store: Store) -> None:
    data(store, "toy", 40)
    data(store, "play", 40)
    evaluated(store, "toy", first(20), method="finetune")
    evaluated(store, "play", first(20), method="finetune")
    [run, _] = store.runs.everything()
    assert report(store).left_out == ()
    evaluate_on(store, "play", run.id)
    assert list(whys(report(store))) == ["its student was trained on another data set, toy"]


def test_the_settings_that_valid_did_not_choose_are_in_the_table(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(20), valid=0.5)
    evaluated(store, "toy", first(20), valid=0.6, alpha={**BOTH, "ann": 3.0})
    assert report(store).left_out == ()
