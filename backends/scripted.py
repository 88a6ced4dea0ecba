"""Canned replies: a teacher without a model, for trying the tool, for documentation and for tests.

Replies come from `replies` or from `path`, a text file with one reply per line. The reply to a request depends only on
the request, so that a resumed run writes the same as an uninterrupted one.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from backends import take
from backends.base import Answer, BadTeacherConfig, Completion, Failure, Outcome, Request, Sampling

__all__ = ["ScriptedTeacher"]

_SETTINGS: Mapping[str, Any] = {"replies": list, "path": str, "delay": 0.0, "log": str}


class ScriptedTeacher:
    """Settings: `replies` or `path`; `delay` (seconds for each reply); `log` (a file that gets one line per request, by
    which tests count requests)."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        options = take(settings, "scripted", _SETTINGS)
        self._replies = options["replies"] or self._from_file(options["path"])
        self._delay = float(options["delay"])
        if not (all(isinstance(reply, str) for reply in self._replies) and 0 <= self._delay < math.inf):
            raise BadTeacherConfig("Scripted `replies` are texts, and `delay` is a number of seconds, 0 or more.")
        self._log = Path(options["log"]) if options["log"] else None

    @staticmethod
    def _from_file(path: str | None) -> list[str]:
        if path is None:
            raise BadTeacherConfig(
                "A scripted teacher needs replies.",
                'Give `replies = ["..."]` or `path = "replies.txt"` in its table of tinyllm.toml.',
            )
        try:
            replies = Path(path).expanduser().read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise BadTeacherConfig(f"The scripted replies in {path} can't be read: {error}.") from error
        if not replies:
            raise BadTeacherConfig(f"{path} contains no replies.", "Write one reply per line.")
        return replies

    def identity(self) -> Mapping[str, str]:
        digest = hashlib.sha256("\n".join(self._replies).encode()).hexdigest()
        return {"model": "scripted", "revision": digest[:12]}

    def describe(self) -> Mapping[str, Any]:
        return {"replies": len(self._replies)}

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[list[Answer]]:
        for request in requests:
            if self._log:
                with self._log.open("a", encoding="utf-8") as log:
                    log.write(f"{request.split}\t{request.key}\t{request.sample}\n")
            time.sleep(self._delay)
            yield [(request, self._reply(request, sampling))]

    def _reply(self, request: Request, sampling: Sampling) -> Outcome:
        address = f"{request.split}\0{request.key}\0{request.sample}".encode()
        pick = int.from_bytes(hashlib.sha256(address).digest()[:4], "big")
        words = self._replies[pick % len(self._replies)].split(" ")
        text = " ".join(words[: sampling.max_tokens])
        if not text.strip():
            return Failure(reason="empty reply")
        return Completion(
            text=text,
            finish_reason="length" if len(words) > sampling.max_tokens else "stop",
            completion_tokens=min(len(words), sampling.max_tokens),
            prompt_tokens=sum(len(message.content.split()) for message in request.messages),
            seconds=self._delay,
        )

    def close(self) -> None:
        """Nothing to close."""
