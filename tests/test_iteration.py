"""Chunks of a stream, and calls in several processes."""

from __future__ import annotations

import os
import signal
from itertools import chain, count, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyllm_cli.iteration import batched, workers


@given(items=st.lists(st.integers()), size=st.integers(1, 7))
def test_chunks_hold_every_item_in_order_and_only_the_last_is_short(items: list[int], size: int) -> None:
    chunks = list(batched(items, size))
    assert list(chain.from_iterable(chunks)) == items
    assert all(len(chunk) == size for chunk in chunks[:-1])
    assert all(chunks)


def test_a_stream_is_read_one_chunk_at_a_time() -> None:
    numbers = count()
    assert next(batched(numbers, 3)) == [0, 1, 2]
    assert list(islice(numbers, 1)) == [3]


def doubled(number: int) -> int:
    return 2 * number


def ended_unless(process: int) -> int:
    """Ends every process but this one, as the system does when memory runs out."""
    if os.getpid() != process:
        os.kill(os.getpid(), signal.SIGKILL)
    return 7


@pytest.mark.slow
def test_processes_return_what_calls_here_do_and_a_call_that_one_dies_of_is_made_here() -> None:
    with workers(2) as several:
        begun = [several.start(doubled, number) for number in range(10)]
        assert [result() for result in begun] == [doubled(number) for number in range(10)]
        lost = [several.start(ended_unless, os.getpid()) for _ in range(3)]
        assert [result() for result in lost] == [7, 7, 7]
        assert several.ahead == 0
        assert several.start(doubled, 4)() == 8


@pytest.mark.slow
def test_an_error_in_a_process_is_raised_here() -> None:
    with workers(2) as several:
        failing = several.start(divmod, 1, 0)
        with pytest.raises(ZeroDivisionError):
            failing()
