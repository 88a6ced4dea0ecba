"""A Ray cluster of one node for one command. It runs under the watchdog of `vllm_server`: however this process ends,
none of its processes and files stays. A token that is made for each start keeps other users of the machine out.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from backends.base import TeacherError
from backends.vllm_server import watchdog

__all__ = ["LocalCluster"]

_RAY = "from ray.scripts.scripts import main; main()"
_START_SECONDS = 180.0
_STOP_SECONDS = 30.0
_OBJECT_STORE = 100 * 2**20  # bytes: what we send is small
_POLL = 0.1
_TOO_SLOW = "during startup"  # of Ray's words


class LocalCluster:
    """`address` is that of the running cluster; end it with `stop`."""

    def __init__(self, running: subprocess.Popen[bytes], folder: Path) -> None:
        self._running, self._folder = running, folder
        self._before: dict[str, str | None] = {}
        self.address = ""

    @classmethod
    def start(cls) -> Self:
        """Raises TeacherError when it doesn't start. Ray gives its processes 30 seconds, which a busy machine exceeds:
        a second attempt finds their files in memory."""
        try:
            return cls._attempt()
        except TeacherError as error:
            if _TOO_SLOW not in str(error):
                raise
            return cls._attempt()

    @classmethod
    def _attempt(cls) -> Self:
        folder = Path(tempfile.mkdtemp(prefix="tinyllm-ray-"))
        command = [
            sys.executable, "-c", _RAY, "start", "--head", "--block", "--port=0",
            "--include-dashboard=false", "--disable-usage-stats", f"--temp-dir={folder}",
            f"--object-store-memory={_OBJECT_STORE}",
        ]  # fmt: skip
        guarded = [
            sys.executable,
            "-I",
            str(watchdog.__file__),
            "--grace",
            "3",
            "--scratch",
            str(folder),
            "--",
            *command,
        ]
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        with (folder / "start.log").open("wb") as log:
            running = subprocess.Popen(
                guarded,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"RAY_worker_niceness": "0", **os.environ, **token},  # as without Ray
            )
        found = cls(running, folder)
        try:
            found._set(token)
            found._wait()
        except BaseException:
            found.stop()
            raise
        return found

    def stop(self) -> None:
        """End it and wait until all its processes are gone. Safe to call twice."""
        self._set(self._before)
        self._before = {}
        assert self._running.stdin is not None
        with suppress(BrokenPipeError):
            self._running.stdin.close()
        try:
            self._running.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()

    def _set(self, variables: Mapping[str, str | None]) -> None:
        """Set variables of this process, of which Ray takes the token."""
        core: Any = import_module("ray._raylet")
        for name, value in variables.items():
            self._before.setdefault(name, os.environ.pop(name, None))
            if value is not None:
                os.environ[name] = value
        core.Config.initialize("")  # Ray keeps what it has read
        core.AuthenticationTokenLoader.instance().reset_cache()

    def _wait(self) -> None:
        """Until its address is known, which Ray writes down when the node runs."""
        deadline, file = time.monotonic() + _START_SECONDS, self._folder / "ray_current_cluster"
        while not self.address:
            if self._running.poll() is not None or time.monotonic() > deadline:
                said = (self._folder / "start.log").read_text(encoding="utf-8", errors="replace").split()
                raise TeacherError(
                    f"A Ray cluster can't be started here: {' '.join(said)[-300:] or 'no reason given'}."
                )
            time.sleep(_POLL)
            with suppress(FileNotFoundError):
                self.address = file.read_text(encoding="utf-8").strip()
