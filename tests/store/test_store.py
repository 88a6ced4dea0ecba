"""The store: rows come back as they were written, and each rationale is stored once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backends.base import Completion, Failure, Message, Sampling
from tests.conftest import keep, make_questions
from tinyllm_cli.datasets.layout import NO_LAYOUT
from tinyllm_cli.datasets.parse import Where, parse_row
from tinyllm_cli.datasets.question import SPLITS, Question
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.records.elicitation import ElicitationConfig, Prompt, Recipe
from tinyllm_cli.store import Store, open_store

slow = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
ASKING = ElicitationConfig(teacher="parrot", backend="scripted", model="m", revision="1", sampling=Sampling())
TABLES = ("prompts", "rationales", "failures", "samplings")


@st.composite
def distinct_questions(draw: st.DrawFn) -> list[Question]:
    options = st.lists(st.text(min_size=1), min_size=2, max_size=5)
    found = []
    for number, split in enumerate(draw(st.lists(st.sampled_from(SPLITS), min_size=1, max_size=6))):
        chosen = tuple(draw(options))
        found.append(
            Question(
                dataset="any",
                split=split,
                key=f"{draw(st.text())}#{number}",
                text=draw(st.text(min_size=1)),
                options=chosen,
                answer=draw(st.integers(0, len(chosen) - 1)),
                context=draw(st.none() | st.text()),
            )
        )
    return found


def add(
    store: Store, *, asking: ElicitationConfig = ASKING, prompt: Prompt | None = None, sample: int = 0, text: str = "x"
) -> None:
    store.rationales.add_asking(asking)
    reply = Completion(text=text, finish_reason="stop")
    keep(store, asking, prompt or prompt_of(make_questions(1)[0]), sample, reply)


def prompt_of(question: Question, *, template: str = "v1", content: str = "explain") -> Prompt:
    messages = (Message(role="user", content=content),)
    return Prompt(question=question.hash, recipe=Recipe(template=template, icl=0), messages=messages)


def count(store: Store, table: str = "rationales") -> int:
    row = store.one(f"SELECT count(*) AS n FROM {table}")
    assert row is not None
    return int(row["n"])


@pytest.fixture
def asked(store: Store) -> Store:
    """A store with four questions and no rationales."""
    store.questions.replace("toy", "here", "1", make_questions(4))
    return store


@slow
@given(questions=distinct_questions())
def test_questions_come_back_as_they_went_in(store: Store, questions: list[Question]) -> None:
    counts = store.questions.replace("any", "here", "1", questions)
    assert store.questions.splits("any") == counts
    for split in SPLITS:
        wanted = [question for question in questions if question.split == split]
        assert list(store.questions.iterate("any", split)) == wanted
        assert [store.questions.at("any", split, place) for place in range(len(wanted))] == wanted


@slow
@given(
    question=distinct_questions().map(lambda found: replace(found[0], split="train")),
    text=st.text(),
    answer=st.none() | st.integers(0, 25),
    seconds=st.none() | st.floats(0, 1e6),
)
def test_replies_come_back_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, question: Question, text: str, answer: int | None, seconds: float | None
) -> None:
    reply = Completion(text=text, finish_reason="length", answer=answer, seconds=seconds, completion_tokens=3)
    path = tmp_path_factory.mktemp("store") / "tinyllm.db"
    with open_store(path) as store:
        store.questions.replace("any", "here", "1", [question])
        store.rationales.add_asking(ASKING)
        keep(store, ASKING, prompt_of(question, content=text), 0, reply)
    with open_store(path) as store:
        [variant] = store.rationales.variants("any")
        [kept] = store.rationales.of(list(store.questions.iterate("any", "train")), variant)
        row = store.one("SELECT seconds, cost, completion_tokens FROM rationales")
        prompt = store.one("SELECT messages FROM prompts")
    assert (kept.text, kept.answer, kept.finish_reason, kept.key) == (text, answer, "length", question.key)
    assert row == {"seconds": seconds, "cost": None, "completion_tokens": 3}
    assert prompt is not None
    assert json.loads(prompt["messages"]) == [["user", text]]


@slow
@given(first=distinct_questions(), second=distinct_questions())
def test_two_questions_have_one_hash_only_when_they_say_the_same(first: list[Question], second: list[Question]) -> None:
    for one, other in zip(first, second, strict=False):
        same = (one.text, one.options, one.answer, one.context) == (
            other.text,
            other.options,
            other.answer,
            other.context,
        )
        assert (one.hash == other.hash) == same


def test_a_reply_with_the_same_identity_is_kept_once(asked: Store) -> None:
    add(asked, text="first")
    add(asked, text="second")
    assert [row["text"] for row in asked.rows("SELECT text FROM rationales")] == ["first"]
    assert [count(asked, table) for table in TABLES] == [1, 1, 0, 1]


@pytest.mark.parametrize(
    "changed",
    [
        replace(ASKING, sampling=Sampling(temperature=0.7)),
        replace(ASKING, sampling=Sampling(top_p=0.9)),
        replace(ASKING, sampling=Sampling(max_tokens=8)),
        replace(ASKING, sampling=Sampling(stop=("\nQ:",))),
        replace(ASKING, sampling=Sampling(seed=1)),
        replace(ASKING, model="other"),
        replace(ASKING, revision="2"),
        replace(ASKING, backend="huggingface"),
        replace(ASKING, teacher="owl"),
    ],
    ids=["temperature", "top_p", "max_tokens", "stop", "seed", "model", "revision", "backend", "teacher"],
)
def test_another_configuration_makes_a_new_row_beside_the_old(asked: Store, changed: ElicitationConfig) -> None:
    question = make_questions(1)[0].hash
    add(asked)
    assert asked.rationales.answered(changed, [question]) == set()
    add(asked, asking=changed)
    assert count(asked) == 2
    assert len(asked.rationales.answered(changed, [question])) == 1
    assert len(asked.rationales.variants("toy")) == 2


def test_another_prompt_recipe_or_sample_makes_a_new_row(asked: Store) -> None:
    first, second, *_ = make_questions(2)
    for prompt in (
        prompt_of(first),
        prompt_of(first, content="why?"),
        prompt_of(first, template="v2"),
        prompt_of(second),
    ):
        for sample in (0, 1):
            add(asked, prompt=prompt, sample=sample)
    assert count(asked) == 8


def test_a_rationale_belongs_to_the_content_and_survives_a_new_import(asked: Store) -> None:
    add(asked)
    moved = [replace(question, key=f"new-{question.key}", split="valid") for question in make_questions(4)]
    asked.questions.replace("toy", "here", "2", moved)
    [variant] = asked.rationales.variants("toy")
    assert [kept.key for kept in asked.rationales.of(list(asked.questions.iterate("toy", "valid")), variant)] == [
        "new-train-0"
    ]


def test_a_failure_is_counted_up_and_success_removes_it(asked: Store) -> None:
    prompt = prompt_of(make_questions(1)[0])
    asked.rationales.add_asking(ASKING)
    for reason in ("timeout", "empty reply"):
        keep(asked, ASKING, prompt, 0, Failure(reason=reason, attempts=2))
    [failed] = asked.rows("SELECT question, reason, attempts FROM failures")
    assert failed == {"question": prompt.question, "reason": "empty reply", "attempts": 4}
    add(asked)
    assert count(asked, "failures") == 0


def test_a_repeated_id_names_the_row_and_leaves_the_old_content(asked: Store) -> None:
    twice = [*make_questions(3), replace(make_questions(9)[8], key="train-1")]
    with pytest.raises(UsageProblem, match="toy, split train, row 4: the id 'train-1' is there already"):
        asked.questions.replace("toy", "elsewhere", "2", twice)
    found = asked.questions.find("toy")
    assert found is not None
    assert (found.source, found.fingerprint) == ("here", "1")
    assert list(asked.questions.iterate("toy", "train")) == make_questions(4)


@pytest.mark.parametrize("field", ["id", "question", "context", "options"])
def test_half_a_character_is_reported_with_its_row_before_it_reaches_the_store(field: str) -> None:
    row = {"id": "1", "question": "Why?", "context": "c", "options": ["a", "b"], "answer": 0}
    half = ["a", "b\ud83d"] if field == "options" else "cut \ud83d"
    with pytest.raises(UsageProblem, match=rf"f\.jsonl, row 3, field '{field}': \\ud83d is half of a character"):
        parse_row({**row, field: half}, Where(file="f.jsonl", row=3), NO_LAYOUT, dataset="toy", split="train")


def test_two_splits_may_have_the_same_id(store: Store) -> None:
    both = [replace(make_questions(1)[0], split=split) for split in SPLITS]
    assert store.questions.replace("toy", "here", "1", both) == dict.fromkeys(SPLITS, 1)
    assert count(store, "questions") == 1


def test_an_import_that_breaks_half_way_changes_nothing(asked: Store) -> None:
    def broken() -> Iterator[Question]:
        yield from make_questions(1200, options=2)
        raise UsageProblem("row 1201 is wrong")

    with pytest.raises(UsageProblem, match="row 1201"):
        asked.questions.replace("toy", "here", "2", broken())
    assert list(asked.questions.iterate("toy", "train")) == make_questions(4)
    assert count(asked, "questions") == 4


def test_rationales_come_in_pages_and_both_this_and_another_process_may_write_meanwhile(store: Store) -> None:
    questions = make_questions(1234)
    store.questions.replace("toy", "here", "1", questions)
    explained = [0, 3, 499, 500, 501, 1233]
    for number in explained:
        for sample in (1, 0):
            add(store, prompt=prompt_of(questions[number]), sample=sample, text=f"{number}, {sample}")
    [variant] = store.rationales.variants("toy")
    texts = []
    with open_store(store.path) as other:
        for rationale in store.rationales.of([*store.questions.iterate("toy", "train"), *questions[:9]], variant):
            texts.append(rationale.text)
            for one in (other, store):  # an open query of `store` would hold an old state, from which it can't write
                one.execute("UPDATE datasets SET fingerprint = fingerprint || 'x'")
    assert texts == [f"{number}, {sample}" for number in explained for sample in (0, 1)]
    assert list(store.rationales.of(list(store.questions.iterate("nothing", "train")), variant)) == []


def test_a_split_is_read_in_pages_and_up_to_the_limit(store: Store) -> None:
    questions = make_questions(1234)
    store.questions.replace("toy", "here", "1", questions)
    assert list(store.questions.iterate("toy", "train")) == questions
    assert list(store.questions.iterate("toy", "train", 700)) == questions[:700]
    assert list(store.questions.iterate("toy", "train", 5000)) == questions


def test_a_lasting_commit_is_synced(store: Store) -> None:
    def failing() -> None:
        with store.lasting():
            assert store.one("PRAGMA synchronous") == {"synchronous": 2}
            raise OSError

    assert store.one("PRAGMA synchronous") == {"synchronous": 1}
    with pytest.raises(OSError):  # noqa: PT011
        failing()
    assert store.one("PRAGMA synchronous") == {"synchronous": 1}
