"""The currency of prices, costs and budgets, and amounts of money as text: `0.1234 USD`."""

from __future__ import annotations

import re

DEFAULT_CURRENCY = "USD"
"""Where no setting names another one; also that of databases from before the setting."""

LIST_CURRENCY = "USD"
"""Of prices that an adapter looks up in a list."""

_CODE = re.compile("[A-Z]{3}")


def is_currency(value: object) -> bool:
    """Whether a value has the form of an ISO 4217 code."""
    return isinstance(value, str) and _CODE.fullmatch(value) is not None


def amount(cost: float, currency: str | None, digits: int = 4) -> str:
    """A cost with its currency. The currency is None where nothing was paid."""
    text = f"{cost:,.{digits}f}"
    return text if currency is None else f"{text} {currency}"


def with_currency(name: str, currency: str | None) -> str:
    """The head of a column of costs, whose cells are bare numbers."""
    return name if currency is None else f"{name}, {currency}"
