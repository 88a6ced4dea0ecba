"""Signals wait while something must not be torn, and none of them is lost."""

from __future__ import annotations

import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tinyllm_cli.signals import ended_like_interrupted, signals_deferred
from tinyllm_cli.store import Store

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def in_a_terminal() -> Iterator[None]:
    """Also where the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("error", [None, OSError("the disk is full")])
def test_a_signal_waits_for_the_block_and_comes_however_it_ends(number: int, error: Exception | None) -> None:
    done = False

    def work() -> None:
        nonlocal done
        with signals_deferred():
            signal.raise_signal(number)
            signal.raise_signal(number)
            done = True
            if error:
                raise error

    before = [signal.getsignal(each) for each in SIGNALS]
    with ended_like_interrupted(), pytest.raises(KeyboardInterrupt):
        work()
    assert done
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_blocks_within_blocks_wait_for_the_outermost() -> None:
    reached = []

    def work() -> None:
        with signals_deferred():
            with signals_deferred():
                signal.raise_signal(signal.SIGINT)
            reached.append("the end")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["the end"]


def test_nohup_is_heeded() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_like_interrupted():
            signal.raise_signal(signal.SIGHUP)
            with signals_deferred():
                signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_ctrl_c_while_a_transaction_waits_leaves_none_open(store: Store) -> None:
    """SQLite goes on waiting, and the interrupt is raised when the transaction has begun."""
    with closing(sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")

        def interrupt_and_let_go() -> None:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            time.sleep(0.2)
            other.execute("ROLLBACK")

        timer = threading.Timer(0.3, interrupt_and_let_go)
        timer.start()

        def write() -> None:
            with store.writing():
                raise AssertionError("the interrupt came before")

        with pytest.raises(KeyboardInterrupt):
            write()
        timer.join()
    with store.writing():
        pass


def test_a_signal_that_has_been_handled_is_not_raised_again() -> None:
    with signals_deferred() as pending:
        signal.raise_signal(signal.SIGINT)
        assert pending == [signal.SIGINT]
        pending.clear()
