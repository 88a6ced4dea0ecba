"""The elicitation stage: what is asked, what is not asked again, and what becomes of failures."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.base import Answer, Completion, Failure, Request, Sampling, TeacherError
from backends.scripted import ScriptedTeacher
from tests.conftest import make_questions, ring
from tinyllm_cli.config import TeacherSpec
from tinyllm_cli.elicitation import requests
from tinyllm_cli.elicitation.counts import ElicitationCounts
from tinyllm_cli.elicitation.elicit import elicit
from tinyllm_cli.elicitation.prompts import build_prompt, draw_examples
from tinyllm_cli.elicitation.requests import Job, MissingRationales
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.records.elicitation import Recipe
from tinyllm_cli.store import Store, open_store

SPEC = TeacherSpec(name="owl", backend="scripted")
JOB = Job(dataset="toy", split="train", spec=SPEC, recipe=Recipe(), sampling=Sampling())
WARM = Sampling(temperature=0.7)


@dataclass
class Owl:
    """A teacher that works on `window` requests at a time, from the last to the first, and refuses `mute` keys."""

    window: int = 1
    mute: set[str] = field(default_factory=set)
    dies_after: int | None = None
    model: str = "owl-1"
    asked: list[tuple[str, int]] = field(default_factory=list)
    prompts: dict[str, str] = field(default_factory=dict)

    def identity(self) -> Mapping[str, str]:
        return {"model": self.model, "revision": "a"}

    def describe(self) -> Mapping[str, Any]:
        return {"window": self.window, "asked": len(self.asked)}

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[list[Answer]]:
        stream = iter(requests)
        while batch := list(islice(stream, self.window)):
            self.asked += [(request.key, request.sample) for request in batch]
            for request in reversed(batch):
                self.prompts[request.key] = request.messages[-1].content
                if request.key in self.mute:
                    yield [(request, Failure(reason="it would not say"))]
                else:
                    yield [(request, Completion(text=f"{request.key}/{request.sample}", finish_reason="stop"))]
                if self.dies_after is not None and len(self.asked) >= self.dies_after:
                    raise TeacherError("the key is bad")

    def close(self) -> None:
        """Nothing to free."""


def ask(store: Store, owl: Owl, job: Job = JOB) -> ElicitationCounts:
    return elicit(store, job, owl, lambda tally: None)


def count(store: Store, table: str = "rationales") -> int:
    row = store.one(f"SELECT count(*) AS n FROM {table}")
    assert row is not None
    return int(row["n"])


@pytest.fixture
def toy(store: Store) -> Store:
    questions = make_questions(12) + make_questions(5, split="test")
    store.questions.replace("toy", "here", "1", questions)
    return store


def test_the_first_run_asks_everything_in_order_and_the_second_nothing(toy: Store) -> None:
    owl = Owl()
    first = ask(toy, owl)
    assert owl.asked == [(f"train-{number}", 0) for number in range(12)]
    assert (first.wanted, first.already, first.done, first.failed) == (12, 0, 12, 0)
    again = ask(toy, second := Owl())
    assert second.asked == []
    assert (again.wanted, again.already, again.done) == (12, 12, 0)
    assert count(toy) == 12


def test_resuming_asks_only_what_is_missing(toy: Store) -> None:
    with pytest.raises(TeacherError, match="the key is bad"):
        ask(toy, Owl(dies_after=5))
    assert count(toy) == 5
    owl = Owl()
    tally = ask(toy, owl)
    assert owl.asked == [(f"train-{number}", 0) for number in range(5, 12)]
    assert (tally.already, tally.done) == (5, 7)


def test_each_reply_is_kept_before_it_counts(toy: Store) -> None:
    kept: list[tuple[int, int]] = []
    elicit(toy, JOB, Owl(window=4), lambda tally: kept.append((tally.done, count(toy))))
    assert kept == [(number, number) for number in range(1, 13)]


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_any_history_of_interrupted_runs_ends_with_one_row_each(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    samples = data.draw(st.integers(1, 3))
    job = replace(JOB, samples=samples, sampling=WARM)
    rows = []
    with open_store(tmp_path_factory.mktemp("store") / "tinyllm.db") as store:
        store.questions.replace("toy", "here", "1", make_questions(9))
        for _ in range(data.draw(st.integers(0, 4))):
            owl = Owl(
                window=data.draw(st.integers(1, 7)),
                mute=data.draw(st.sets(st.sampled_from([f"train-{number}" for number in range(9)]))),
                dies_after=data.draw(st.none() | st.integers(1, 27)),
            )
            before = count(store)
            try:
                ask(store, owl, replace(job, limit=data.draw(st.none() | st.integers(1, 9))))
            except TeacherError:
                assert count(store) >= before
        tally = ask(store, Owl(window=data.draw(st.integers(1, 7))), job)
        rows = list(store.rows("SELECT text FROM rationales"))
        assert count(store, "failures") == 0
    assert sorted(row["text"] for row in rows) == sorted(f"train-{n}/{s}" for n in range(9) for s in range(samples))
    assert tally.already + tally.done == tally.wanted == 9 * samples


def test_prompts_in_other_words_are_asked_again(toy: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(toy, Owl())
    with monkeypatch.context() as patch:
        patch.setattr("tinyllm_cli.elicitation.prompts._CUE", "Rationale:")
        other = ask(toy, Owl())
        assert (other.already, other.done) == (0, 12)
        assert ask(toy, Owl()).already == 12
    back = ask(toy, Owl())
    assert (back.already, back.done) == (12, 0)


def test_other_examples_in_the_pool_are_asked_again_and_answered_ones_are_not_built(
    toy: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(toy, Owl())
    built: list[str] = []
    monkeypatch.setattr(requests, "build_prompt", lambda q, *rest: built.append(q.key) or build_prompt(q, *rest))
    assert (ask(toy, Owl()).already, built) == (12, ["train-0"])
    pool = make_questions(12)
    before = {q.key: [one.hash for one in draw_examples(q, JOB.recipe, ring(pool))] for q in pool}
    larger = make_questions(14)
    changed = [q.key for q in pool if [one.hash for one in draw_examples(q, JOB.recipe, ring(larger))] != before[q.key]]
    toy.questions.replace("toy", "here", "2", [*larger, *make_questions(5, split="test")])
    tally = ask(toy, owl := Owl())
    assert [key for key, _ in owl.asked] == [*changed, "train-12", "train-13"]
    assert 0 < len(changed) < 12
    assert tally.already == 12 - len(changed)


def test_more_samples_add_to_those_that_are_there(toy: Store) -> None:
    ask(toy, Owl(), replace(JOB, sampling=WARM, samples=1, limit=3))
    owl = Owl()
    tally = ask(toy, owl, replace(JOB, sampling=WARM, samples=3, limit=3))
    assert owl.asked == [(f"train-{number}", sample) for number in range(3) for sample in (1, 2)]
    assert (tally.wanted, tally.already, tally.done) == (9, 3, 6)


def test_the_limit_counts_questions_from_the_beginning(toy: Store) -> None:
    ask(toy, Owl(), replace(JOB, limit=4))
    owl = Owl()
    tally = ask(toy, owl, replace(JOB, limit=6))
    assert owl.asked == [("train-4", 0), ("train-5", 0)]
    assert tally.wanted == 6
    assert ask(toy, Owl(), replace(JOB, limit=100)).wanted == 12


@pytest.mark.parametrize(
    "changed",
    [
        replace(JOB, sampling=WARM),
        replace(JOB, sampling=Sampling(max_tokens=9)),
        replace(JOB, recipe=Recipe(icl=1)),
        replace(JOB, recipe=Recipe(seed=1)),
        replace(JOB, recipe=Recipe(teacher_forcing=False)),
        replace(JOB, spec=replace(SPEC, name="eagle")),
    ],
    ids=["temperature", "max_tokens", "icl", "seed", "teacher_forcing", "teacher"],
)
def test_another_way_of_asking_asks_everything_again(toy: Store, changed: Job) -> None:
    ask(toy, Owl())
    assert ask(toy, Owl(), changed).done == 12
    assert count(toy) == 24
    assert ask(toy, Owl()).already == 12


def test_another_model_behind_the_name_asks_everything_again(toy: Store) -> None:
    ask(toy, Owl())
    assert ask(toy, Owl(model="owl-2")).done == 12


@pytest.mark.parametrize("window", [1, 3, 64, 150, 500])
def test_one_content_in_many_places_is_asked_once(store: Store, window: int) -> None:
    distinct = make_questions(160)
    copies = [replace(question, key=f"copy-{question.key}") for question in distinct * 3]
    placed = [*distinct, *(replace(copy, key=f"{copy.key}-{number}") for number, copy in enumerate(copies))]
    random.Random(5).shuffle(placed)
    store.questions.replace("toy", "here", "1", placed)
    owl = Owl(window=window)
    tally = ask(store, owl, replace(JOB, recipe=Recipe(icl=0)))
    assert len(owl.asked) == 160
    assert count(store) == 160
    assert tally.already + tally.done == tally.wanted == 640


@pytest.mark.parametrize("between", [0, 250])
def test_a_copy_is_asked_when_the_first_of_one_content_failed(store: Store, between: int) -> None:
    first, *others = make_questions(1 + between)
    copy = replace(first, key="copy")
    store.questions.replace("toy", "here", "1", [first, *others, copy])
    tally = ask(store, Owl(mute={first.key}))
    assert (tally.failed, tally.done) == (1, between + 1)
    assert count(store, "failures") == 0
    assert list(store.rows("SELECT text FROM rationales ORDER BY id DESC LIMIT 1")) == [{"text": "copy/0"}]


def test_failures_are_recorded_asked_again_and_removed_by_success(toy: Store) -> None:
    tally = ask(toy, Owl(window=5, mute={"train-3", "train-7"}))
    assert (tally.done, tally.failed) == (10, 2)
    assert sorted(tally.failures) == [("train-3", "it would not say"), ("train-7", "it would not say")]
    owl = Owl(mute={"train-7"})
    ask(toy, owl)
    assert owl.asked == [("train-3", 0), ("train-7", 0)]
    [failure] = toy.rows("SELECT reason, attempts FROM failures")
    assert failure == {"reason": "it would not say", "attempts": 2}
    ask(toy, Owl())
    assert (count(toy), count(toy, "failures")) == (12, 0)


def test_many_failures_are_counted_but_only_the_first_are_shown(store: Store) -> None:
    store.questions.replace("toy", "here", "1", make_questions(50))
    tally = ask(store, Owl(mute={f"train-{number}" for number in range(50)}))
    assert tally.failed == count(store, "failures") == 50
    assert [key for key, _ in tally.failures] == [f"train-{number}" for number in range(20)]


def test_the_engine_is_described_once_it_has_answered(toy: Store) -> None:
    ask(toy, Owl(window=4))
    assert toy.one("SELECT model, revision, engine FROM samplings") == {
        "model": "owl-1",
        "revision": "a",
        "engine": '{"window": 4, "asked": 4}',
    }
    ask(toy, Owl(window=9))
    assert toy.one("SELECT engine FROM samplings") == {"engine": '{"window": 4, "asked": 4}'}


def test_samples_at_temperature_zero_are_refused(toy: Store) -> None:
    with pytest.raises(UsageProblem, match="At temperature 0, 3 samples would be 3 copies") as raised:
        ask(toy, owl := Owl(), replace(JOB, samples=3))
    assert "--temperature" in raised.value.hint
    assert owl.asked == []


def test_examples_need_a_train_split(store: Store) -> None:
    store.questions.replace("toy", "here", "1", make_questions(3, split="test"))
    with pytest.raises(UsageProblem, match="toy has no train split") as raised:
        ask(store, Owl(), replace(JOB, split="test"))
    assert raised.value.hint == "Use --icl 0."
    assert ask(store, Owl(), replace(JOB, split="test", recipe=Recipe(icl=0))).done == 3
    with pytest.raises(UsageProblem, match="has no split 'valid'"):
        ask(store, Owl(), replace(JOB, split="valid", recipe=Recipe(icl=0)))


def test_the_scripted_teacher_writes_the_same_after_a_stop(toy: Store) -> None:
    teacher = ScriptedTeacher({"replies": ["one", "two", "three"]})
    elicit(toy, replace(JOB, limit=5), teacher, lambda tally: None)
    elicit(toy, JOB, teacher, lambda tally: None)
    resumed = [row["text"] for row in toy.rows("SELECT text FROM rationales ORDER BY question")]
    elicit(toy, replace(JOB, spec=replace(SPEC, name="eagle")), teacher, lambda tally: None)
    query = "SELECT text FROM rationales WHERE teacher = 'eagle' ORDER BY question"
    assert [row["text"] for row in toy.rows(query)] == resumed


def test_a_prompt_is_the_same_whatever_the_limit_and_whoever_was_asked_before(toy: Store) -> None:
    whole, part, resumed = Owl(), Owl(window=3), Owl()
    ask(toy, whole)
    ask(toy, part, replace(JOB, limit=7, spec=replace(SPEC, name="eagle")))
    ask(toy, resumed, replace(JOB, spec=replace(SPEC, name="eagle")))
    assert part.prompts | resumed.prompts == whole.prompts


def test_another_seed_draws_other_examples(toy: Store) -> None:
    def prompts(seed: int) -> set[str]:
        job = replace(JOB, recipe=Recipe(seed=seed))
        return {
            MissingRationales(toy, job, ScriptedTeacher({"replies": ["So."]})).prompt(question).hash
            for question in make_questions(12)
        }

    assert prompts(0) == prompts(0)
    assert not prompts(0) & prompts(1)
