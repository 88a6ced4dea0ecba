"""What becomes of memory that a process on a CPU frees: glibc keeps it for the next tensor, or returns it."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_LARGE = 2**18  # bytes of a tensor that gets memory of its own from the system

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -2, -3, -4  # malloc.h


@cache
def keep_freed_memory() -> None:
    """Make glibc reuse freed memory. By default every large tensor is new memory from the system, and the page faults
    of its first use take a sixth of the training."""
    _set({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1, _M_TOP_PAD: 64 * 2**20})


def return_freed_memory() -> None:
    """Make glibc return every large tensor's memory when it is freed. The layers of a sharded student come and go, and
    the gaps that they leave in kept memory would add up to as much as the whole student."""
    _set({_M_MMAP_MAX: 65536, _M_MMAP_THRESHOLD: _LARGE, _M_TRIM_THRESHOLD: 2**17, _M_TOP_PAD: 2**17})


def _set(options: dict[int, int]) -> None:
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        for option, value in options.items():
            libc.mallopt(option, value)
