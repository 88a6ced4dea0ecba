"""A budget against a server that counts for itself: it is never exceeded, it is used, and what is left is said."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

import backends
from backends.base import Hosted, Message, Prices, Request, Sampling, Teacher
from tests.conftest import Command, make_questions, write_dataset, write_host
from tests.endpoint import Answer, Body, completion, serving
from tinyllm_cli.config import TeacherSpec
from tinyllm_cli.elicitation.budget import Budget
from tinyllm_cli.elicitation.counts import ElicitationCounts
from tinyllm_cli.elicitation.elicit import elicit
from tinyllm_cli.elicitation.requests import Job
from tinyllm_cli.records.elicitation import Recipe
from tinyllm_cli.store import Store

SAMPLING = Sampling(max_tokens=40)
JOB = Job(
    dataset="toy",
    split="train",
    spec=TeacherSpec(name="host", backend="openai"),
    recipe=Recipe(icl=0),
    sampling=SAMPLING,
)
PRICES = {"price_prompt": 2.0, "price_completion": 10.0}
MOODS = ("cut", "cut without a word", "empty", "filtered", "busy", "refused")


@dataclass
class Till:
    """A server that counts for itself what it takes: a token for each `bytes_per_token` of the prompt and some more,
    and replies of any length. With `moody`, every second answer is a cut reply (told or not), one that is empty or
    filtered and still costs, or a refusal that costs nothing. `says` whether it tells what it counted."""

    seed: int = 0
    moody: bool = True
    says: bool = True
    bytes_per_token: float = 4.0
    prompt_tokens: int = 0
    reply_tokens: int = 0
    contents: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.reply_tokens

    @property
    def money(self) -> float:
        prices = Prices(prompt=PRICES["price_prompt"], completion=PRICES["price_completion"], source="test")
        return prices.cost(self.prompt_tokens, self.reply_tokens)

    def __call__(self, number: int, body: Body) -> Answer:
        with self._lock:  # several servers may share a till
            return self._answer(number, body)

    def _answer(self, number: int, body: Body) -> Answer:
        draw, content, cap = random.Random(f"{self.seed}/{number}"), body["messages"][-1]["content"], body["max_tokens"]
        self.contents[content] += 1
        kind = draw.choice(MOODS) if self.moody and draw.random() < 0.5 else "whole"
        if kind == "busy":
            return Answer(status=429, body="{}", headers={"Retry-After": "0"})
        if kind == "refused":
            return Answer(status=400, body="{}")
        tokens = (int(len(content.encode()) / self.bytes_per_token) + draw.randrange(8), draw.randrange(1, cap))
        if "cut" in kind:
            tokens = (tokens[0], cap)
        self.prompt_tokens += tokens[0]
        self.reply_tokens += tokens[1]
        reason = {"cut": "length", "filtered": "content_filter"}.get(kind, "stop")
        reply = completion("" if kind == "empty" else "It follows.", finish_reason=reason, tokens=tokens)
        return Answer(body=reply if self.says else json.dumps({**json.loads(reply), "usage": None}))


@pytest.fixture
def toy(store: Store) -> Store:
    store.questions.replace("toy", "here", "1", make_questions(40))
    return store


def ask(store: Store, url: str, budget: Budget, job: Job = JOB, **options: object) -> tuple[ElicitationCounts, Teacher]:
    teacher = backends.create("openai", {"model": "m", "base_url": url, **PRICES, **options})
    tally = elicit(store, job, teacher, lambda tally: None, budget=budget)
    teacher.close()
    return tally, teacher


def room_for_one_more(teacher: Teacher, till: Till) -> int:
    """Tokens that the longest of the questions may take."""
    assert isinstance(teacher, Hosted)
    longest = Message(role="user", content=max(till.contents, key=len))
    return sum(teacher.at_most(Request(split="train", key="", messages=(longest,)), SAMPLING))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limit", [900, 2_500])
def test_the_server_never_counts_more_tokens_than_the_budget_has(toy: Store, seed: int, limit: int) -> None:
    till, budget = Till(seed), Budget(tokens=limit)
    with serving(till) as endpoint:
        tally, teacher = ask(toy, endpoint.url, budget)
    assert till.tokens == budget.spent_tokens == tally.prompt_tokens + tally.completion_tokens
    assert 0 < till.tokens <= limit
    assert tally.out_of_budget
    assert limit - till.tokens < room_for_one_more(teacher, till), "the room that was left would have done for more"


@pytest.mark.parametrize("seed", range(3))
def test_the_server_never_charges_more_money_than_the_budget_has(toy: Store, seed: int) -> None:
    till, budget = Till(seed), Budget(money=0.006)
    with serving(till) as endpoint:
        tally, _ = ask(toy, endpoint.url, budget)
    assert tally.out_of_budget
    assert budget.spent_money == pytest.approx(till.money) == tally.cost
    assert 0.004 < till.money <= 0.006


def test_a_server_that_does_not_say_what_it_counted_is_taken_to_have_counted_the_most(toy: Store) -> None:
    till, budget = Till(says=False, moody=False), Budget(tokens=8_000, money=1.0)
    with serving(till) as endpoint:
        tally, _ = ask(toy, endpoint.url, budget)
    assert tally.out_of_budget
    assert 0 < till.tokens < budget.spent_tokens <= 8_000
    assert till.money < budget.spent_money
    assert tally.cost is None


class Babel(Till):
    """Counts a token for each four ASCII characters and one for each byte of anything else; every reply is cut."""

    def _answer(self, number: int, body: Body) -> Answer:
        content, cap = body["messages"][-1]["content"], body["max_tokens"]
        self.contents[content] += 1
        plain = len(content.encode("ascii", "ignore"))
        tokens = (plain // 4 + len(content.encode()) - plain, cap)
        self.prompt_tokens += tokens[0]
        self.reply_tokens += tokens[1]
        return Answer(body=completion("It foll", finish_reason="length", tokens=tokens))


@pytest.mark.parametrize("limit", [5_000, 8_000, 11_000])
def test_prompts_of_another_script_do_not_break_the_budget(store: Store, limit: int) -> None:
    plain, other = make_questions(20), make_questions(40)[20:]
    burmese = [replace(question, text=f"{question.text} {'ဘာသာစကား ' * 30}") for question in other]
    store.questions.replace("toy", "here", "1", plain + burmese)
    till = Babel()
    with serving(till) as endpoint:
        tally, _ = ask(store, endpoint.url, Budget(tokens=limit), length_retry_factor=1.0)
    assert tally.out_of_budget
    assert len(till.contents) > 20
    assert till.tokens <= limit


def test_the_run_continues_in_the_room_that_the_requests_in_flight_leave(toy: Store) -> None:
    till, limit = Till(moody=False), 2_100
    with serving(till) as endpoint:
        tally, _ = ask(toy, endpoint.url, Budget(tokens=limit))
        cold = backends.create("openai", {"model": "m", "base_url": endpoint.url})
    assert tally.out_of_budget
    assert tally.done > 3 * (limit // room_for_one_more(cold, till)) > 0


def test_further_runs_with_a_budget_each_continue_to_the_end(toy: Store) -> None:
    till, runs = Till(moody=False), 0
    with serving(till) as endpoint:
        while True:
            before, runs = till.tokens, runs + 1
            tally, _ = ask(toy, endpoint.url, Budget(tokens=1_500))
            assert till.tokens - before <= 1_500
            assert tally.left == 40 - len(till.contents)
            if not tally.out_of_budget:
                break
    assert runs > 2
    assert tally.left == 0
    assert set(till.contents.values()) == {1}
    assert len(till.contents) == 40


def test_several_teachers_share_a_budget(toy: Store) -> None:
    till, budget = Till(moody=False), Budget(tokens=6_000)
    tallies = []
    with serving(till) as endpoint:
        for name in ("first", "second", "third"):
            job = replace(JOB, spec=replace(JOB.spec, name=name))
            tallies.append(ask(toy, endpoint.url, budget, job)[0])
    assert [tally.out_of_budget for tally in tallies] == [False, True, True]
    assert tallies[1].done > 0
    assert till.tokens == budget.spent_tokens <= 6_000


@pytest.mark.parametrize("name", ["host", "parrot"])
def test_money_can_not_be_limited_where_no_price_is_known(
    inside: Command, scripted: Path, tmp_path: Path, name: str
) -> None:
    write_dataset(tmp_path / "toy", train=4)
    with serving(lambda _n, _b: Answer()) as endpoint:
        write_host(tmp_path, endpoint.url)
        done = inside("elicit", "-t", name, "-d", "toy", "--budget", "5")
    assert done.returncode == 2
    assert f"What {name} charges is unknown, so --budget can't be kept." in done.stderr
    assert f"[teachers.{name}], or use --max-tokens-total" in done.stderr
    assert endpoint.bodies == []
    assert json.loads(inside("report", "--json").stdout)["teachers"] == []


def test_no_teacher_is_asked_when_one_of_them_has_no_price(inside: Command, scripted: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=4)
    with serving(lambda _n, _b: Answer()) as endpoint:
        write_host(tmp_path, endpoint.url, **PRICES)
        done = inside("elicit", "-t", "host", "-t", "parrot", "-d", "toy", "--budget", "5", "--yes")
    assert done.returncode == 2
    assert "What parrot charges is unknown" in done.stderr
    assert endpoint.bodies == []


def test_the_command_says_what_is_left_of_the_budget_and_of_the_questions(inside: Command, tmp_path: Path) -> None:
    write_dataset(tmp_path / "toy", train=40)
    till = Till(moody=False)
    with serving(till) as endpoint:
        write_host(tmp_path, endpoint.url, **PRICES)
        arguments = ("elicit", "-t", "host", "-d", "toy", "--icl", "0", "--max-tokens", "40", "--yes")
        done = inside(*arguments, "--budget", "0.004", "--max-tokens-total", "100000")
        assert done.returncode == 0, done.stderr
        money, tokens = till.money, till.tokens
        left = 40 - len(till.contents)
        rest = json.loads(inside(*arguments, "--max-tokens-total", "2000", "--json").stdout)["teachers"][0]
    assert 0.002 < money <= 0.004
    assert f"Stopped at the budget: {money:.4f} of 0.0040 USD spent, {0.004 - money:.4f} left;" in done.stdout
    assert f"{tokens:,} of 100,000 tokens taken, {100_000 - tokens:,} left. {left} requests" in done.stdout
    assert rest["out_of_budget"]
    assert 0 < rest["left"] == 40 - len(till.contents)
    assert till.tokens - tokens <= 2000
