"""The row of an elicitation: how it ended, what it took in all, and how its pace went."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import backends
from backends.base import Answer, Completion, Failure, Outcome, PaceChange, Prices, Request, Sampling, TeacherError
from tests.conftest import make_questions
from tests.endpoint import Answer as ServerAnswer
from tests.endpoint import completion, serving
from tinyllm_cli.config import TeacherSpec
from tinyllm_cli.elicitation.elicit import elicit
from tinyllm_cli.elicitation.requests import Job
from tinyllm_cli.records.elicitation import Elicitation, Recipe
from tinyllm_cli.store import Store, open_store

JOB = Job(
    dataset="toy",
    split="train",
    spec=TeacherSpec(name="owl", backend="scripted"),
    recipe=Recipe(icl=0),
    sampling=Sampling(),
)
tokens = st.none() | st.integers(0, 10_000)
money = st.none() | st.integers(0, 1000).map(lambda cents: cents / 64)  # sums of 64ths are exact
outcomes = st.builds(
    Completion,
    text=st.just("So."),
    finish_reason=st.sampled_from(["stop", "length"]),
    prompt_tokens=tokens,
    completion_tokens=tokens,
    cost=money,
    attempts=st.integers(1, 9),
) | st.builds(
    Failure,
    reason=st.just("empty reply"),
    attempts=st.integers(1, 9),
    prompt_tokens=tokens,
    completion_tokens=tokens,
    cost=money,
)


@dataclass
class Script:
    """Gives `outcomes`, in groups of `together`, and has a pace; then `end` is raised, if there is one."""

    outcomes: Sequence[Outcome]
    together: int = 1
    history: Sequence[PaceChange] = ()
    end: BaseException | None = None
    given: int = 0

    def identity(self) -> Mapping[str, str]:
        return {"model": "owl-1", "revision": ""}

    def describe(self) -> Mapping[str, Any]:
        return {}

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[list[Answer]]:
        group: list[Answer] = []
        for request in requests:
            group.append((request, self.outcomes[self.given]))
            self.given += 1
            if len(group) == self.together:
                yield group
                group = []
        if group:
            yield group
        if self.end is not None:
            raise self.end

    def close(self) -> None:
        """Nothing to free."""

    def prices(self) -> Prices | None:
        return None

    def costs_money(self) -> bool:
        return False

    def at_most(self, request: Request, sampling: Sampling) -> tuple[int, int]:
        return 0, 0

    def concurrency(self) -> int:
        return 1

    def pace(self) -> list[PaceChange]:
        return list(self.history)


def total(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def newest(store: Store) -> Elicitation:
    return store.elicitations.everything()[-1]


@settings(deadline=None, max_examples=40)
@given(script=st.lists(outcomes, min_size=1, max_size=8), together=st.integers(1, 4))
def test_the_row_is_the_sum_of_what_came_and_unknown_stays_unknown(
    tmp_path_factory: pytest.TempPathFactory, script: list[Outcome], together: int
) -> None:
    with open_store(tmp_path_factory.mktemp("store") / "tinyllm.db") as store:
        store.questions.replace("toy", "here", "1", make_questions(len(script)))
        tally = elicit(store, JOB, Script(script, together), lambda tally: None)
        row = newest(store)
        kept = list(store.rows("SELECT prompt_tokens, completion_tokens, cost FROM rationales"))
        kept += list(store.rows("SELECT prompt_tokens, completion_tokens, cost FROM failures"))
    good = sum(isinstance(outcome, Completion) for outcome in script)
    assert (row.state, row.replies, row.failures) == ("done", good, len(script) - good)
    assert row.calls == tally.calls == sum(outcome.attempts for outcome in script)
    for name in ("prompt_tokens", "completion_tokens", "cost"):
        assert getattr(row, name) == total(getattr(outcome, name) for outcome in script)
        assert getattr(row, name) == total(kept_row[name] for kept_row in kept)
    assert tally.cost == row.cost


@pytest.fixture
def toy(store: Store) -> Store:
    store.questions.replace("toy", "here", "1", make_questions(6))
    return store


REPLIES = [Completion(text="So.", finish_reason="stop", prompt_tokens=10, completion_tokens=2, cost=0.25)] * 6


def test_a_row_says_who_was_asked_about_what(toy: Store) -> None:
    elicit(toy, JOB, Script(REPLIES), lambda tally: None)
    row = newest(toy)
    assert (row.teacher, row.backend, row.model) == ("owl", "scripted", "owl-1")
    assert (row.dataset, row.split, row.recipe) == ("toy", "train", JOB.recipe.name)
    assert row.finished is not None
    assert row.started <= row.finished
    assert row.error is None


@pytest.mark.parametrize(
    ("end", "state", "error"),
    [(TeacherError("no money left"), "failed", "no money left"), (KeyboardInterrupt(), "stopped", None)],
)
def test_a_run_that_ends_early_keeps_its_sums_and_says_how(
    toy: Store, end: BaseException, state: str, error: str | None
) -> None:
    with pytest.raises(type(end)):
        elicit(toy, replace(JOB, limit=4), Script(REPLIES, together=3, end=end), lambda tally: None)
    row = newest(toy)
    assert (row.state, row.error) == (state, error)
    assert (row.replies, row.prompt_tokens, row.completion_tokens, row.cost) == (4, 40, 8, 1.0)


def test_ctrl_c_during_a_commit_waits_until_the_replies_are_kept(toy: Store) -> None:
    def press(statement: str) -> None:
        if statement.startswith("INSERT INTO rationales"):
            os.kill(os.getpid(), signal.SIGINT)

    toy._db.conn.set_trace_callback(press)
    with pytest.raises(KeyboardInterrupt):
        elicit(toy, JOB, Script(REPLIES, together=3), lambda tally: None)
    row = newest(toy)
    assert (row.state, row.replies) == ("stopped", 3)
    assert toy.one("SELECT count(*) AS n FROM rationales") == {"n": 3}
    assert toy.one("SELECT count(*) AS n FROM claims") == {"n": 0}
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_each_run_has_a_row_of_its_own_and_none_that_asks_nothing_takes_anything(toy: Store) -> None:
    elicit(toy, replace(JOB, limit=4), Script(REPLIES), lambda tally: None)
    elicit(toy, JOB, Script(REPLIES), lambda tally: None)
    elicit(toy, JOB, Script([]), lambda tally: None)
    rows = toy.elicitations.everything()
    assert [(row.state, row.replies, row.cost) for row in rows] == [
        ("done", 4, 1.0),
        ("done", 2, 0.5),
        ("done", 0, None),
    ]


def change(seconds: float, endpoint: str, in_flight: int, why: str = "growing") -> PaceChange:
    return PaceChange(seconds=seconds, endpoint=endpoint, in_flight=in_flight, why=why)


def test_the_pace_of_a_run_begins_with_where_the_run_before_left_it(toy: Store) -> None:
    teacher = Script(REPLIES, history=[])
    before = [change(0, "a", 16, "start"), change(0, "b", 16, "start"), change(2, "a", 32)]
    during = [change(5, "b", 8, "429"), change(6, "a", 64)]

    def watch(_tally: object) -> None:
        teacher.history = [*before, *during] if newest(toy).id == 2 else before

    elicit(toy, replace(JOB, limit=4), teacher, watch)
    assert newest(toy).concurrency == tuple(before)
    elicit(toy, JOB, teacher, watch)
    assert newest(toy).concurrency == (change(2, "a", 32), change(0, "b", 16, "start"), *during)


def test_an_endpoints_pace_and_what_its_failures_cost_are_in_the_row(toy: Store) -> None:
    def behaviour(number: int, _body: object) -> ServerAnswer:
        if number == 3:
            return ServerAnswer(status=429, body="{}", headers={"Retry-After": "0"})
        return ServerAnswer(body=completion("" if number == 1 else "So.", tokens=(100, 10)))

    with serving(behaviour) as endpoint:
        settings = {"model": "m", "base_url": endpoint.url, "price_prompt": 10_000.0, "price_completion": 0.0}
        job = replace(JOB, spec=replace(JOB.spec, backend="openai"))
        elicit(toy, job, backends.create("openai", settings), lambda tally: None)
        calls = len(endpoint.bodies)
    row = newest(toy)
    assert (row.replies, row.failures, row.calls) == (5, 1, calls) == (5, 1, 7)
    assert (row.prompt_tokens, row.completion_tokens, row.cost) == (600, 60, pytest.approx(6.0))
    assert [(change.endpoint, change.in_flight, change.why) for change in row.concurrency] == [
        (endpoint.url, 16, "start")  # a single 429 lowers nothing
    ]
    assert toy.one("SELECT reason, prompt_tokens, cost FROM failures") == {
        "reason": "empty reply",
        "prompt_tokens": 100,
        "cost": pytest.approx(1.0),
    }
    assert toy.one("SELECT count(*) AS n FROM rationales WHERE attempts = 2 AND last_error LIKE '%429%'") == {"n": 1}


def test_recorded_rationales_are_nobodys_elicitation(toy: Store, tmp_path: Path) -> None:
    (tmp_path / "noted.jsonl").write_text('{"id": "train-0", "rationale": "Because of that."}\n', encoding="utf-8")
    job = replace(JOB, spec=replace(JOB.spec, backend="recorded"))
    teacher = backends.create("recorded", {"path": str(tmp_path / "noted.jsonl")})
    assert elicit(toy, job, teacher, lambda tally: None).done == 1
    assert toy.elicitations.everything() == []
