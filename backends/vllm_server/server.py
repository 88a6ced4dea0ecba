"""One `vllm serve` of our own: start it, wait until it is ready, query it, and end it with everything it started.

The process runs under `watchdog`, whose standard input is a pipe from here: when this process dies in any way, the pipe
closes and the watchdog ends the server and its children. The server listens on a Unix socket in a folder that only this
user can enter, so no other user of the machine can take its place and receive key and prompts. Its key is made for each
start and passed in the environment, never on a command line.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.base import BadTeacherConfig, TeacherError
from backends.connections import allow_connections
from backends.vllm_server import watchdog
from backends.vllm_server.log import cause, engine_facts, usage_error

__all__ = ["Refused", "Server"]

_GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL. A running server needs under one; one that is loading may ignore SIGTERM."""

_HOST = "127.0.0.1"
_LOG = "vllm.log"
_POLL = 0.2
_ANSWER_SECONDS = 30.0
_HEALTH_SECONDS = 5.0
_LARGEST_ANSWER = 64 * 2**20  # bytes
_LONGEST_SOCKET = 107 - 10
"""Bytes of a folder's path that leave room for a socket in it: the system takes 107."""

_ELSEWHERE = frozenset({"docker", "podman", "nerdctl", "ssh", "srun", "kubectl"})
"""Programs whose server sees other folders: it gets a port on loopback instead of a socket."""


class Refused(Exception):
    """The server answered a request with an error status; the message is the body."""


@dataclass(slots=True)
class _Traces:
    """What a server leaves on the machine: a folder with log, socket and temporary files, and the key's variable."""

    folder: Path
    key_variable: str
    keep_log: bool = False


class _Connection(http.client.HTTPConnection):
    """To `address`, or to the Unix socket at `path` when that is not None; never through a proxy."""

    def __init__(self, address: str, path: str | None, seconds: float) -> None:
        super().__init__(address, timeout=seconds)
        self._path = path

    def connect(self) -> None:
        if self._path is None:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Server:
    """A running server; `Server.start` makes one. `url` ends in /v1 and is reached through the Unix socket at `socket`
    when that is not None. The key is in the environment variable `key_variable` of this process."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.key_variable = f"TINYLLM_VLLM_API_KEY_{secrets.token_hex(4)}"
        key = secrets.token_urlsafe(32)
        traces = _Traces(_private_folder(), self.key_variable)
        self.log = traces.folder / _LOG
        self.socket: str | None = None
        self._address = _HOST
        if Path(command[0]).name in _ELSEWHERE:
            port = _free_port()
            self._address, place = f"{_HOST}:{port}", [f"--host={_HOST}", f"--port={port}"]
        else:
            self.socket = str(traces.folder / "socket")
            place = [f"--uds={self.socket}"]
        self.url = f"http://{self._address}/v1"
        guarded = [sys.executable, "-I", watchdog.__file__, "--grace", str(_GRACE)]
        guarded += ["--scratch", str(traces.folder), "--", *command, *place]
        try:
            with self.log.open("wb") as log:
                self._watchdog = subprocess.Popen(
                    guarded,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**environment, **_temporary(traces.folder), "VLLM_API_KEY": key},
                    start_new_session=True,  # only this process gets Ctrl-C from the terminal
                )
        except BaseException:
            shutil.rmtree(traces.folder, ignore_errors=True)
            raise
        os.environ[self.key_variable] = key
        self._traces = traces
        self._end = weakref.finalize(self, _end, self._watchdog, traces)  # at exit as well

    @classmethod
    def start(cls, command: Sequence[str], environment: Mapping[str, str], start_timeout: float) -> Server:
        """Run `command` with exactly the variables in `environment`, and wait until it is ready, at most
        `start_timeout` seconds.

        Raises BadTeacherConfig for options that the command doesn't take, TeacherError when it ends or is not ready
        in time; then nothing of it keeps running, and its log is kept."""
        allow_connections(0)
        server = cls(command, environment)
        try:
            server._wait(start_timeout)
        except TeacherError:
            server.stop(keep_log=True)
            raise
        except BaseException:
            server.stop()
            raise
        return server

    def healthy(self, *, busy_is_healthy: bool = True) -> bool:
        """Whether the server says that its engine works. A server that is too busy to answer in time counts as
        `busy_is_healthy`."""
        if self._watchdog.poll() is not None:
            return False
        try:
            return self._send("/health", None, _HEALTH_SECONDS)[0] == http.client.OK
        except TimeoutError:
            return busy_is_healthy
        except (OSError, http.client.HTTPException):
            return False

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON answer to a GET, or to a POST of `body`, at `path`.

        Raises Refused for an error status, TeacherError when there is no answer."""
        data = None if body is None else json.dumps(body).encode()
        try:
            status, content = self._send(path, data, _ANSWER_SECONDS)
            if status < http.client.BAD_REQUEST:
                return json.loads(content)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self.died() from error
        raise Refused(content.decode(errors="replace"))

    def _send(self, path: str, data: bytes | None, seconds: float) -> tuple[int, bytes]:
        """(status, body) of the answer to a GET, or to a POST of `data`. /health gets no key: nobody has shown yet
        that the server is there."""
        headers = {"Content-Type": "application/json"}
        if path != "/health":
            headers["Authorization"] = f"Bearer {os.environ[self.key_variable]}"
        with closing(_Connection(self._address, self.socket, seconds)) as connection:
            connection.request("GET" if data is None else "POST", path, data, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(_LARGEST_ANSWER)

    def facts(self) -> dict[str, Any]:
        """Version, dtype and device of the engine, as far as its log states them."""
        return engine_facts(self._log_text())

    def died(self) -> TeacherError:
        """The error for a server that stopped during the run."""
        why = cause(self._log_text())
        return TeacherError(
            f"vLLM stopped during the run{f': {why}' if why else ''}.",
            f"What was answered is kept; run the same command to resume. vLLM's log: {self.log}",
        )

    def stop(self, *, keep_log: bool = False) -> None:
        """End the server and wait until all its processes are gone. Safe to call twice."""
        self._traces.keep_log |= keep_log
        self._end()

    def _wait(self, start_timeout: float) -> None:
        deadline = time.monotonic() + start_timeout
        while not self.healthy(busy_is_healthy=False):
            if self._watchdog.poll() is not None:
                raise self._did_not_start()
            if time.monotonic() > deadline:
                raise TeacherError(
                    f"vLLM was not ready after {start_timeout:.0f} seconds.",
                    f"Raise start_timeout in the teacher's table if it needs longer. vLLM's log: {self.log}",
                )
            time.sleep(_POLL)

    def _did_not_start(self) -> TeacherError:
        text = self._log_text()
        if wrong := usage_error(text):
            return BadTeacherConfig(
                f"vLLM does not take the engine options: {wrong}.", f"See `vllm serve --help=all`. Log: {self.log}"
            )
        why = cause(text) or f"it ended with exit code {self._watchdog.returncode}"
        return TeacherError(f"vLLM did not start: {why}.", f"Its log: {self.log}")

    def _log_text(self) -> str:
        try:
            return self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


def _end(running: subprocess.Popen[bytes], traces: _Traces) -> None:
    """Close the pipe, after which the watchdog cleans up, and wait for it."""
    os.environ.pop(traces.key_variable, None)
    assert running.stdin is not None
    with suppress(BrokenPipeError):  # the watchdog has ended with a server that crashed
        if traces.keep_log:
            running.stdin.write(b"keep the folder")
        running.stdin.close()
    try:
        running.wait(timeout=3 * _GRACE)
    except subprocess.TimeoutExpired:
        running.kill()  # the server gets SIGTERM when its watchdog dies
        running.wait()
    if not traces.keep_log:
        shutil.rmtree(traces.folder, ignore_errors=True)
        return
    for entry in traces.folder.iterdir():
        if entry.name != _LOG and not entry.is_dir():
            entry.unlink(missing_ok=True)


def _temporary(folder: Path) -> dict[str, str]:
    """vLLM never removes its temporary files, sockets among them; `folder` is removed with the server. A socket's path
    has 37 characters more, and the system takes 107."""
    return {"TMPDIR": str(folder)} if len(str(folder)) <= 107 - 37 else {}


def _private_folder() -> Path:
    """A new folder that only this user can enter, with a path short enough for a socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="tinyllm-vllm-"))
    if len(os.fsencode(folder)) > _LONGEST_SOCKET:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="tinyllm-vllm-", dir="/tmp"))
    return folder


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port
