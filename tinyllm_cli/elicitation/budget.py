"""The budget of a command. No request is sent that could exceed it, those in flight included.

Knows nothing of the store and of terminals. Each request reserves the most that it can cost; when it is done, the
reservation is replaced by what it really cost.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from backends.base import Charging, Failure, Outcome, Prices, Request, Sampling, Teacher
from tinyllm_cli.currency import DEFAULT_CURRENCY, LIST_CURRENCY, amount
from tinyllm_cli.errors import UsageProblem

_WRAPPING = 64  # tokens that a chat template may add


@dataclass(kw_only=True)
class Budget:
    """`money` in `currency`, which is that of the prices, and `tokens` (prompt and completion together); None is no
    limit. All teachers of a command share one budget."""

    money: float | None = None
    tokens: int | None = None
    currency: str = DEFAULT_CURRENCY
    spent_money: float = 0.0
    spent_tokens: int = 0
    _reserved: dict[Hashable, _Most] = field(default_factory=dict)
    _reserved_money: float = 0.0
    _reserved_tokens: int = 0
    _too_small_for: _Most | None = None
    """The first request, where not even it fits into the whole budget."""

    @property
    def bounded(self) -> bool:
        return self.money is not None or self.tokens is not None

    def describe(self) -> str:
        """What is spent, reserved for requests without an answer, and left, in words."""
        parts = []
        if self.money is not None:
            kept = f"up to {self._reserved_money:.4f} kept for what is pending, " if self._reserved else ""
            left = self.money - self.spent_money - self._reserved_money
            parts.append(f"{self.spent_money:.4f} of {amount(self.money, self.currency)} spent, {kept}{left:.4f} left")
        if self.tokens is not None:
            kept = f"up to {self._reserved_tokens:,} kept for what is pending, " if self._reserved else ""
            rest = self.tokens - self.spent_tokens - self._reserved_tokens
            parts.append(f"{self.spent_tokens:,} of {self.tokens:,} tokens taken, {kept}{rest:,} left")
        if self._too_small_for is not None and not (self.spent_money or self.spent_tokens or self._reserved):
            most = self._too_small_for
            money = amount(most.money, self.currency) if self.money is not None else f"{most.tokens:,} tokens"
            parts.append(f"one request needs up to {money}: this budget allows none")
        return "; ".join(parts)

    def check(self, name: str, teacher: Teacher | Charging) -> None:
        """Raises UsageProblem when a budget in money is set and the teacher's price is unknown."""
        if self.money is not None and _prices(teacher) is None:
            raise UsageProblem(
                f"What {name} charges is unknown, so --budget can't be kept{why_unlisted(self.currency)}.",
                f"Put price_prompt and price_completion into [teachers.{name}], or use --max-tokens-total.",
            )

    def charged(self, teacher: Teacher | Charging) -> str | None:
        """The currency of what a teacher charges; None where it charges nothing, or nobody knows."""
        prices = _prices(teacher)
        return self.currency if prices is not None and prices.prompt + prices.completion > 0 else None

    def reserve(
        self, teacher: Teacher | Charging, request: Request, sampling: Sampling, key: Hashable | None = None
    ) -> bool:
        """Whether `request` fits; if so, its cost is reserved under `key`, by default the request itself, until
        `settle`."""
        if not self.bounded:
            return True
        most = _at_most(teacher, request, sampling)
        no_money = self.money is not None and self.spent_money + self._reserved_money + most.money > self.money
        no_tokens = self.tokens is not None and self.spent_tokens + self._reserved_tokens + most.tokens > self.tokens
        if no_money or no_tokens:
            self._too_small_for = self._too_small_for or most
            return False
        self._reserved[key or request] = most
        self._reserved_money += most.money
        self._reserved_tokens += most.tokens
        return True

    def holds(self, key: Hashable) -> bool:
        """Whether a reservation exists."""
        return key in self._reserved

    def settle(self, key: Hashable, outcome: Outcome) -> None:
        """Replace a reservation by the real cost. An unknown part counts as all that was reserved for it, except in a
        failure of which nothing is known: its calls were refused or interrupted."""
        if not self.bounded:
            return
        most = self._reserved.pop(key, _Most(money=0.0, prompt=0, completion=0))
        self._reserved_money = self._reserved_money - most.money if self._reserved else 0.0
        self._reserved_tokens -= most.tokens
        prompt, completion, cost = outcome.prompt_tokens, outcome.completion_tokens, outcome.cost
        if isinstance(outcome, Failure) and (prompt, completion, cost) == (None, None, None):
            return
        self.spent_tokens += most.prompt if prompt is None else prompt
        self.spent_tokens += most.completion if completion is None else completion
        self.spent_money += most.money if cost is None else cost


def why_unlisted(currency: str) -> str:
    """Why no price was looked up, as a part of a sentence; empty where it may have been."""
    return "" if currency == LIST_CURRENCY else f": listed prices are in {LIST_CURRENCY}, and costs in {currency}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Most:
    """The most that a request can cost."""

    money: float
    prompt: int
    completion: int

    @property
    def tokens(self) -> int:
        return self.prompt + self.completion


def _prices(teacher: Teacher | Charging) -> Prices | None:
    return teacher.prices() if isinstance(teacher, Charging) else None


def _at_most(teacher: Teacher | Charging, request: Request, sampling: Sampling) -> _Most:
    if isinstance(teacher, Charging):
        prompt, completion = teacher.at_most(request, sampling)
    else:  # a token has a byte or more
        prompt = sum(len(message.content.encode()) for message in request.messages) + _WRAPPING
        completion = sampling.max_tokens
    prices = _prices(teacher)
    money = prices.cost(prompt, completion) if prices else 0.0
    return _Most(money=money, prompt=prompt, completion=completion)
