"""The finding that opens every report: what was compared, the difference with its interval, and how certain it is."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Command
from tests.report.test_arms import data, evaluated, first, report
from tests.report.test_report import Page
from tinyllm_cli.report.html import html_page
from tinyllm_cli.store import Store


def test_without_evaluations_nothing_is_compared_and_the_next_command_is_named(store: Store) -> None:
    found = report(store).finding
    assert found.statements == ("Nothing has been compared yet: there is no evaluation.",)
    assert (found.compared, found.next_command, found.overview) == (False, "tinyllm eval", ())


def test_one_method_is_measured_against_chance(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(20))
    found = report(store).finding
    assert not found.compared
    assert found.headline == (
        "On toy, tiny (TinyLLM) answers 50.0 % of 40 test questions right (95 % interval 35.2 to 64.8); chance is"
        " 25.0 %."
    )
    assert found.statements[1] == (
        "tiny on toy (40 test questions, scored by rank): TinyLLM 50.0 % (35.2 to 64.8); chance 25.0 %."
    )
    assert [(row.method, row.accuracy, row.chance) for row in found.overview] == [("TinyLLM", 0.5, 0.25)]


def test_a_comparison_tells_the_difference_its_interval_and_p_after_holm(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(30))
    evaluated(store, "toy", first(10), method="finetune")
    evaluated(store, "toy", first(28), method="distill-step-by-step")
    found = report(store)
    [tested] = [one for one in found.paper.comparisons if one.against == "Full fine-tuning"]
    assert tested.adjusted > tested.p
    statement, one_teacher, in_all = found.finding.statements
    assert found.finding.headline == (
        f"On toy, TinyLLM is 50.0 points more accurate than Full fine-tuning (95 % interval {100 * tested.low:+.1f} to"
        f" {100 * tested.high:+.1f}): a significant difference on 40 test questions, p < 0.001 after Holm."
    )
    assert one_teacher.startswith("TinyLLM against Distill-step-by-step, student tiny, on toy"), "and one teacher"
    assert statement == (
        "TinyLLM against Full fine-tuning, student tiny, on toy (40 test questions, 1 seed, scored by rank): 75.0 %"
        f" against 25.0 %, +50.0 points (95 % interval {100 * tested.low:+.1f} to {100 * tested.high:+.1f}),"
        " p < 0.001 after Holm, significant. Not distinguishable from chance: Full fine-tuning on toy."
    )
    assert in_all == "Of 2 comparisons in this report, 1 are significant at 5 % after Holm's correction."


def test_no_difference_is_said_with_what_could_have_been_seen(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(20))
    evaluated(store, "toy", set(range(5, 24)), method="finetune")
    statement = report(store).finding.statements[0]
    assert "p = 1.000 after Holm, not significant." in statement
    assert "The minimum detectable difference is " in statement


def test_several_data_sets_are_reported_together_and_apart(store: Store) -> None:
    for name in ("one", "two"):
        data(store, name, 40)
        evaluated(store, name, first(30))
        evaluated(store, name, first(20), method="finetune")
    statement = report(store).finding.statements[0]
    assert "on one + two (80 test questions, 1 seed, scored by rank): +25.0 points" in statement
    assert "On one: 75.0 % against 50.0 %, +25.0 points" in statement
    assert "On two: 75.0 % against 50.0 %, +25.0 points" in statement


@pytest.mark.parametrize("form", ["page", "terminal", "json"])
def test_every_form_opens_with_it(inside: Command, store: Store, form: str) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(30))
    evaluated(store, "toy", first(10), method="finetune")
    found = report(store).finding
    if form == "page":
        page = Page(html_page(report(store))).text
        assert page.index(found.headline) < page.index(found.statements[0]) < page.index("Accuracy on test by method")
        assert page.index("Accuracy on toy, 40 test questions") < page.index("Accuracy on test by method")
    elif form == "terminal":
        shown = inside("report").stdout
        assert " ".join(shown.split()).startswith(f"Finding {found.headline} {found.statements[0]}")
        assert "Accuracy on toy in percent" in shown
    else:
        written = json.loads(inside("report", "--json").stdout)
        assert next(iter(written)) == "finding"
        assert written["finding"]["statements"] == list(found.statements)
        assert [row["method"] for row in written["finding"]["overview"]] == ["Full fine-tuning", "TinyLLM"]


@pytest.mark.parametrize("valid", [0.5, None])
def test_one_teacher_is_every_single_teacher_that_valid_does_not_decide_between(
    store: Store, valid: float | None
) -> None:
    """Neither the first nor the best on test represents the others silently."""
    data(store, "toy", 40)
    evaluated(store, "toy", first(30), valid=valid)
    for teacher, right in (("ann", 10), ("bob", 20)):
        evaluated(store, "toy", first(right), method="distill-step-by-step", alpha={teacher: 1.0}, valid=valid)
    found = report(store)
    why = "tie on valid" if valid else "have no valid accuracy to choose by"
    tie = f"mean of 2 settings that {why} (ann=1 25.0; bob=1 50.0)."
    [statement] = [one for one in found.finding.statements if "against Distill-step-by-step" in one]
    assert tie in statement
    assert "75.0 % against 37.5 %, +37.5 points" in statement
    drawn = html_page(found)
    assert "hollow: settings that valid does not decide between" in drawn
    assert "<title>ann=1: 25.0 % (" in drawn
    assert "<title>bob=1: 50.0 % (" in drawn
