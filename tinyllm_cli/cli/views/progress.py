"""Progress of a stage where stderr is not a terminal: a line every ten seconds, as text or as JSON."""

from __future__ import annotations

import sys
import time

from tinyllm_cli.cli.views import log
from tinyllm_cli.terminal import printable

_LINE_EVERY = 10.0
"""Seconds between progress lines."""


class ProgressLines:
    """A meter: call it with the work that is done, the total (0: unknown), and a detail for the end of the line."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._started = self._last = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, total: int, detail: str = "") -> None:
        if self._first is None:
            self._first = done
        now = time.monotonic()
        if now - self._last < _LINE_EVERY and (done < total or not total):
            return
        self._last = now
        rate = (done - self._first) / (now - self._started) if now > self._started else 0.0
        left = (total - done) / rate if rate and done < total else None
        if log.structured():
            seconds = None if left is None else round(left)
            log.write(
                "info", "progress", label=self._label, done=done, total=total or None, per_second=round(rate, 3),
                seconds_left=seconds, detail=detail,
            )  # fmt: skip
            return
        count = f"{done}/{total}" if total else str(done)
        speed = f", {rate:.1f}/s" if rate else ""
        until = f", {clock(left)} left" if left is not None else ""
        sys.stderr.write(printable(f"{self._label}: {count}{speed}{until}{f', {detail}' if detail else ''}") + "\n")


def clock(seconds: float) -> str:
    """h:mm:ss, or m:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
