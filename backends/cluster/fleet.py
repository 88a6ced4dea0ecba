"""The replicas of a teacher: which are ready, which are replaced, and when the run can't continue.

A node that is gone costs what its replicas had in flight. A replica that fails is started again, on another node where
that is possible. Three failures without an answer in between end the run: on three nodes, or on all that there are.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backends.base import Replicas, Request, TeacherError
from backends.cluster.actors import Actors, Gone
from backends.cluster.messages import Hello, Orders, Trouble
from backends.cluster.requests import Flying
from backends.cluster.versions import differing

__all__ = ["Fleet", "Slot"]

_FAILURES = 3
"""Of one replica on different nodes, or on one node, without an answer in between."""

_ELSEWHERE_SECONDS = 10.0
"""A replica that failed waits so long for a place on another node than those where it did."""

_NOTICE_SECONDS = 15.0
_STOP_SECONDS = 15.0
_FIRST_WINDOW = 8
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Slot:
    """The place of one replica, and what it has. `call` is the answer that is awaited: its greeting until it is
    `ready`, then a report. `window` is how many requests it gets, `waiting` how many of them its engine has not
    taken."""

    actor: Any = None
    call: Any = None
    launched: float = 0.0
    ready: bool = False
    node: str = ""
    flying: dict[int, Flying] = field(default_factory=dict)
    window: int = _FIRST_WINDOW
    waiting: int = 0
    answered: bool = False
    heard: float = 0.0
    """When it answered last, or got its first requests."""

    strikes: int = 0
    """Failures since its last answer, and below their nodes and reasons."""

    failed_on: dict[str, str] = field(default_factory=dict)

    avoids: bool = False
    """Whether it waits for another node than those where it failed."""

    @property
    def alone(self) -> bool:
        """Whether it has a request that is sent without others."""
        return any(one.alone for one in self.flying.values())


class Fleet:
    """`problem` is set when the run can't continue."""

    def __init__(self, actors: Actors, identity: Mapping[str, str]) -> None:
        self._actors, self._cluster, self._identity = actors, actors.cluster, dict(identity)
        self._names = actors.nodes()
        self._failures: Counter[str] = Counter()
        self._seconds, self._last_tick = 0.0, time.monotonic()
        self._most_ready = 0
        self._without = 0.0
        self._noticed = False
        self.problem: TeacherError | None = None
        self.slots = [Slot() for _ in range(self._cluster.most)]
        for slot in self.slots:
            self._launch(slot)

    @property
    def now(self) -> float:
        """Seconds of the driver's own work: its waits for the disk, or for a sleeping machine, count little."""
        return self._seconds

    def tick(self) -> None:
        """Let the clock run on."""
        moment = time.monotonic()
        self._seconds += min(moment - self._last_tick, 5.0)
        self._last_tick = moment

    def ready(self) -> list[Slot]:
        return [slot for slot in self.slots if slot.ready]

    def name(self, node: str) -> str:
        """A node's name, for people and for the store."""
        if node not in self._names:
            self._names |= self._actors.nodes()
        return self._names.get(node, node[:8] or "an unknown node")

    def counts(self) -> Replicas:
        ready = self.ready()
        return Replicas(ready=len(ready), wanted=len(self.slots), nodes=len({slot.node for slot in ready}))

    def send(self, slot: Slot, orders: Orders) -> None:
        slot.call = self._actors.exchange(slot.actor, orders)

    def finished(self, seconds: float) -> list[Slot]:
        """The slots whose awaited answer is there, after at most so many seconds."""
        calls = {slot.call: slot for slot in self.slots if slot.call is not None}
        return [calls[one] for one in self._actors.finished(list(calls), seconds)]

    def result(self, slot: Slot) -> Any:
        """What a call returned; a Trouble when the replica is no more."""
        call, slot.call = slot.call, None
        return self._actors.result(call, slot.node)

    def render(self, request: Request, seconds: float) -> str | None:
        """The prompt as the model reads it; None when no replica knows."""
        ready = self.ready()
        return self._actors.render(ready[0].actor, request, seconds) if ready else None

    def greet(self, slot: Slot, hello: Hello) -> Trouble | None:
        """Check what a replica that has started says; None: it is ready."""
        slot.node = hello.node
        if wrong := differing(hello.versions):
            return Trouble(message=f"it has other versions: {wrong}", lasting=True)
        if hello.trouble:
            return hello.trouble
        if dict(hello.identity) != self._identity:
            theirs, ours = (" ".join(filter(None, one.values())) for one in (hello.identity, self._identity))
            return Trouble(message=f"its model is another one: {theirs} instead of {ours}", lasting=True)
        slot.ready, slot.answered, slot.heard = True, False, self.now
        self._most_ready = max(self._most_ready, len(self.ready()))
        return None

    def answered(self, slot: Slot) -> None:
        """Note that a replica works."""
        slot.answered, slot.heard = True, self.now
        slot.strikes = 0
        slot.failed_on.clear()
        self._failures.pop(slot.node, None)

    def silent(self, slot: Slot) -> Trouble | None:
        """Whether a replica with requests has given no answer for too long."""
        limit = self._cluster.timeout if slot.answered else self._cluster.start_timeout
        if not slot.ready or not slot.flying or self.now - slot.heard <= limit:
            return None
        setting = "timeout" if slot.answered else "start_timeout"
        return Trouble(message=f"no answer for {limit:g} seconds ({setting})")

    def replace(self, slot: Slot, trouble: Trouble) -> list[Flying]:
        """Start another replica instead of this one; returns what it had."""
        had, node = list(slot.flying.values()), slot.node
        self._kill(slot)
        if not isinstance(trouble, Gone):
            slot.strikes += 1
            slot.failed_on[node] = trouble.message
            self._failures[node] += _FAILURES if trouble.lasting else 1
            self._give_up(slot, trouble)
        what = f"; {len(had)} requests are sent again" if had else ""
        where = f"A replica on {self.name(node)}" if node else "A replica that was starting"
        _log.warning("%s ended: %s%s.", where, trouble.message.rstrip("."), what)
        slot.ready, slot.node, slot.flying, slot.window, slot.waiting = False, "", {}, _FIRST_WINDOW, 0
        if not self.ready():
            self._without = self.now
        if self.problem is None:
            self._launch(slot)
        return had

    def check_room(self) -> None:
        """Place those that wait for another node where there is room; end the run when there is none for too long."""
        for slot in self.slots:
            if not slot.ready and slot.avoids and self.now - slot.launched > _ELSEWHERE_SECONDS:
                self._kill(slot)
                self._launch(slot, anywhere=True)
        ready, limit = len(self.ready()), self._cluster.start_timeout
        if not self._noticed and not self._most_ready and self.now > _NOTICE_SECONDS:
            self._noticed = True
            _log.warning("No replica has started yet: each needs a node with %s free.", self._actors.wants)
        if self._most_ready < self._cluster.least and self.now > limit:
            self.problem = self.problem or TeacherError(
                f"The cluster has room for {self._most_ready} of {self._cluster.least} replicas; more did not start"
                f" within {limit:g} seconds (start_timeout). Each needs {self._actors.wants}.",
                "Ask for fewer replicas, or add nodes.",
            )
        elif not ready and self.now - self._without > limit:
            self.problem = self.problem or TeacherError(
                f"No replica has been ready for {limit:g} seconds (start_timeout).",
                "Add nodes to the cluster; the same command continues.",
            )

    def stop(self, *, politely: bool) -> None:
        """End all replicas; `politely`: let them free their engines first."""
        if politely:
            self._actors.stop([slot.actor for slot in self.ready()], _STOP_SECONDS)
        for slot in self.slots:
            self._kill(slot)
        self.slots = []

    def _launch(self, slot: Slot, *, anywhere: bool = False) -> None:
        """A new replica, away from nodes that fail, and from those where its predecessors failed: as long as others
        have room, and not `anywhere`."""
        bad = self._bad()
        avoided = bad | set(slot.failed_on)
        if avoided != bad and (anywhere or not self._actors.with_room() - avoided):
            avoided = bad
        slot.avoids = avoided != bad
        slot.actor, slot.call = self._actors.start(avoided & self._actors.able())
        slot.launched = self.now

    def _bad(self) -> set[str]:
        return {node for node, count in self._failures.items() if count >= _FAILURES}

    def _give_up(self, slot: Slot, trouble: Trouble) -> None:
        """Set the problem when another attempt would fail, too."""
        able, bad = self._actors.able(), self._bad()
        widely = len(slot.failed_on) >= _FAILURES or "" in slot.failed_on or able <= bad | set(slot.failed_on)
        if not able <= bad and not (slot.strikes >= _FAILURES and widely):  # "": before it had a node
            return
        listed = "; ".join(f"{self.name(node)}: {why.rstrip('.')}" for node, why in slot.failed_on.items())
        self.problem = self.problem or TeacherError(
            f"The teacher's replicas fail: {listed}.", trouble.hint or "Ray's logs on these nodes say more."
        )

    def _kill(self, slot: Slot) -> None:
        slot.call = None
        self._actors.kill(slot.actor)
