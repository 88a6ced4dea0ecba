"""One run of requests through the replicas: batches that keep every engine busy, and answers as they finish."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from backends.base import Answer, Completion, Outcome, Sampling
from backends.cluster.actors import Gone
from backends.cluster.fleet import Fleet, Slot
from backends.cluster.messages import Hello, Orders, Report, Trouble
from backends.cluster.requests import Outgoing

__all__ = ["Run"]

_WAIT = 2.0
"""Seconds until a replica reports without news."""

_TURN = 1.0
"""Seconds until the driver looks after its replicas."""

_REPORTS = 200
"""Reports per second that the driver handles without effort: with more replicas they gather more answers each."""

_LINGER = (0.05, 2.0)
_LARGEST_WINDOW = 4096
_IN_FLIGHT = 20_000
"""Requests in flight beyond which a window grows only for an engine that would not start otherwise."""

_TOGETHER = 1000
"""Answers that are committed together."""


class Run:
    """`engine` describes a replica's engine, when one has answered."""

    def __init__(self, fleet: Fleet, outgoing: Outgoing, sampling: Sampling) -> None:
        self._fleet, self._outgoing, self._sampling = fleet, outgoing, sampling
        self.engine: Mapping[str, Any] = {}

    def answers(self) -> Iterator[list[Answer]]:
        """Until every request has its outcome. Raises TeacherError when the run can't continue, after the requests
        that engines have taken are answered."""
        fleet = self._fleet
        spoken = time.monotonic()
        while not self._over():
            self._send()
            found: list[Answer] = []
            for slot in fleet.finished(_TURN):
                found += self._take(slot)
            fleet.tick()
            for slot in fleet.slots:
                if trouble := fleet.silent(slot):
                    found += self._lose(slot, trouble)
            fleet.check_room()
            for start in range(0, len(found), _TOGETHER):
                yield found[start : start + _TOGETHER]
            if found:
                spoken = time.monotonic()
            elif time.monotonic() - spoken > _TURN:
                spoken = time.monotonic()
                yield []
        if fleet.problem is not None:
            raise fleet.problem

    def _over(self) -> bool:
        if any(slot.flying for slot in self._fleet.slots):
            return False
        return self._fleet.problem is not None or self._outgoing.empty

    def _send(self) -> None:
        """Give each replica that awaits nothing what it has room for."""
        ready = self._fleet.ready()
        for slot in sorted(ready, key=lambda slot: len(slot.flying)):
            if slot.call is None:
                self._give(slot, ready)

    def _give(self, slot: Slot, ready: list[Slot]) -> None:
        ending = self._fleet.problem is not None
        taken = [] if ending else self._outgoing.take(self._room(slot, len(ready)), idle=not slot.flying)
        if not taken and not slot.flying:
            return
        if not slot.flying:
            slot.heard = self._fleet.now
        slot.flying |= {one.number: one for one in taken}
        more = not ending and not slot.alone and self._outgoing.more
        idle = not more and any(not other.flying for other in ready)
        orders = Orders(
            requests=tuple((one.number, one.request) for one in taken),
            sampling=self._sampling,
            last=not more,
            more=more and self._grows(slot, blocked=True),
            drop=slot.waiting > 0 and not taken and (ending or (idle and slot.waiting > 1)),
            wait=_WAIT,
            linger=min(max(len(ready) / _REPORTS, _LINGER[0]), _LINGER[1]),
        )
        self._fleet.send(slot, orders)

    def _room(self, slot: Slot, ready: int) -> int:
        """How many requests a replica gets. What is left at the end is divided."""
        if slot.alone:
            return 0
        room = slot.window - len(slot.flying)
        left = self._outgoing.left
        return room if left is None else min(room, math.ceil(left / ready))

    def _grows(self, slot: Slot, *, blocked: bool) -> bool:
        """Whether a replica may get more requests at once; `blocked`: its engine does not start without."""
        if slot.window >= _LARGEST_WINDOW:
            return False
        return blocked or sum(len(one.flying) for one in self._fleet.slots) < _IN_FLIGHT

    def _take(self, slot: Slot) -> list[Answer]:
        """What a replica's answer brings."""
        result = self._fleet.result(slot)
        if isinstance(result, Hello):
            trouble = self._fleet.greet(slot, result)
            return self._lose(slot, trouble) if trouble else []
        if isinstance(result, Trouble):
            return self._lose(slot, result)
        assert isinstance(result, Report)
        found = [answer for number, outcome in result.answers for answer in self._answer(slot, number, outcome)]
        if found:
            self._fleet.answered(slot)
        self._outgoing.give_back(slot.flying.pop(number) for number in result.dropped if number in slot.flying)
        slot.waiting = result.waiting
        self.engine = self.engine or result.engine or {}
        if result.hungry and self._grows(slot, blocked=not result.answers) and len(slot.flying) + len(found) > 0:
            slot.window = min(2 * slot.window, _LARGEST_WINDOW)
        if result.trouble:
            found += self._lose(slot, result.trouble)
        return found

    def _answer(self, slot: Slot, number: int, outcome: Outcome) -> Iterator[Answer]:
        """The answer with the node, and with the calls that were lost; nothing for a request of an earlier run."""
        flying = slot.flying.pop(number, None)
        if flying is None:
            return
        attempts = outcome.attempts + flying.calls - 1
        if isinstance(outcome, Completion):
            node, lost = self._fleet.name(slot.node), flying.why if flying.calls > 1 else None
            outcome = replace(outcome, attempts=attempts, node=node, last_error=outcome.last_error or lost)
        else:
            outcome = replace(outcome, attempts=attempts)
        yield flying.request, outcome

    def _lose(self, slot: Slot, trouble: Trouble) -> list[Answer]:
        """Replace a replica; what it had is sent again."""
        why = f"a replica on {self._fleet.name(slot.node)} ended: {trouble.message}"
        had = self._fleet.replace(slot, trouble)
        return list(self._outgoing.lost(had, why, died=not isinstance(trouble, Gone)))
