"""Working through a stream: in chunks, and with several processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from tinyllm_cli.signals import die_with_parent

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Arguments = ParamSpec("_Arguments")


def batched(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Lists of `size` items, the last one shorter; as `itertools.batched`, which Python 3.11 lacks."""
    stream = iter(items)
    while chunk := list(islice(stream, size)):
        yield chunk


def processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """Calls pure functions in `count` processes, which begin when they are needed; with fewer than two, here. A program
    that uses several needs `if __name__ == "__main__":`, since the processes import it."""

    def __init__(self, count: int = 1) -> None:
        self._count = count if count > 1 else 0
        self._pool: ProcessPoolExecutor | None = None

    @property
    def ahead(self) -> int:
        """How many calls to begin before the result of the first is asked for, so that no process waits."""
        return 2 * self._count

    def start(
        self, function: Callable[_Arguments, _Result], *arguments: _Arguments.args, **named: _Arguments.kwargs
    ) -> Callable[[], _Result]:
        """Begin a call; what is returned waits for its result. Where the system killed a process, such as for its
        memory, calls are made here from then on."""
        from concurrent.futures import BrokenExecutor

        def here() -> _Result:
            return function(*arguments, **named)

        def result(future: Future[_Result]) -> _Result:
            try:
                return future.result()
            except BrokenExecutor:
                self._count = 0
                return here()

        if self._count:
            with suppress(BrokenExecutor):
                return partial(result, self._processes().submit(function, *arguments, **named))
            self._count = 0
        found = here()
        return lambda: found

    def _processes(self) -> ProcessPoolExecutor:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._count, mp_context=get_context("spawn"), initializer=_begin, initargs=(os.getpid(),)
            )
        return self._pool

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


HERE = Workers()


@contextmanager
def workers(count: int) -> Iterator[Workers]:
    """Up to `count` processes, until the block ends."""
    made = Workers(count)
    try:
        yield made
    finally:
        made.close()


def _begin(parent: int) -> None:
    """Ctrl-C reaches every process of a terminal; this one ends when the parent says so, or with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(parent, signal.SIGKILL)
