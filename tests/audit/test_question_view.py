"""One question's dossier: found by what a user would type, complete, and harmless to a terminal."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.base import Completion, Failure, Sampling
from tests.conftest import Command, keep, make_questions
from tests.models import record_run
from tinyllm_cli.audit.question_view import pieces, question_view
from tinyllm_cli.datasets.question import Question
from tinyllm_cli.elicitation.prompts import build_prompt, recorded_prompt
from tinyllm_cli.rationales.gates import GateSettings
from tinyllm_cli.records.elicitation import ElicitationConfig, Recipe
from tinyllm_cli.records.evaluations import Prediction, Subject
from tinyllm_cli.store import Store, question_lookup
from tinyllm_cli.store.evaluations import EvaluatedQuestions
from tinyllm_cli.store.verdicts import StoredVerdict

LIGHT = "It follows from light, which every plant needs."
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b1m\u202e\u2066\r[bold]loud[/bold] fine"


@pytest.fixture
def asked(store: Store) -> list[Question]:
    """Four questions of a data set, of which one is in test too, and one with hostile words."""
    train = make_questions(4)
    odd = Question(
        dataset="toy", split="test", key="odd", text='100%_sure "quoted" \\ [red]Snake[/red]',
        options=("yes\x1b[2J", "no"), answer=1, context="A long story.",
    )  # fmt: skip
    store.questions.replace("toy", "here", "1", [*train, replace(train[1], split="test", key="again"), odd])
    store.questions.replace("other", "here", "1", [replace(train[2], dataset="other", key="elsewhere")])
    return [*train, odd]


def say(store: Store, question: Question, text: str | None, teacher: str = "t5", *, sample: int = 0) -> int:
    asking = ElicitationConfig(
        teacher=teacher, backend="openai", model="big-1", revision="1", sampling=Sampling(temperature=0.7)
    )
    store.rationales.add_asking(asking)
    prompt = build_prompt(question, Recipe(icl=0), [])
    reply = Completion(
        text=text or "", finish_reason="length", prompt_tokens=11, completion_tokens=7, cost=0.00025,
        reasoning="Hm\x1b[2J."
    )  # fmt: skip
    keep(store, asking, prompt, sample, Failure(reason="HTTP 500\x1b[2J", attempts=3) if text is None else reply)
    row = store.one("SELECT max(id) AS id FROM rationales")
    return int(row["id"] or 0) if row else 0


def judged(
    store: Store,
    rationale: int,
    verdict: str,
    text: str | None,
    *findings: tuple[str, str],
    gates: str = GateSettings().hash,
) -> None:
    store.verdicts.add_gates(gates, {})
    found = [(gate, reason, True) for gate, reason in findings]
    store.verdicts.add(gates, [StoredVerdict(rationale=rationale, verdict=verdict, text=text, findings=found)])


def keys(store: Store, wanted: str, dataset: str | None = None, split: str | None = None) -> list[str]:
    return [f"{place.dataset}/{place.split} {place.key}" for place in store.lookup.places(wanted, dataset, split)]


def test_a_question_is_found_by_id_hash_or_words(store: Store, asked: list[Question]) -> None:
    assert keys(store, "train-1") == ["toy/train train-1"]
    assert keys(store, asked[1].hash[:8]) == ["toy/train train-1", "toy/test again"]
    assert keys(store, asked[2].hash[:8].upper(), dataset="other") == ["other/train elsewhere"]
    assert keys(store, "NUMBER 3") == ["toy/train train-3"]
    assert keys(store, "thing c", split="train")[0] == "other/train elsewhere"
    assert keys(store, "train-1", split="test") == []
    assert keys(store, "there is no such thing") == []
    assert keys(store, "   ") == []


@pytest.mark.parametrize("words", ["100%", "%_s", '"quoted"', "\\ snake", "[red]"])
def test_words_are_taken_literally(store: Store, asked: list[Question], words: str) -> None:
    assert keys(store, words) == ["toy/test odd"]


def test_words_are_found_in_any_case_and_script(store: Store, asked: list[Question]) -> None:
    own = replace(asked[0], key="ru", text="Змея живёт где?", options=("École", "Straße"))
    store.questions.replace("third", "here", "1", [own])
    for words in ("змея", "ЖИВЁТ", "école STRASSE"):
        assert keys(store, words) == ["third/train ru"]


def test_an_id_comes_before_a_hash_and_both_before_words(store: Store, asked: list[Question]) -> None:
    other = replace(asked[0], key=asked[1].hash[:8], text="What is this?")
    store.questions.replace("third", "here", "1", [other])
    assert keys(store, asked[1].hash[:8]) == [f"third/train {other.key}"]


def test_a_dossier_holds_all_that_hangs_on_the_content(store: Store, asked: list[Question], tmp_path: Path) -> None:
    rationale = say(store, asked[1], "It is plain. Answer: (b)")
    say(store, asked[1], None, sample=1)
    judged(store, rationale, "repaired", "It is plain.", ("run-on", "a next question"))
    store.execute("INSERT INTO usefulness VALUES (?, 'h', 'tiny', '1', 0.25, 0, '2026')", (rationale,))
    run = record_run(store, tmp_path)
    for split, key in (("train", "train-1"), ("test", "again")):
        subject = Subject(kind="run", name=f"run {run.id}", run=run.id)
        evaluation = store.evaluations.open(
            subject, "rank", EvaluatedQuestions(dataset="toy", split=split, count=2, chance=0.25, majority=0.25)
        )
        store.evaluations.add_predictions(
            evaluation.id,
            [Prediction(key=key, question=asked[1].hash, option=1, correct=True),
             Prediction(key="else", question=asked[2].hash, option=0, correct=False)],
        )  # fmt: skip
    [place] = store.lookup.places("train-1", None, None)
    whole = question_view(store, place, GateSettings())
    assert [(one.split, one.key) for one in whole.places] == [("train", "train-1"), ("test", "again")]
    [reply_view] = whole.reply_views
    assert (reply_view.stated, reply_view.verdict, reply_view.findings) == (
        1,
        "repaired",
        (("run-on", "a next question"),),
    )
    assert reply_view.pieces == (("It is plain.", True), (" Answer: (b)", False))
    assert reply_view.reply.gains == (question_lookup.GainRow(model="tiny 1", gain=0.25, text_hash="h"),)
    assert reply_view.uses == ((0.25, "tiny 1", "another text of it"),)
    assert reply_view.reply.messages[0].content.startswith("Explain in one")
    assert [(one.who, one.method, one.split, one.correct) for one in whole.predictions] == [
        (f"run {run.id}", "tinyllm", "train", True), (f"run {run.id}", "tinyllm", "test", True),
    ]  # fmt: skip
    assert [(one.sample, one.attempts) for one in whole.refusals] == [(1, 3)]


def test_what_is_rejected_is_cut_whole(store: Store, asked: list[Question]) -> None:
    rationale = say(store, asked[0], "Nonsense.")
    judged(store, rationale, "rejected", None)
    judged(store, rationale, "kept", None, gates="other settings, later")
    [reply_view] = question_view(store, store.lookup.places("train-0", None, None)[0], GateSettings()).reply_views
    assert reply_view.pieces == (("Nonsense.", False),)


def test_what_was_never_judged_is_judged_for_the_reader(store: Store, asked: list[Question]) -> None:
    say(store, asked[0], f"{LIGHT}\nQuestion: What is next?")
    [reply_view] = question_view(store, store.lookup.places("train-0", None, None)[0], GateSettings()).reply_views
    assert reply_view.verdict == "repaired"
    assert reply_view.pieces == ((LIGHT, True), ("\nQuestion: What is next?", False))
    assert list(store.rows("SELECT * FROM gates")) == [], "reading stores nothing"


def test_what_is_cut_from_the_middle_is_marked_by_words() -> None:
    found = list(pieces("Light is good. Light is good. Rain too.", "Light is good. Rain too."))
    assert "".join(text for text, kept in found if not kept).split() == ["Light", "is", "good."]


@pytest.mark.parametrize("left", ["Light is good. Rain too.", "Light is good."])
def test_what_a_model_thought_aloud_is_not_what_is_learned(left: str) -> None:
    said = "\nLight is good. Light is bad. Rain too."
    thought = f"<think>Rain? {left} No.</think>"
    found = list(pieces(thought + said, left))
    assert "".join(text for text, _ in found) == thought + said
    assert found[0] == (thought, False) or found[0] == (thought + "\n", False)
    assert " ".join("".join(text for text, kept in found if kept).split()) == left


@given(raw=st.text("ab. \n", max_size=40), data=st.data())
def test_pieces_make_up_the_raw_text_and_hold_what_is_left(raw: str, data: st.DataObject) -> None:
    keep_it = data.draw(st.lists(st.booleans(), min_size=len(raw), max_size=len(raw)))
    left = "".join(letter for letter, kept in zip(raw, keep_it, strict=True) if kept)
    found = list(pieces(raw, left))
    assert "".join(text for text, _ in found) == raw
    assert all(text for text, _ in found)
    if left in raw:
        assert left.split() == "".join(text for text, kept in found if kept).split() or not left.strip()


def test_nothing_untrusted_steers_the_terminal(inside: Command, store: Store, asked: list[Question]) -> None:
    say(store, asked[4], ESCAPES, teacher="evil\x1b[2J")
    say(store, asked[4], None, teacher="evil\x1b[2J", sample=1)
    done = inside("inspect", "odd", "--prompts")
    assert done.returncode == 0, done.stderr
    assert "[bold]loud[/bold] fine" in done.stdout
    assert "[red]Snake[/red]" in done.stdout
    machine = inside("inspect", "odd", "--json")
    steering = {
        c
        for c in done.stdout + done.stderr + machine.stdout + machine.stderr
        if (unicodedata.category(c) == "Cc" and c not in "\n\t") or c in "\u202e\u2066"
    }
    assert not steering
    assert json.loads(machine.stdout)["reply_views"][0]["reply"]["text"] == ESCAPES, "and nothing is lost"


def test_the_command_shows_the_exchange(inside: Command, store: Store, asked: list[Question]) -> None:
    say(store, asked[1], "It is plain. Answer: (b)")
    done = inside("inspect", "train-1")
    for said in ("(b) thing 1 b  <- right", "toy/test again", "11 tokens in, 7 out", "cost 0.000250", "big-1",
                 "temperature 0.7", "cut off at its limit", "states (b) thing 1 b, right", "It is plain."):  # fmt: skip
        assert said in done.stdout, said
    assert "Explain in one to three sentences" not in done.stdout
    assert "Explain in one to three sentences" in inside("inspect", "train-1", "--prompts").stdout


def test_the_gates_go_by_the_students_limit(inside: Command, store: Store, asked: list[Question]) -> None:
    say(store, asked[0], "It floats because wood is light. " + "Its pores are full of air. " * 20)
    shown = ("inspect", asked[0].key, "--max-target", "12")
    assert "too-long" in inside(*shown).stdout
    assert "too-long" not in inside(*shown[:2]).stdout


def test_a_recorded_rationale_has_no_prompt_and_its_answer_may_be_anything(
    inside: Command, store: Store, asked: list[Question]
) -> None:
    asking = ElicitationConfig(teacher="expert", backend="recorded", model="recorded", revision="", sampling=Sampling())
    store.rationales.add_asking(asking)
    reply = Completion(text="So.", finish_reason="recorded", answer=9)
    keep(store, asking, recorded_prompt(asked[1], teacher_forcing=False), 0, reply)
    done = inside("inspect", "train-1", "--prompts")
    assert "option 9, which does not exist" in done.stdout
    assert "it lay in a file" in done.stdout


def test_several_questions_are_listed_to_choose_from(inside: Command, store: Store, asked: list[Question]) -> None:
    done = inside("inspect", "which", "number")
    assert done.returncode == 0
    assert "questions fit" in done.stdout
    assert asked[3].hash[:8] in done.stdout
    found = json.loads(inside("inspect", "which", "number", "--json", "--quiet").stdout)
    assert len(found["candidates"]) == 6


def test_json_is_the_whole_dossier(inside: Command, store: Store, asked: list[Question]) -> None:
    say(store, asked[1], "It is plain. Answer: (b)")
    found = json.loads(inside("inspect", asked[1].hash[:10], "--json", "--quiet").stdout)
    assert found["question"]["hash"] == asked[1].hash
    assert [place["split"] for place in found["places"]] == ["train", "test"]
    assert found["reply_views"][0]["reply"]["text"] == "It is plain. Answer: (b)"


def test_what_is_not_there_says_where_it_is(inside: Command, store: Store, asked: list[Question]) -> None:
    done = inside("inspect", "train-1", "--split", "valid")
    assert (done.returncode, "It is in: toy/train." in done.stderr) == (2, True)
    assert inside("inspect", "no such words").returncode == 2
