"""The report's section on rationale quality: the audit's figures, and untrusted text as text."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from backends.base import Completion, Sampling
from tests.conftest import keep, make_questions
from tests.report.test_report import HOSTILE, Page
from tinyllm_cli.elicitation.prompts import build_prompt, recorded_prompt
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.records.elicitation import ElicitationConfig, Recipe
from tinyllm_cli.report import audit_section as audit_module
from tinyllm_cli.report.audit_section import AuditSection, audit_section, audit_sheets, copies_sheet
from tinyllm_cli.report.collect import collect
from tinyllm_cli.report.html import environment, html_page
from tinyllm_cli.store import Store
from tinyllm_cli.store.verdicts import StoredVerdict


@pytest.fixture
def section(store: Store) -> AuditSection:
    train = make_questions(12)
    store.questions.replace("toy", "here", "1", [*train, replace(train[0], split="test", key="<b>copy</b>")])
    for name in ("<i>evil</i>", "good"):
        asking = ElicitationConfig(teacher=name, backend="openai", model="m", revision="1", sampling=Sampling())
        store.rationales.add_asking(asking)
        for forced in (True, False):
            for number, question in enumerate(train):
                text = HOSTILE if forced else f"Answer: ({'abcd'[number % 4]})"
                prompt = build_prompt(question, Recipe(icl=0, teacher_forcing=forced), [])
                keep(store, asking, prompt, 0, Completion(text=text, finish_reason="stop", cost=0.5))
    gates = GateSettings()
    store.verdicts.add_gates(gates.hash, asdict(gates))
    left, why = HOSTILE.removesuffix(' "too"'), [("run-on", "<u>why</u>", True)]
    judged = StoredVerdict(rationale=1, verdict="repaired", text=left, findings=why)
    store.verdicts.add(gates.hash, [judged])
    return audit_section(store, gates)


def page(section: AuditSection) -> Page:
    sheets = [copies_sheet(section), *(one for survey in section.surveys for one in audit_sheets(survey, "EUR"))]
    return Page(environment().get_template("_audit.html.j2").render(audit=section, quality=sheets))


def test_the_section_shows_the_figures_and_hostile_text_as_text(section: AuditSection) -> None:
    shown = page(section)
    assert not {"script", "b", "i", "u", "img"} & set(shown.tags)
    for text in (
        "<i>evil</i>",
        "<b>copy</b>",
        "<u>why</u>",
        "<script>alert('x')</script>",
        "12 of 12",
        "6.0000",
        "cost, EUR",
    ):
        assert text in shown.text, text
    assert "1 test question of toy is also in train" in shown.text
    assert "are nearly the same" in shown.text
    assert "del" in shown.tags
    assert "1.00 to 1.00" in shown.text, "they agree on every answer"


def test_the_example_is_the_one_that_a_gate_found(section: AuditSection) -> None:
    [example] = [one for one in section.examples if one.gate == "run-on"]
    assert (example.gate, example.key, example.reply_view.reply.teacher) == ("run-on", "train-0", "<i>evil</i>")
    assert example.reply_view.pieces == ((HOSTILE.removesuffix(' "too"'), True), (' "too"', False))


def test_an_example_is_of_texts_that_are_learned_now(store: Store) -> None:
    """An edited row of a recording replaces its old text, which stays in the store."""
    train = make_questions(2)
    store.questions.replace("toy", "here", "1", train)
    asking = ElicitationConfig(teacher="expert", backend="recorded", model="m", revision="1", sampling=Sampling())
    store.rationales.add_asking(asking)
    fine = "It follows from what the thing is made of."
    for text in (f"Let's think step by step. {fine}", fine):
        prompt = recorded_prompt(train[0], teacher_forcing=True, content_hash=text)
        keep(store, asking, prompt, 0, Completion(text=text, finish_reason="stop"))
        assert {one.gate for one in audit_section(store, GateSettings()).examples} == (
            {"boilerplate"} if text != fine else set()
        )


def test_without_rationales_there_is_no_section(store: Store) -> None:
    store.questions.replace("toy", "here", "1", make_questions(3))
    found = audit_section(store)
    assert (found.surveys, found.findings, found.examples) == ((), (), ())
    assert 'id="audit"' not in html_page(collect(store, samples=0), found)


def test_copies_are_reported_for_data_sets_without_rationales_too(store: Store) -> None:
    train = make_questions(3)
    store.questions.replace("toy", "here", "1", [*train, replace(train[0], split="test", key="again")])
    [(name, shared)] = audit_section(store).copies
    assert (name, shared.first, shared.second, shared.same) == ("toy", "train", "test", 1)


def test_of_a_large_split_a_sample_is_read_and_the_page_says_so(
    section: AuditSection, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the size of a data set, a report judges no more than so many rationales of a teacher."""
    gates = GateSettings(off=("echo",))
    monkeypatch.setattr(audit_module, "SAMPLE", 5)
    found = audit_section(store, gates)
    whole = {one.teacher: one for one in section.surveys[0].teachers if one.split == "train"}
    read = [one for one in found.surveys[0].teachers if one.split == "train"]
    assert [(one.questions, one.covered) for one in read] == [
        (whole[one.teacher].questions, whole[one.teacher].covered) for one in read
    ]
    assert all(one.texts <= 5 and one.judged_questions == 5 for one in read)
    judged = store.one("SELECT count(*) AS n FROM verdicts WHERE gates = ?", (gates.hash,))
    assert judged == {"n": sum(one.texts for one in found.surveys[0].teachers)}
    assert "train questions, drawn at random" in page(found).text
    assert "drawn at random" not in page(section).text
    assert [shared.same for _, shared in found.copies] == [1], (
        "copies are found among all questions of a small data set"
    )


def test_copies_of_a_very_large_data_set_are_looked_for_in_a_sample(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = make_questions(9)
    store.questions.replace("toy", "here", "1", [*train, *(replace(one, split="test") for one in train[:2])])
    monkeypatch.setattr(audit_module, "COMPARED", 3)
    found = audit_section(store)
    assert found.compared == {"toy": {"train": 3}}
    assert audit_section(store).copies == found.copies
