"""Reports of some data sets and runs, and what the page explains about its terms."""

from __future__ import annotations

import json
import re

import pytest

from tests.conftest import ROOT, Command, make_questions
from tests.report.test_arms import data, evaluated, first, report
from tests.report.test_report import HOSTILE
from tests.report.test_report_sections import trained
from tinyllm_cli.records.evaluations import Prediction, Subject
from tinyllm_cli.report.collect import collect
from tinyllm_cli.report.html import html_page
from tinyllm_cli.report.scope import Scope
from tinyllm_cli.report.terms import TERMS, anchor, with_terms
from tinyllm_cli.store import Store
from tinyllm_cli.store.evaluations import EvaluatedQuestions


@pytest.fixture
def two(store: Store) -> Store:
    for name in ("one", "two"):
        data(store, name, 40)
        evaluated(store, name, first(30))
        evaluated(store, name, first(20), method="finetune")
        evaluated(store, name, first(35), teacher="boss")
    return store


def test_a_report_of_one_data_set_has_nothing_of_another(two: Store) -> None:
    found = collect(two, samples=2, scope=Scope(datasets=("two",)))
    assert {one.dataset for one in found.results} == {"two"}
    assert [one.name for one in found.datasets] == ["two"]
    assert {one.dataset for one in found.paper.comparisons} == {"two"}
    page = html_page(found)
    assert "Only data set two." in page
    assert "Accuracy on one" not in page


def test_a_report_of_a_run_keeps_what_it_is_compared_with(inside: Command, two: Store) -> None:
    done = inside("report", "--run", "1", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["scope"] == {"datasets": ["one"], "runs": [1]}
    assert [one["subject"] for one in found["results"]] == ["run 1", "boss"]
    both = json.loads(inside("report", "--run", "1", "--run", "2", "--json").stdout)
    assert [one["against"] for one in both["paper"]["comparisons"]] == ["Full fine-tuning"]
    assert inside("report", "--run", "1").stdout.startswith("Only data set one and run 1.")


def test_case_studies_show_what_a_student_wrote(store: Store) -> None:
    data(store, "toy", 40)
    run = trained(store, "toy", first(20), seconds=1.0, best_step=3)
    asked = make_questions(40, dataset="toy", split="test")
    subject = Subject(kind="run", name="run 1", run=run.id, step=3)
    questions = EvaluatedQuestions(dataset="toy", split="test", count=40, chance=0.25, majority=0.25)
    opened = store.evaluations.open(subject, "explain", questions)
    store.evaluations.add_predictions(
        opened.id,
        [
            Prediction(key=q.key, question=q.hash, option=0, correct=n < 10, text=f"{HOSTILE} says {n}.")
            for n, q in enumerate(asked)
        ],
    )
    store.evaluations.complete(opened.id, 1.0)
    found = collect(store, samples=3)
    shown = [one for case in found.cases for one in case.explained]
    assert [one.right for one in shown] == [True, False], "one of each"
    assert shown[0].who == "TinyLLM, tiny (run 1)"
    page = html_page(found)
    assert "says" in page
    assert HOSTILE not in page
    assert collect(store, samples=0).cases == ()


def test_an_ablation_has_an_interval_and_p_beside_each_difference(store: Store) -> None:
    data(store, "toy", 40)
    evaluated(store, "toy", first(30), gates="g")
    evaluated(store, "toy", first(20))
    evaluated(store, "toy", first(10), gates="g", shuffled=True)
    page = html_page(report(store))
    table = page[page.index("Ablation: tiny") :]
    unders = re.findall(r'<span class="under">(-\d[^<]*)</span>', table[: table.index("</table>")])
    assert len(unders) == 2
    assert all(
        re.fullmatch(r"-\d+\.0 \(-\d+\.\d\s+to\s+-\d+\.\d\), Holm\s+p\s+(&lt; )?0\.\d+", one) for one in unders
    ), unders


def test_terms_are_those_of_the_glossary_and_have_a_place_in_the_page(store: Store) -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    for term, definition in TERMS.items():
        entry = re.search(rf"^### {re.escape(term)}\n\n(.*?)(?=\n\n|\Z)", glossary, re.MULTILINE | re.DOTALL)
        assert entry is not None, term
        assert " ".join(entry[1].split()).replace("`", "").startswith(definition), term
    page = html_page(report(store))
    assert {anchor(term) for term in TERMS} == set(re.findall(r'<dt id="([^"]+)"', page))
    assert set(re.findall(r'href="#(term-[^"]+)"', page)) <= {anchor(term) for term in TERMS}


def test_the_first_mention_of_a_term_links_and_the_text_stays_text() -> None:
    shown = with_terms("<b>gates</b> and gates: the Wilson interval, not investigates, p after Holm's correction.")
    assert shown.count("<a ") == 3
    assert shown.startswith('&lt;b&gt;<a class="term" href="#term-gate" title="A check of one rationale')
    assert "investigates" in shown
    assert ">Holm&#39;s correction</a>" in shown
