"""Tokens, attempts and seconds of one request, over all its calls."""

from __future__ import annotations

from dataclasses import dataclass

from backends.base import Prices
from backends.hosted.responses import Usage


@dataclass(kw_only=True, slots=True)
class RequestUsage:
    """Token counts are None until an endpoint states them."""

    attempts: int = 0
    last_error: str | None = None
    seconds: float = 0.0
    prompt: int | None = None
    completion: int | None = None
    cut: bool = False
    """Whether the last reply was truncated."""

    def add(self, usage: Usage) -> None:
        self.cut = usage.cut
        if usage.prompt is not None:
            self.prompt = (self.prompt or 0) + usage.prompt
        if usage.completion is not None:
            self.completion = (self.completion or 0) + usage.completion

    def cost(self, prices: Prices | None) -> float | None:
        return Usage(prompt=self.prompt, completion=self.completion).cost(prices)
