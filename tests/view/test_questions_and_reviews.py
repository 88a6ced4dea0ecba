"""What `view` shows and does, by the API: searching questions, the order of reviews, and verdicts with their time."""

from __future__ import annotations

import html
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import Command
from tests.view.app import IMAGE, fill
from tinyllm_cli import api
from tinyllm_cli.api import Project
from tinyllm_cli.audit.question_search import QuestionSearch
from tinyllm_cli.errors import UsageProblem, suggesting
from tinyllm_cli.view import render
from tinyllm_cli.view.page import Html, PageRequest
from tinyllm_cli.view.pages import PAGES


def test_pages_suggest_commands_for_the_database_that_was_given(tmp_path: Path) -> None:
    with api.open_store(tmp_path / "one.db") as empty, suggesting([("--db", "my db/one.db")]):
        for path in ("/", "/questions", "/runs", "/report"):
            asked = PageRequest(path=path, args={}, writes=True)
            page = PAGES[path](empty, asked)
            assert isinstance(page, Html)
            text = html.unescape(render.html(page, asked, "one.db", ""))
            commands = [one.split("</code>")[0] for one in text.split("<code>tinyllm ")[1:]]
            assert any(one.endswith(" --db 'my db/one.db'") for one in commands), path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return api.open_store(fill(tmp_path))


def keys(found: QuestionSearch) -> list[str]:
    return [one.key for one in found.questions]


def facet(found: QuestionSearch, name: str) -> dict[str, int | None]:
    return {value.value: value.questions for one in found.facets if one.name == name for value in one.values}


def test_facets_count_what_each_choice_leaves(project: Project) -> None:
    found = api.search_questions(project, limit=5)
    assert (found.total, found.more, len(found.questions)) == (52, True, 5)
    assert facet(found, "split") == {"train": 12, "test": 40}
    assert facet(found, "teacher") == {"ann": 12, IMAGE: 12}
    assert facet(found, "verdict") == {"kept": 12, "repaired": 6, "rejected": 6}
    assert facet(found, "outcome") == {"right": 15, "wrong": 19, "mixed": 6, "not answered": 12}
    assert facet(found, "gate")["refusal"] == 6


def test_conditions_on_a_rationale_hold_for_the_same_one(project: Project) -> None:
    assert api.search_questions(project, teacher="ann", verdict="rejected").total == 0
    found = api.search_questions(project, teacher=IMAGE, verdict="rejected")
    assert keys(found) == [f"train-{number}" for number in range(0, 12, 2)]
    assert facet(found, "verdict") == {"kept": 6, "rejected": 6}
    assert facet(found, "teacher") == {IMAGE: 6}
    assert keys(api.search_questions(project, gate="run-on", teacher="ann", words="NUMBER 3")) == ["train-3"]


def test_outcomes_are_those_of_all_methods_or_of_one_run(project: Project) -> None:
    mixed = api.search_questions(project, outcome="mixed", limit=100)
    assert [f"test-{number}" for number in (0, 1, 2, 3, 4, 20)] == keys(mixed)
    assert all(0 < one.right < one.answers == 4 for one in mixed.questions)
    assert api.search_questions(project, outcome="right", run=1).total == 20
    with pytest.raises(UsageProblem, match="no run 99"):
        api.search_questions(project, outcome="right", run=99)


def test_pages_and_neighbours_follow_the_order_of_the_search(project: Project) -> None:
    first = api.search_questions(project, split="train", limit=7, facets=False)
    rest = api.search_questions(project, split="train", limit=7, after=first.questions[-1], facets=False)
    assert keys(first) + keys(rest) == [f"train-{number}" for number in range(12)]
    assert (first.more, rest.more) == (True, False)
    around = api.question_neighbours(project, first.questions[2], verdict="rejected")
    assert (around.previous and around.previous.key, around.next and around.next.key) == ("train-0", "train-4")
    ends = api.question_neighbours(project, first.questions[0], verdict="rejected")
    assert (ends.previous, ends.next and ends.next.key) == (None, "train-2")


def test_a_human_verdict_replaces_that_of_the_gates_in_a_search(project: Project) -> None:
    rejected = api.search_questions(project, verdict="rejected", limit=1).questions[0]
    [item] = [one for one in api.review_queue(project, verdict="rejected").items if one.question.key == rejected.key]
    api.decide(project, item.rationale, "edit", words="It is the one with that number.", reviewer="eve")
    assert api.search_questions(project, verdict="rejected").total == 5
    found = api.search_questions(project, gate="human")
    assert keys(found) == [rejected.key]
    assert ("eve" in {person for _, _, person in found.questions[0].rationales}) is True
    assert api.search_questions(project, gate="refusal").total == 5


def test_two_reviewers_get_the_same_random_order(project: Project) -> None:
    ours = [one.rationale for one in api.review_queue(project, reviewer="ann", limit=100).items]
    api.decide(project, ours[3], "accept", reviewer="ann")
    theirs = [one.rationale for one in api.review_queue(project, reviewer="bob", limit=100).items]
    assert ours == theirs
    assert sorted(ours) != ours
    assert len(ours) == 24
    left = api.review_queue(project, reviewer="ann", limit=100)
    assert [one.rationale for one in left.items] == ours[:3] + ours[4:]
    assert (left.rationales, left.reviewed) == (24, 1)
    assert [one.rationale for one in api.review_queue(project, limit=2, after=ours[5]).items] == ours[6:8]
    again = api.review_queue(project, reviewer="ann", again=True, limit=100).items
    assert again[3].own is not None
    assert again[3].own.verdict == "accept"


def test_a_blind_reviewer_gets_neither_teacher_nor_verdict_nor_other_opinions(project: Project) -> None:
    first = api.review_queue(project, reviewer="ann").items[0]
    api.decide(project, first.rationale, "reject", words="no", reviewer="bob")
    seen = api.review_queue(project, reviewer="ann", limit=100)
    assert {one.teacher for one in seen.items} == {"ann", IMAGE}
    assert seen.items[0].others[0].reviewer == "bob"
    assert any(not kept for one in seen.items for _, kept in one.pieces)
    blind = api.review_queue(project, reviewer="ann", blind=True, limit=100)
    assert {(one.teacher, one.verdict, one.findings, one.others) for one in blind.items} == {(None, None, (), ())}
    assert all(kept for one in blind.items for _, kept in one.pieces)


def test_a_decision_of_an_hour_ago_is_kept_and_does_not_count(project: Project) -> None:
    rationale = api.review_queue(project).items[0].rationale
    now = datetime.now(UTC)
    earlier = (now - timedelta(hours=1)).isoformat(timespec="milliseconds")
    assert api.decide(project, rationale, "accept", reviewer="ann", entry="a").changed
    assert api.decide(project, rationale, "reject", words="no", reviewer="bob", at=earlier, entry="b").changed
    assert not api.decide(project, rationale, "reject", words="no", reviewer="bob", at=earlier, entry="b").changed
    history = project.store.human_verdicts.history(rationale)
    assert [(one.reviewer, one.verdict) for one in history] == [("bob", "reject"), ("ann", "accept")]
    assert project.store.human_verdicts.latest([rationale])[rationale].reviewer == "ann"


def test_a_decision_about_another_text_is_refused(project: Project) -> None:
    one, other = api.review_queue(project).items[:2]
    with pytest.raises(UsageProblem, match="another text"):
        api.decide(project, one.rationale, "accept", check=other.check)
    assert api.decide(project, one.rationale, "accept", check=one.check).changed


def test_runs_are_compared_by_settings_tests_and_questions(project: Project) -> None:
    found = api.compare_runs(project, [1, 2, 3])
    assert {one.name: one.values for one in found.settings}["method"] == ("tinyllm", "finetune", "tinyllm")
    assert [(one.first, one.second, one.only_first, one.only_second) for one in found.pairs] == [
        (1, 2, 5, 1), (1, 3, 0, 1), (2, 3, 0, 5)
    ]  # fmt: skip
    assert all(one.adjusted >= one.p for one in found.pairs)
    assert found.differing == len(found.questions) == 6
    assert {one.key: one.correct for one in found.questions}["test-20"] == (False, True, True)
    assert next(chart.title for chart in api.run_charts(project, [1, 2])) == "Accuracy on valid, in percent"
    assert api.compare_runs(project, [1, 3]).settings[-1].name == "seed"


def test_the_command_line_finds_and_compares(inside: Command, tmp_path: Path) -> None:
    fill(tmp_path)
    done = inside("find", "number", "--verdict", "rejected", "--limit", "2")
    assert done.returncode == 0, done.stderr
    assert "2 of 6 questions." in done.stdout
    assert "gate: refusal 6" in done.stdout
    assert "Next: tinyllm inspect train-0 --dataset toy --split train" in done.stderr
    assert json.loads(inside("find", "--outcome", "mixed", "--json").stdout)["total"] == 6
    done = inside("compare", "1", "2")
    assert done.returncode == 0, done.stderr
    assert "Settings that differ" in done.stdout
    assert "6 questions with different outcomes" in done.stdout
    assert json.loads(inside("compare", "1", "2", "--json").stdout)["differing"] == 6
