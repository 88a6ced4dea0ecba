"""How far something that runs is, as the store holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class ElicitationProgress:
    """How far a running elicitation is. `requests_left` are neither answered nor in flight; `rate` is in answers per
    second, None before it is known; `endpoints` maps each endpoint to its limit of requests in flight."""

    requests_left: int
    in_flight: int
    rate: float | None
    endpoints: Mapping[str, int] = field(default_factory=dict)
