"""Nodes of Ray clusters on this machine."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

STORE_BYTES = 80 * 2**20
_START_SECONDS = 240.0
_POLL = 0.5


def start_node(cluster: Any, **options: Any) -> Any:
    """A node of `ray.cluster_utils.Cluster`; the first one is the head. Ray waits 30 seconds for it, which it exceeds
    beside other tests: here it gets more. The signal handlers stay as they are."""
    from ray._private import services

    real, handler = services.get_node, signal.getsignal(signal.SIGTERM)

    def patient(*arguments: Any) -> Any:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                return real(*arguments)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "get_node", patient)
        try:
            return cluster.add_node(object_store_memory=STORE_BYTES, **options)
        finally:
            signal.signal(signal.SIGTERM, handler)
