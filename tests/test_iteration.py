"""Chunks of a stream."""

from __future__ import annotations

from itertools import chain, count, islice

from hypothesis import given
from hypothesis import strategies as st

from tinyllm_cli.iteration import batched


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
