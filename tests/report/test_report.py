"""The report: the same figures in the terminal, the page and the JSON, and untrusted text shown as text."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from backends.base import Completion, Failure, Sampling
from tests.conftest import Command, keep, make_questions, write_dataset
from tinyllm_cli.elicitation.prompts import recorded_prompt
from tinyllm_cli.records.elicitation import ElicitationConfig
from tinyllm_cli.records.evaluations import Prediction, Subject
from tinyllm_cli.records.runs import RunIdentity
from tinyllm_cli.records.settings import RunSettings
from tinyllm_cli.report.collect import Report, collect
from tinyllm_cli.report.html import html_page
from tinyllm_cli.report.terminal import accuracy_tables, report_tables
from tinyllm_cli.store import Store
from tinyllm_cli.store.evaluations import EvaluatedQuestions

HOSTILE = "<script>alert('x')</script> [bold red]loud[/bold red] & {{ 7919 * 104729 }} [/] 'quoted' \"too\""


class Page(HTMLParser):
    """The tags, the addresses and the visible text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def full(store: Store) -> Store:
    """A store with a data set, a hostile teacher, a run and two evaluations."""
    asked, tested = make_questions(8), make_questions(4, split="test")
    store.questions.replace("toy", "here", "1", [*asked, *tested])
    asking = ElicitationConfig(teacher="[red]evil", backend="recorded", model="<m>", revision="1", sampling=Sampling())
    store.rationales.add_asking(asking)
    for question in asked:
        prompt = recorded_prompt(question, teacher_forcing=True)
        reply = Completion(text=HOSTILE, finish_reason="stop", prompt_tokens=10, completion_tokens=5, cost=0.25)
        keep(store, asking, prompt, 0, reply)
    run = store.runs.start(
        RunIdentity(
            method="tinyllm",
            student="<b>student</b>",
            dataset="toy",
            alpha={"[red]evil": 0.5},
            seed=1,
            settings=RunSettings(),
            sources={},
            versions={"tinyllm": "0"},
        ),
        command="tinyllm distill",
    )
    store.runs.finish(run.id, "failed", {}, "OSError: <img src=x onerror=alert(1)>")
    for name, right in (("first", 3), ("second", 1)):
        subject = Subject(kind="model", name=name)
        evaluation = store.evaluations.open(
            subject, "rank", EvaluatedQuestions(dataset="toy", split="test", count=4, chance=0.25, majority=0.25)
        )
        answers = [
            Prediction(key=question.key, question=question.hash, option=0, correct=number < right)
            for number, question in enumerate(tested)
        ]
        store.evaluations.add_predictions(evaluation.id, answers)
        store.evaluations.complete(evaluation.id, 1.0)
    return store


@pytest.fixture
def report(full: Store) -> Report:
    return collect(full, samples=3)


def test_the_page_shows_hostile_text_as_text(report: Report) -> None:
    page = Page(html_page(report))
    assert HOSTILE in page.text
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert "829348951" not in page.text  # a number that no clock shows


def test_the_page_needs_nothing_from_outside(report: Report) -> None:
    text = html_page(report)
    assert all(address.startswith("#") for address in Page(text).addresses), "links lead to its own sections"
    assert "http" not in text.replace("http-equiv", "")


def test_the_terminal_shows_hostile_text_as_text(report: Report) -> None:
    console = Console(width=200, record=True, force_terminal=False)
    with console.capture() as capture:
        for table in report_tables(report):
            console.print(table)
    assert "[red]evil" in capture.get()


def test_figures_are_the_same_everywhere(report: Report) -> None:
    page = Page(html_page(report)).text
    console = Console(width=200)
    with console.capture() as capture:
        for table in (*report_tables(report), *accuracy_tables(report.results)):
            console.print(table)
    first = report.results[0]
    assert (first.accuracy, first.correct, first.n) == (0.75, 3, 4)
    for text in (page, capture.get()):
        assert "75.0 %" in text
        assert "30.1 to 95.4 %" in text
    found = json.loads(json.dumps(report.as_json()))
    assert found["results"][0]["accuracy"] == 0.75
    assert found["teachers"][0]["cost"] == pytest.approx(2.0)


def test_an_unknown_cost_is_not_zero(store: Store) -> None:
    asked = make_questions(1)
    store.questions.replace("toy", "here", "1", asked)
    asking = ElicitationConfig(teacher="free", backend="recorded", model="m", revision="1", sampling=Sampling())
    store.rationales.add_asking(asking)
    reply = Completion(text="So.", finish_reason="recorded")
    keep(store, asking, recorded_prompt(asked[0], teacher_forcing=True), 0, reply)
    assert collect(store, samples=1).teachers[0].cost is None
    assert "unknown" in Page(html_page(collect(store, samples=1))).text


def test_a_cost_of_which_a_part_is_unknown_says_so(store: Store) -> None:
    asked = make_questions(2)
    store.questions.replace("toy", "here", "1", asked)
    asking = ElicitationConfig(teacher="dear", backend="scripted", model="m", revision="1", sampling=Sampling())
    store.rationales.add_asking(asking)
    for question, cost in zip(asked, (0.5, None), strict=True):
        reply = Completion(text="So.", finish_reason="stop", cost=cost)
        keep(store, asking, recorded_prompt(question, teacher_forcing=True), 0, reply)
    found = collect(store, samples=0)
    assert (found.teachers[0].cost, found.teachers[0].partly) == (0.5, True)
    assert "at least 0.5000" in Page(html_page(found)).text


def test_what_was_asked_for_one_split_costs_nothing_in_another(store: Store) -> None:
    """A question that stands in two splits; every call of the elicitation counts, and only where it was asked."""
    [asked] = make_questions(1)
    store.questions.replace("toy", "here", "1", [asked, replace(asked, split="test")])
    asking = ElicitationConfig(teacher="dear", backend="scripted", model="m", revision="1", sampling=Sampling())
    store.rationales.add_asking(asking)
    prompt = recorded_prompt(asked, teacher_forcing=True)
    keep(store, asking, prompt, 0, Completion(text="So.", finish_reason="stop", cost=0.5))
    store.execute(
        "INSERT INTO elicitations (teacher, sampling, dataset, split, recipe, state, replies, calls, cost, started)"
        " VALUES ('dear', ?, 'toy', 'train', ?, 'done', 1, 2, 0.75, '2026')",
        (asking.hash, prompt.recipe.name),
    )
    assert [(one.split, one.cost) for one in collect(store, samples=0).teachers] == [("train", 0.75), ("test", None)]


def test_a_failure_that_an_edited_recording_repaired_is_not_listed(store: Store) -> None:
    [asked] = make_questions(1)
    store.questions.replace("toy", "here", "1", [asked])
    asking = ElicitationConfig(teacher="notes", backend="recorded", model="m", revision="", sampling=Sampling())
    store.rationales.add_asking(asking)
    keep(store, asking, recorded_prompt(asked, "empty", teacher_forcing=True), 0, Failure(reason="it is empty"))
    assert len(store.lookup.refusals(asked.hash)) == 1
    for edition in ("first", "second"):
        reply = Completion(text=edition, finish_reason="recorded")
        keep(store, asking, recorded_prompt(asked, edition, teacher_forcing=True), 0, reply)
    assert store.lookup.refusals(asked.hash) == []
    [teacher] = collect(store, samples=0).teachers
    assert (teacher.rationales, teacher.failures) == (1, 0)


def test_what_reorders_a_line_does_not_reach_the_page(store: Store) -> None:
    store.questions.replace("toy\u202e", "here\u2066", "1", make_questions(1, dataset="toy\u202e"))
    shown = html_page(collect(store, samples=1))
    assert not {"\u202e", "\u2066"} & set(shown)
    assert "toy\N{REPLACEMENT CHARACTER}" in shown


def test_a_question_in_two_places_is_paid_once(store: Store) -> None:
    [asked] = make_questions(1)
    store.questions.replace("toy", "here", "1", [asked, replace(asked, key="again")])
    asking = ElicitationConfig(teacher="dear", backend="scripted", model="m", revision="1", sampling=Sampling())
    store.rationales.add_asking(asking)
    reply = Completion(text="So.", finish_reason="stop", completion_tokens=7, cost=0.5)
    keep(store, asking, recorded_prompt(asked, teacher_forcing=True), 0, reply)
    failure = Failure(reason="timeout")
    keep(store, asking, recorded_prompt(asked, teacher_forcing=True), 1, failure)
    [teacher] = collect(store, samples=0).teachers
    assert (teacher.rationales, teacher.completion_tokens, teacher.cost, teacher.failures) == (1, 7, 0.5, 1)


def test_an_empty_database_still_makes_a_page(store: Store) -> None:
    assert "Not evaluated yet" in Page(html_page(collect(store, samples=5))).text


def test_the_command_writes_the_page_and_names_it(tinyllm: Command, scripted: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=4, test=2)
    assert tinyllm("elicit", "--teacher", "parrot", "--dataset", "toy").returncode == 0
    done = tinyllm("report", "--html", "out.html")
    assert done.returncode == 0
    assert "out.html" in done.stderr
    assert "parrot" in done.stdout
    assert "which of these is number" in (tmp_path / "out.html").read_text(encoding="utf-8").casefold()


def test_a_page_that_cannot_be_written_says_so(tinyllm: Command, scripted: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=2)
    assert tinyllm("elicit", "--teacher", "parrot", "--dataset", "toy").returncode == 0
    done = tinyllm("report", "--html", "no/such/folder/out.html")
    assert done.returncode == 1
    assert "no/such/folder" in done.stderr
    assert "Traceback" not in done.stderr
