"""The runs of an experiment are in the report's figure for it, also of one that was limited."""

from __future__ import annotations

from tests.report.test_arms import BOTH, data, evaluated, first, report
from tinyllm_cli.store import Store


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
