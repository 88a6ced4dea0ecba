"""The user's limits of requests and tokens per minute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from backends.base import Request

__all__ = ["limiters"]


def limiters(options: Mapping[str, Any]) -> list[tuple[Any, Callable[[Request, int], float]]]:
    """(limiter, amount that a request with a limit of new tokens takes): requests and tokens per minute."""
    from aiolimiter import AsyncLimiter

    found: list[tuple[Any, Callable[[Request, int], float]]] = []
    if options["requests_per_minute"]:
        found.append((AsyncLimiter(options["requests_per_minute"], 60), lambda _request, _cap: 1))
    if options["tokens_per_minute"]:
        most = options["tokens_per_minute"]
        found.append((AsyncLimiter(most, 60), lambda request, cap: min(most, _estimate(request, cap))))
    return found


def _estimate(request: Request, cap: int) -> int:
    """Tokens that a request may take: four characters per token of prompt, and the whole reply."""
    return sum(len(message.content) for message in request.messages) // 4 + cap
