"""One `vllm serve` of our own on loopback: started, waited for, asked small things, and ended without a trace.

The process runs under `guard`, whose standard input is a pipe from here: when this process dies, however that
happens, the pipe closes and the guard ends the server with all that it started. Knows nothing of requests and
prompts. The server's key is made for each start and travels in the environment, never on a command line.
"""

from __future__ import annotations

import json
import os
import resource
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from backends.base import BadTeacherConfig, TeacherError
from backends.vllm_server import watchdog
from backends.vllm_server.log import cause, engine_facts, usage_error

__all__ = ["Refused", "Server"]

_GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL. A running server takes under one; one that is just loading may not listen."""

_HOST = "127.0.0.1"
_LOG = "vllm.log"
_POLL = 0.2
_ANSWER_SECONDS = 30.0
_HEALTH_SECONDS = 5.0
_LOCAL = build_opener(ProxyHandler({}))  # a proxy of the environment is for the world outside


class Refused(Exception):
    """The server answered a request with an error status because of what the message says."""


@dataclass(slots=True)
class _Traces:
    """What a server leaves on the machine: a folder with its log and temporary files, the variable with its key."""

    folder: Path
    key_variable: str
    keep_log: bool = False


class Server:
    """A running server; `Server.start` makes one. `url` ends in /v1; the key is in the environment variable
    `key_variable` of this process."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._port = _free_port()
        self.url = f"http://{_HOST}:{self._port}/v1"
        self.key_variable = f"TINYLLM_VLLM_KEY_{self._port}"
        key = secrets.token_urlsafe(32)
        traces = _Traces(Path(tempfile.mkdtemp(prefix="tinyllm-vllm-")), self.key_variable)
        self.log = traces.folder / _LOG
        guarded = [sys.executable, "-I", watchdog.__file__, "--grace", str(_GRACE)]
        guarded += ["--scratch", str(traces.folder), "--", *command]
        try:
            with self.log.open("wb") as log:
                self._guard = subprocess.Popen(
                    [*guarded, f"--host={_HOST}", f"--port={self._port}"],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **environment, **_temporary(traces.folder), "VLLM_API_KEY": key},
                    start_new_session=True,  # Ctrl-C in the terminal is for us alone
                )
        except BaseException:
            shutil.rmtree(traces.folder, ignore_errors=True)
            raise
        os.environ[self.key_variable] = key
        self._traces = traces
        self._end = weakref.finalize(self, _end, self._guard, traces)  # at exit as well

    @classmethod
    def start(cls, command: Sequence[str], environment: Mapping[str, str], patience: float) -> Server:
        """Run `command` and wait until it serves, at most `patience` seconds.

        Raises BadTeacherConfig for options that the command doesn't take, TeacherError when it ends or is not ready
        in time; nothing of it is left running then, and its log is kept."""
        _allow_many_connections()
        _keep_from_proxies()
        server = cls(command, environment)
        try:
            server._wait(patience)
        except TeacherError:
            server.stop(keep_log=True)
            raise
        except BaseException:
            server.stop()
            raise
        return server

    def healthy(self, *, busy_is_healthy: bool = True) -> bool:
        """Whether the server is there and says that its engine works. One that is too busy to say so is not dead."""
        if self._guard.poll() is not None:
            return False
        try:
            with _LOCAL.open(f"{self._root}/health", timeout=_HEALTH_SECONDS):
                return True
        except TimeoutError:
            return busy_is_healthy
        except OSError:
            return False

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON answer to a GET, or to a POST of `body`, at `path`.

        Raises Refused for an error status, TeacherError when there is no answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ[self.key_variable]}"}
        try:
            with _LOCAL.open(Request(f"{self._root}{path}", data, headers), timeout=_ANSWER_SECONDS) as answer:  # noqa: S310
                return json.loads(answer.read())
        except HTTPError as error:
            raise Refused(error.read().decode(errors="replace")) from error
        except (OSError, ValueError) as error:
            raise self.died() from error

    def facts(self) -> dict[str, Any]:
        """Version, dtype and device of the engine, as far as its log tells them."""
        return engine_facts(self._log_text())

    def died(self) -> TeacherError:
        """The error for a server that stopped in mid-run."""
        why = cause(self._log_text())
        return TeacherError(
            f"vLLM stopped in mid-run{f': {why}' if why else ''}.",
            f"What was answered is kept; run the same command to go on. vLLM's log: {self.log}",
        )

    def stop(self, *, keep_log: bool = False) -> None:
        """End the server and wait until nothing of it is left. Safe to call twice."""
        self._traces.keep_log |= keep_log
        self._end()

    @property
    def _root(self) -> str:
        return f"http://{_HOST}:{self._port}"

    def _wait(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        while not self.healthy(busy_is_healthy=False):
            if self._guard.poll() is not None:
                raise self._did_not_start()
            if time.monotonic() > deadline:
                raise TeacherError(
                    f"vLLM was not ready after {patience:.0f} seconds.",
                    f"Raise start_timeout in the teacher's table if it needs longer. vLLM's log: {self.log}",
                )
            time.sleep(_POLL)

    def _did_not_start(self) -> TeacherError:
        text = self._log_text()
        if wrong := usage_error(text):
            return BadTeacherConfig(
                f"vLLM does not take the engine options: {wrong}.", f"See `vllm serve --help=all`. Log: {self.log}"
            )
        why = cause(text) or f"it ended with exit code {self._guard.returncode}"
        return TeacherError(f"vLLM did not start: {why}.", f"Its log: {self.log}")

    def _log_text(self) -> str:
        try:
            return self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


def _end(running: subprocess.Popen[bytes], traces: _Traces) -> None:
    """Close the pipe, which tells the guard to clean up, and wait for it."""
    os.environ.pop(traces.key_variable, None)
    assert running.stdin is not None
    with suppress(BrokenPipeError):  # a server that crashed took its guard with it
        if traces.keep_log:
            running.stdin.write(b"keep the folder")
        running.stdin.close()
    try:
        running.wait(timeout=3 * _GRACE)
    except subprocess.TimeoutExpired:
        running.kill()  # the server gets SIGTERM by the death of its guard
        running.wait()
    if not traces.keep_log:
        shutil.rmtree(traces.folder, ignore_errors=True)
        return
    for entry in traces.folder.iterdir():
        if entry.name != _LOG and not entry.is_dir():
            entry.unlink(missing_ok=True)


def _temporary(folder: Path) -> dict[str, str]:
    """vLLM never removes its temporary files, sockets among them; `folder` goes when the server does. A socket's path
    has 37 characters more, and the system takes 107."""
    return {"TMPDIR": str(folder)} if len(str(folder)) <= 107 - 37 else {}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _keep_from_proxies() -> None:
    """A proxy of the environment is for the world outside; HTTP clients would send it what is for loopback, too."""
    spared = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if _HOST not in spared.split(","):
        os.environ["no_proxy"] = f"{spared},{_HOST}".lstrip(",")


def _allow_many_connections() -> None:
    """Each request in flight is a connection; the usual soft limit of 1024 files is too close."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(65536, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
