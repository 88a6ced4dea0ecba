"""How far a running elicitation is, noted in its row about every second for those who watch it."""

from __future__ import annotations

import time
from collections import deque

from backends.base import Hosted, Teacher
from tinyllm_cli.elicitation.counts import ElicitationCounts
from tinyllm_cli.records.activity import ElicitationProgress
from tinyllm_cli.store.elicitations import Worker

_EVERY = 1.0
_WINDOW = 30.0
"""Seconds between two notes, and over which the rate is measured."""


class LiveProgress:
    """Notes the progress of one elicitation. Times are seconds on a monotonic clock."""

    def __init__(self, worker: Worker, teacher: Teacher) -> None:
        self._worker, self._teacher = worker, teacher
        self._answered = deque([(time.monotonic(), 0)])
        self._noted = 0.0

    def __call__(self, counts: ElicitationCounts, in_flight: int) -> None:
        """Note these counts, unless the last note is recent."""
        moment = time.monotonic()
        if moment - self._noted < _EVERY:
            return
        self._noted = moment
        self._answered.append((moment, counts.done + counts.failed))
        while self._answered[1][0] < moment - _WINDOW:
            self._answered.popleft()
        (start, before), (end, after) = self._answered[0], self._answered[-1]
        self._worker.note_progress(
            ElicitationProgress(
                requests_left=max(0, counts.left - in_flight),
                in_flight=in_flight,
                rate=(after - before) / (end - start) if end > start else None,
                endpoints=_limits(self._teacher),
            )
        )


def _limits(teacher: Teacher) -> dict[str, int]:
    """The present limit of each endpoint that takes requests; one that has left has a limit of 0."""
    changes = teacher.pace() if isinstance(teacher, Hosted) else []
    return {name: limit for name, limit in {one.endpoint: one.in_flight for one in changes}.items() if limit}
