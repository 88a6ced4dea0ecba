"""Endpoints that come and go: a file of URLs, or a directory of such files, that is read again during a run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from backends.base import BadTeacherConfig
from backends.hosted.settings import checked_url

__all__ = ["UrlFile"]

_PERIOD = 2.0  # seconds between two readings
_LARGEST = 1 << 20  # bytes of a file
_log = logging.getLogger(__name__)


class UrlFile:
    """One URL a line; blank lines and those that begin with # are skipped. In a directory, files whose name begins with
    a dot are skipped, so that a file can be written under such a name and then renamed."""

    def __init__(self, path: str) -> None:
        self.path = Path(path).expanduser()
        self._reported = ""

    def read(self) -> list[str]:
        """The checked URLs, each once, in order. Raises BadTeacherConfig for a path that is not there or can't be read,
        and for a line that is no URL."""
        try:
            texts = self._texts()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise BadTeacherConfig(
                f"base_urls_file {str(self.path)!r} can't be read: {reason}.",
                "Give a file with one URL a line, or a directory of such files; it may be empty.",
            ) from None
        lines = [line.strip() for text in texts for line in text.splitlines()]
        return list(dict.fromkeys(checked_url(line) for line in lines if line and not line.startswith("#")))

    def _texts(self) -> list[str]:
        if not self.path.is_dir():
            return [_text(self.path)]
        found = []
        for file in sorted(self.path.iterdir()):
            if not file.name.startswith(".") and file.is_file():
                try:
                    found.append(_text(file))
                except FileNotFoundError:  # its server has left meanwhile
                    continue
        return found

    async def follow(self, change: Callable[[Sequence[str]], None], allowed: Callable[[str], bool]) -> None:
        """Call `change` with the allowed URLs every two seconds. What can't be read leaves them as they are."""
        while True:
            await asyncio.sleep(_PERIOD)
            try:
                urls = self.read()
            except BadTeacherConfig as error:
                self._report(f"{error} The endpoints stay as they were.")
                continue
            refused = [url for url in urls if not allowed(url)]
            if refused:
                self._report(f"{refused[0]} is not used: it is outside this network and has no price. {_PRICES}")
            elif not urls:
                self._report(f"{self.path} lists no endpoint: waiting for one.")
            else:
                self._reported = ""
            change([url for url in urls if allowed(url)])

    def _report(self, message: str) -> None:
        """Once until something else happens."""
        if message != self._reported:
            self._reported = message
            _log.warning("%s", message)


_PRICES = "Set price_prompt and price_completion."


def _text(file: Path) -> str:
    if not file.exists():
        raise FileNotFoundError("it is not there")
    if not file.is_file():
        raise ValueError("it is neither a file nor a directory")
    with file.open("rb") as opened:
        content = opened.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError("it is too large for a list of URLs")
    return content.decode("utf-8-sig")
