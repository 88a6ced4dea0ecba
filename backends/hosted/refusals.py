"""Whether an endpoint's refusals (429) are about the load, and how far to cut back if they are.

Some endpoints refuse a share of all requests at random. That share is found by experiment: at a limit cut in proportion
to the refusals, an endpoint that refuses what is over its allowance refuses nothing. What it still refuses there is its
background share, which later cuts disregard.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Refusals"]

_TOLERATED = 0.05
"""The share of refusals, over the background, that is not worth a cut."""

_FEWEST = 3  # refusals before anything is concluded
_ENOUGH = 8  # outcomes before a moderate share of refusals counts
_CERTAIN_BACKGROUND, _MOST_BACKGROUND = 0.25, 0.4
_SAME = 0.8
"""The share of refusals that must be left by a cut that changed nothing."""

_LEAST_FACTOR = 0.25  # of one cut
_NEARLY = 1.05


@dataclass(slots=True)
class Refusals:
    """Counts outcomes of requests sent since the limit last changed. Limits are requests in flight."""

    background: float = 0.0
    """The share of requests that is refused whatever the load."""

    seen: bool = False
    """Whether anything was refused so far."""

    replies: int = 0
    refused: int = 0
    _before: tuple[float, float] | None = None
    """(limit, share) before the cut that is being judged."""

    @property
    def judging(self) -> bool:
        """Whether the effect of a cut is being measured; the limit should not change."""
        return self._before is not None

    def add(self, *, refused: bool) -> None:
        self.seen |= refused
        self.refused += refused
        self.replies += not refused

    def restart(self) -> None:
        """The limit changed."""
        self.replies = self.refused = 0

    @property
    def random(self) -> bool:
        """Whether an isolated refusal says nothing about the load."""
        return self.background > _TOLERATED

    @property
    def quiet(self) -> bool:
        """Whether hardly more was refused than the background explains: a higher limit may be tried."""
        return self.refused <= (self.background + _TOLERATED) * self._count

    def exceeded(self, limit: float) -> bool:
        """Whether more was refused than the background explains: significantly, or most of what is in flight."""
        expected = self.background * self._count
        if self.refused - expected > max(self.replies, limit / 2, _FEWEST):
            return True
        if self.judging:
            return False
        excess = self.refused - expected
        spread = 2 * math.sqrt(expected * (1 - self.background))
        enough = max(limit, _ENOUGH * (2 if self.random else 1))
        return self._count >= enough and excess >= max(_FEWEST, spread, _TOLERATED * self._count)

    def cut(self, limit: float) -> float:
        """The limit after the refusals counted at `limit`. Its effect is judged if it is in proportion to them."""
        share = self.refused / self._count
        proportional = limit * (1 - share) / (1 - self.background)
        found = _scaled(limit, max(_LEAST_FACTOR, (1 - share) / (1 - self.background)))
        self._before = (limit, share) if found <= _NEARLY * proportional else None
        return found

    def judged(self) -> tuple[float, bool] | None:
        """After enough outcomes since the cut: (the limit that the endpoint allows, whether its refusals were about the
        load). None before, and when it needs another cut to know."""
        if self._before is None:
            return None
        limit, share = self._before
        if self._count < max(limit, 2 * _ENOUGH, 2 * _FEWEST / share):
            return None
        still = self.refused / self._count
        self._before = None
        if still > _MOST_BACKGROUND or _CERTAIN_BACKGROUND < still < _SAME * share:
            return None
        self.background = (self.background + still) / 2 if self.background else still
        about_load = still < share / 2
        return _scaled(limit, min(1.0, (1 - share) / (1 - self.background))) if about_load else limit, about_load

    def decay(self) -> None:
        """Lower the background share when fewer are refused."""
        if self._count >= 2 * _ENOUGH:
            self.background = min(self.background, 0.9 * self.background + 0.1 * self.refused / self._count)

    @property
    def _count(self) -> int:
        return self.replies + self.refused


def _scaled(limit: float, factor: float) -> float:
    """One request in flight is tried before fewer: an endpoint may take one at a time, at any rate."""
    return max(1.0, limit * factor) if limit > 1 else limit * factor
