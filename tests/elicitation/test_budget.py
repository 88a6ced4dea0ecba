"""The bookkeeping of a budget, whatever the order of reservations and outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from backends.base import Completion, Failure, PaceChange, Prices, Request, Sampling
from tinyllm_cli.elicitation.budget import Budget

SAMPLING = Sampling()


@dataclass(frozen=True)
class Shop:
    """A hosted teacher of which only the prices matter. A request's key says what it may take: "PROMPT+REPLY"."""

    price: Prices | None

    def identity(self) -> dict[str, str]:
        return {"model": "shop", "revision": ""}

    def describe(self) -> dict[str, Any]:
        return {}

    def generate(self, requests: object, sampling: Sampling) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to free."""

    def prices(self) -> Prices | None:
        return self.price

    def costs_money(self) -> bool:
        return self.price is not None

    def at_most(self, request: Request, sampling: Sampling) -> tuple[int, int]:
        prompt, _, reply = request.key.partition("+")
        return int(prompt), int(reply)

    def concurrency(self) -> int:
        return 1

    def pace(self) -> list[PaceChange]:
        return []


# Money in 64ths, so that sums of it are exact.
SHOPS = [
    Shop(Prices(prompt=15_625.0, completion=62_500.0, source="test")),
    Shop(Prices(prompt=31_250.0, completion=15_625.0, source="test")),
]


@dataclass(frozen=True)
class InFlight:
    shop: Shop
    request: Request
    prompt: int
    reply: int

    def cost(self, prompt: int, reply: int) -> float:
        assert self.shop.price is not None
        return self.shop.price.cost(prompt, reply)

    @property
    def most(self) -> float:
        return self.cost(self.prompt, self.reply)


class Spending(RuleBasedStateMachine):
    """What is really spent, which the budget is told of in part only, stays within the limits, even if all that is in
    flight took its most; and nothing is refused that would have fitted by what the budget was told."""

    @initialize(money=st.none() | st.integers(0, 3000), tokens=st.none() | st.integers(0, 3000))
    def begin(self, money: int | None, tokens: int | None) -> None:
        self.budget = Budget(money=None if money is None else money / 64, tokens=tokens)
        self.in_flight: list[InFlight] = []
        self.money, self.tokens, self.asked = 0.0, 0, 0

    @rule(shop=st.sampled_from(SHOPS), prompt=st.integers(0, 300), reply=st.integers(0, 300))
    def reserve(self, shop: Shop, prompt: int, reply: int) -> None:
        request = Request(split="train", key=f"{prompt}+{reply}", messages=(), sample=self.asked)
        self.asked += 1
        budget, ask = self.budget, InFlight(shop, request, prompt, reply)
        money = budget.spent_money + sum(other.most for other in self.in_flight) + ask.most
        tokens = budget.spent_tokens + sum(other.prompt + other.reply for other in self.in_flight) + prompt + reply
        fits = (budget.money is None or money <= budget.money) and (budget.tokens is None or tokens <= budget.tokens)
        assert budget.reserve(shop, request, SAMPLING) == fits
        if fits:
            self.in_flight.append(ask)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        ask = self.in_flight.pop(data.draw(st.integers(0, len(self.in_flight) - 1)))
        prompt, reply = data.draw(st.integers(0, ask.prompt)), data.draw(st.integers(0, ask.reply))
        usage: dict[str, Any] = {
            "prompt_tokens": data.draw(st.sampled_from([None, prompt])),
            "completion_tokens": data.draw(st.sampled_from([None, reply])),
            "cost": data.draw(st.sampled_from([None, ask.cost(prompt, reply)])),
        }
        kind = data.draw(st.sampled_from(["reply", "failure", "free failure"]))
        if kind == "free failure":
            self.budget.settle(ask.request, Failure(reason="HTTP 500"))
            return
        self.tokens += prompt + reply
        self.money += ask.cost(prompt, reply)
        if kind == "reply":
            self.budget.settle(ask.request, Completion(text="So.", finish_reason="stop", **usage))
        else:
            known = {"prompt_tokens": prompt, "completion_tokens": reply, "cost": ask.cost(prompt, reply)}
            self.budget.settle(ask.request, Failure(reason="empty reply", **known))

    @invariant()
    def the_limits_hold(self) -> None:
        if not hasattr(self, "budget"):
            return
        budget = self.budget
        if budget.money is not None:
            assert self.money + sum(ask.most for ask in self.in_flight) <= budget.money
        if budget.tokens is not None:
            assert self.tokens + sum(ask.prompt + ask.reply for ask in self.in_flight) <= budget.tokens

    def teardown(self) -> None:
        """Nothing stays reserved when nothing is in flight."""
        if not getattr(self, "asked", 0) or self.in_flight or self.budget.tokens is None:
            return
        left = self.budget.tokens - self.budget.spent_tokens
        request = Request(split="train", key=f"{left}+0", messages=(), sample=self.asked)
        assert Budget(tokens=left).reserve(SHOPS[0], request, SAMPLING)
        assert self.budget.money is not None or self.budget.reserve(SHOPS[0], request, SAMPLING)


TestSpending = Spending.TestCase
TestSpending.settings = settings(deadline=None, max_examples=80, stateful_step_count=30)


def test_a_budget_below_one_request_says_so() -> None:
    budget = Budget(tokens=3)
    request = Request(split="train", key="5+5", messages=(), sample=0)
    assert not budget.reserve(SHOPS[0], request, SAMPLING)
    assert "this budget allows none" in budget.describe()
