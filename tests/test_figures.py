"""Figures 2 and 3: every point of an experiment where it belongs, readable without seeing it."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_arms import data, evaluated, report
from tinyllm_cli.reporting.page import html_page
from tinyllm_cli.reporting.plot import HEIGHT, WIDTH, Point, Series, plot
from tinyllm_cli.store import Store, experiments, runs

shares = st.floats(0.0, 1.0)


def experiment(store: Store, name: str, labels: list[dict[str, object]], right: list[int]) -> None:
    """An experiment whose cells answered so many of 40 questions right."""
    data(store, "toy", 40)
    number = experiments.open_experiment(store, name, [name], "tinyllm experiment", labels)
    for position, count in enumerate(right):
        evaluated(store, "toy", set(range(count)), seed=position, limit=position + 1)
        last = runs.evaluations(store)[-1]
        experiments.note(store, number, position, "done", run=last.subject.run, evaluation=last.id)


def label(**rest: object) -> dict[str, object]:
    return {"dataset": "toy", "student": "some/tiny", **rest, "seed": 0}


def test_training_sizes_make_a_line_and_fine_tuning_a_level(store: Store) -> None:
    labels = [label(method="tinyllm", fraction=share) for share in (0.25, 0.5, 1.0)]
    labels += [
        label(method="distill-step-by-step", teacher="ann", fraction=1.0),
        label(method="finetune", fraction=1.0),
    ]
    experiment(store, "train-size", labels, [10, 14, 20, 16, 12])
    [figure] = report(store).figures
    assert [line.name for line in figure.lines] == ["tinyllm", "distill-step-by-step, ann"]
    assert [mark.text.split(": ")[1].split(",")[0] for mark in figure.lines[0].marks] == ["25.0 %", "35.0 %", "50.0 %"]
    assert [tick.text for tick in figure.x_ticks] == ["25 %", "50 %", "100 %"]
    assert figure.levels[0].name == "full fine-tuning, 30.0 %"
    heights = [mark.y for mark in figure.lines[0].marks]
    assert heights == sorted(heights, reverse=True), "more is higher up"
    page = html_page(report(store))
    assert re.search(r'<svg class="plot"[^>]*role="img" aria-label="Training set size: toy, tiny"', page)
    assert "tinyllm, 25 %: 25.0 %" in page


def test_alphas_stand_on_a_logarithmic_axis(store: Store) -> None:
    labels = [label(teacher=teacher, alpha=alpha) for teacher in ("<i>ann", "bob") for alpha in (0.01, 0.1, 1.0)]
    experiment(store, "alpha", labels, [10, 11, 12, 13, 14, 15])
    [figure] = report(store).figures
    first, second, third = (tick.at for tick in figure.x_ticks)
    assert second - first == pytest.approx(third - second, abs=0.2)
    assert "<i>ann" not in html_page(report(store))


def test_without_experiments_there_is_no_figure(store: Store) -> None:
    assert report(store).figures == ()


@given(
    series=st.lists(
        st.lists(
            st.tuples(st.floats(0.001, 100), shares, shares, shares), min_size=1, max_size=6, unique_by=lambda p: p[0]
        ),
        min_size=1, max_size=5,
    ),
    levels=st.lists(shares, max_size=2), logarithmic=st.booleans(),
)  # fmt: skip
def test_everything_lies_within_the_picture(
    series: list[list[tuple[float, float, float, float]]], levels: list[float], logarithmic: bool
) -> None:
    drawn = [
        Series(
            name=f"s{n}", points=tuple(Point(x=p[0], low=min(p[1:]), y=sorted(p[1:])[1], high=max(p[1:])) for p in own)
        )
        for n, own in enumerate(series)
    ]
    found = plot("t", "x", drawn, [("l", level) for level in levels], logarithmic=logarithmic)
    for line in found.lines:
        assert all(0 <= mark.x <= WIDTH and 0 <= mark.top <= mark.y <= mark.bottom <= HEIGHT for mark in line.marks)
    heights = sorted(line.label_y for line in (*found.lines, *found.levels))
    assert all(later - earlier >= 13.9 for earlier, later in itertools.pairwise(heights))
