"""What a command may spend. Nothing is asked that could go over it, what is in flight included.

Knows nothing of the store and of terminals. Each request reserves the most that it can take; when it is done, the
reservation gives way to what it really took.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from backends.base import Hosted, Outcome, Prices, Request, Sampling, Teacher
from tinyllm_cli.errors import UsageProblem

_WRAPPING = 64  # tokens that a chat template may add


@dataclass(kw_only=True)
class Budget:
    """`money` and `tokens` (prompt and completion together); None is no limit. One budget serves all the teachers
    of a command."""

    money: float | None = None
    tokens: int | None = None
    spent_money: float = 0.0
    spent_tokens: int = 0
    _reserved: dict[Request, tuple[float, int]] = field(default_factory=dict)
    _reserved_money: float = 0.0
    _reserved_tokens: int = 0

    @property
    def bounded(self) -> bool:
        return self.money is not None or self.tokens is not None

    def describe(self) -> str:
        """What is spent and what is left, in words."""
        parts = []
        if self.money is not None:
            parts.append(f"{self.spent_money:.4f} of {self.money:.4f} spent, {self.money - self.spent_money:.4f} left")
        if self.tokens is not None:
            left = self.tokens - self.spent_tokens
            parts.append(f"{self.spent_tokens:,} of {self.tokens:,} tokens taken, {left:,} left")
        return "; ".join(parts)

    def check(self, name: str, teacher: Teacher) -> None:
        """Raises UsageProblem when a budget in money is set and the teacher's price is unknown."""
        if self.money is not None and _prices(teacher) is None:
            raise UsageProblem(
                f"What {name} charges is unknown, so --budget can't be kept.",
                f"Put price_prompt and price_completion into [teachers.{name}], or use --max-tokens-total.",
            )

    def reserve(self, teacher: Teacher, request: Request, sampling: Sampling) -> bool:
        """Whether `request` fits; if so, its room is taken until `settle`."""
        if not self.bounded:
            return True
        money, tokens = _at_most(teacher, request, sampling)
        if self.money is not None and self.spent_money + self._reserved_money + money > self.money:
            return False
        if self.tokens is not None and self.spent_tokens + self._reserved_tokens + tokens > self.tokens:
            return False
        self._reserved[request] = (money, tokens)
        self._reserved_money += money
        self._reserved_tokens += tokens
        return True

    def settle(self, request: Request, outcome: Outcome) -> None:
        """What is unknown of an outcome counts as all that was reserved for it, but for a failed call."""
        if not self.bounded:
            return
        money, tokens = self._reserved.pop(request, (0.0, 0))
        self._reserved_money -= money
        self._reserved_tokens -= tokens
        known = outcome.completion_tokens is not None
        failed = not hasattr(outcome, "text")
        self.spent_tokens += (
            (outcome.prompt_tokens or 0) + (outcome.completion_tokens or 0) if known or failed else tokens
        )
        self.spent_money += outcome.cost if outcome.cost is not None else (0.0 if failed else money)


def _prices(teacher: Teacher) -> Prices | None:
    return teacher.prices() if isinstance(teacher, Hosted) else None


def _at_most(teacher: Teacher, request: Request, sampling: Sampling) -> tuple[float, int]:
    """(money, tokens) that `request` can take."""
    if isinstance(teacher, Hosted):
        prompt, completion = teacher.at_most(request, sampling)
    else:  # a token has a byte or more
        prompt = sum(len(message.content.encode()) for message in request.messages) + _WRAPPING
        completion = sampling.max_tokens
    prices = _prices(teacher)
    return (prices.cost(prompt, completion) if prices else 0.0), prompt + completion
