"""Reading a stream in chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

_Item = TypeVar("_Item")


def batched(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Lists of `size` items, the last one shorter; as `itertools.batched`, which Python 3.11 lacks."""
    stream = iter(items)
    while chunk := list(islice(stream, size)):
        yield chunk
