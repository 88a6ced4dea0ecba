"""Which tests `make unit` runs (`pytest --unit`): those that import no torch and start no process and no server.

A test that does is skipped when it gets there, and says why. Folders and files full of them are not even collected.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

SLOW = ("export", "experiments", "evaluation", "fuzz", "maintenance", "real", "students", "training", "view")
"""Folders of tests that train or load models, or start a server."""

SLOW_FILES = (
    "test_batches.py",
    "test_batches_trouble.py",
    "test_budget_kept.py",
    "test_cut_replies.py",
    "test_failover.py",
    "test_hostile_endpoints.py",
    "test_hub.py",
    "test_huggingface_teacher.py",
    "test_network.py",
    "test_openai_compatible.py",
    "test_pilot.py",
    "test_push.py",
    "test_human_verdicts.py",
    "test_gate_command.py",
    "test_usefulness.py",
    "test_unset_sampling.py",
    "test_url_file.py",
    "test_store_files.py",
    "test_packaging.py",
    "test_bad_inputs.py",
    "test_api.py",
    "test_json.py",
    "test_site.py",
    "test_notebooks.py",
)
"""Files of tests that do so, too, that build packages and pages, or that wait."""

_DOES = {
    "import": ("imports torch", "torch"),
    "subprocess.Popen": ("starts a process", sys.executable),
    "socket.bind": ("starts a server", None),
}
"""Audit event -> (what the test does, the event's first argument; None: any)."""

_watching = False


def is_slow(parts: tuple[str, ...], fixtures: tuple[str, ...] = ()) -> bool:
    """Whether a test is slow by the parts of its path below tests/, or by its fixtures."""
    return parts[0] in SLOW or parts[-1] in SLOW_FILES or "tinyllm" in fixtures


@contextmanager
def watched() -> Iterator[None]:
    """Within the block, a test that imports torch, starts Python or a server is skipped; so is a module that does."""
    global _watching
    _watching = True
    try:
        yield
    finally:
        _watching = False


def watch() -> None:
    """Begin to see what the interpreter imports and starts; there is no way back."""
    sys.addaudithook(_skip)


def leave_out(does: str) -> None:
    """Skip a unit test that is about to do what unit tests do not, such as `starts a server`."""
    if _watching:
        pytest.skip(f"{does}: only in `make test`", allow_module_level=True)


def _skip(event: str, arguments: tuple[Any, ...]) -> None:
    does = _DOES.get(event)
    if not _watching or does is None or (does[1] is not None and arguments[0] != does[1]):
        return
    if threading.current_thread() is threading.main_thread() and asyncio._get_running_loop() is None:
        leave_out(does[0])  # elsewhere the exception would not reach the test, which might wait for ever
