"""Local teachers on vLLM: the engine runs as a server of its own and is reached through a Unix socket.

A server keeps the engine's crashes, memory and libraries out of this process, and may be installed in another
environment; nothing here imports vLLM or torch. Requests go through the `openai` adapter, with enough of them in flight
to keep the engine's queue filled. Its command line: `vllm_server.command`; its processes: `vllm_server.server`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import chain
from typing import Any

from backends import take
from backends.base import Answer, Completion, Request, Sampling, TeacherError
from backends.fingerprints import model_identity
from backends.openai_compatible import OpenAICompatibleTeacher
from backends.sampling import sent_sampling
from backends.vllm_server import command
from backends.vllm_server.server import Refused, Server

__all__ = ["VLLMTeacher"]

_SETTINGS: Mapping[str, Any] = {
    "model": str,
    "revision": str,
    "command": None,
    "engine": {},
    "max_in_flight": None,
    "timeout": 3600.0,
    "start_timeout": 1800.0,
    "length_retry_factor": 2.0,
    "trust_remote_code": False,
    "extra": {},
}
_GIVE_UP_AFTER = 3.0
"""Seconds until a local server that stops answering counts as dead; a busy one answers."""


class VLLMTeacher:
    """Settings: `model` (hub name, folder or embedded name), `revision`, `command` (a list or a line, such as
    ["/opt/vllm/bin/vllm", "serve"]; default: the vLLM of this environment), `engine` (vLLM's own options, such as
    max_model_len = 4096), `max_in_flight` (default: a quarter more than the engine's max_num_seqs), `timeout` (seconds
    for a reply, including its wait in the engine's queue), `start_timeout` (seconds until the engine is ready),
    `length_retry_factor` (the factor of the token limit when a truncated reply is
    requested again; 1: never), `trust_remote_code`, `extra` (fields for each request's body).

    The engine starts with the first request and runs until `close`."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._options = take(settings, "vllm", _SETTINGS)
        command.check(self._options)
        self._server: Server | None = None
        self._chat = True
        self._facts: dict[str, Any] = {}

    def identity(self) -> Mapping[str, str]:
        return model_identity(self._options["model"], self._options["revision"])

    def sent(self, sampling: Sampling) -> Sampling:
        return sent_sampling(sampling, (), self._options["extra"])

    def describe(self) -> Mapping[str, Any]:
        return self._facts

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[list[Answer]]:
        stream = iter(requests)
        first = next(stream, None)
        if first is None:
            return
        server = self._running()
        try:
            for answers in self._client(server).generate(chain((first,), stream), sampling):
                yield from self._alive(server, answers)
        except TeacherError as error:
            if self._server is None or server.healthy():
                raise
            raise self._lost(server) from error

    def render(self, request: Request) -> str | None:
        """The prompt as the model reads it, after its chat template; None when that refuses it. Starts the engine."""
        server = self._running()
        try:
            tokens = server.ask("/tokenize", self._prompt(request))["tokens"]
            return str(server.ask("/detokenize", {"model": self._name, "tokens": tokens})["prompt"])
        except (Refused, KeyError):
            return None
        except TeacherError as error:
            raise self._lost(server) from error

    def close(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _running(self) -> Server:
        """The server; it is started when there is none."""
        if self._server is None:
            line = command.command_line(self._options, self._name)
            variables = command.environment(self._options)
            server = Server.start(line, variables, float(self._options["start_timeout"]))
            try:
                self._chat = self._has_chat_template(server)
            except BaseException:
                server.stop(keep_log=True)
                raise
            api = "chat" if self._chat else "completions"
            self._facts = {**server.facts(), "api": api, "command": shlex.join(line)}
            self._server = server
        return self._server

    def _alive(self, server: Server, answers: list[Answer]) -> Iterator[list[Answer]]:
        """`answers`; but failures caused by the engine's death end the run instead of failing the questions."""
        answered = [answer for answer in answers if isinstance(answer[1], Completion)]
        if len(answered) == len(answers) or server.healthy():
            yield answers
            return
        if answered:
            yield answered
        raise self._lost(server)

    def _lost(self, server: Server) -> TeacherError:
        """The error to raise for a server that died; the next call starts a new one."""
        self._server = None
        error = server.died()
        server.stop(keep_log=True)
        return error

    @cached_property
    def _name(self) -> str:
        return self.identity()["model"]

    def _has_chat_template(self, server: Server) -> bool:
        """A base model has none and gets the plain prompt."""
        try:
            server.ask("/tokenize", {"model": self._name, "messages": [{"role": "user", "content": "Hello"}]})
        except Refused as error:
            return "chat template" not in str(error)
        return True

    def _prompt(self, request: Request) -> dict[str, Any]:
        turns = [{"role": message.role, "content": message.content} for message in request.messages]
        if self._chat:
            return {"model": self._name, "messages": turns}
        return {"model": self._name, "prompt": "\n\n".join(turn["content"] for turn in turns)}

    def _client(self, server: Server) -> OpenAICompatibleTeacher:
        return OpenAICompatibleTeacher(
            {
                "model": self._name,
                "base_url": server.url,
                "api_key_env": server.key_variable,
                "api": "chat" if self._chat else "completions",
                "max_in_flight": command.in_flight(self._options),
                "timeout": float(self._options["timeout"]),
                "give_up_after": _GIVE_UP_AFTER,
                "length_retry_factor": float(self._options["length_retry_factor"]),
                "extra": self._options["extra"],
            },
            socket=server.socket,
        )
