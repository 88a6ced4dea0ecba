"""Read vLLM's log: why it stopped, which options it refused, and what it runs on. Text in, text out."""

from __future__ import annotations

import re

__all__ = ["cause", "engine_facts", "usage_error"]

_LONGEST = 300
_PREFIX = re.compile(r"^(\([^)]*\)\s*)?((ERROR|WARNING|INFO|CRITICAL)\s+\d\d-\d\d \d\d:\d\d:\d\d\s+(\[[^\]]*\])?\s*)?")
_ERROR = re.compile(r"^([\w.]+\.)?[A-Z]\w*(Error|Exception|Exit|Interrupt)\b.*")
_DETAIL = "Value error, "
_USAGE = re.compile(r"error: ((?:unrecognized arguments|argument) .*|unrecognized arguments: .*)")
_CONSEQUENCES = ("See root cause above", "See stack trace")
"""In lines that report a consequence, not its cause."""

_NOISE = ("resource_tracker", "KeyboardInterrupt", "SystemExit", "CancelledError")
"""In lines about the shutdown itself."""

_FACTS = {
    "vllm": re.compile(r"LLM engine \(v([^)]+)\)"),
    "dtype": re.compile(r"LLM engine .*? dtype=(?:torch\.)?(\w+)"),
    "device": re.compile(r"LLM engine .*? device_config=(\w+)"),
    "quantization": re.compile(r"LLM engine .*? quantization=(\w+)"),
    "prefix_caching": re.compile(r"LLM engine .*? enable_prefix_caching=(\w+)"),
}


def cause(log: str) -> str:
    """Why the engine stopped: the last error that is not the consequence of another one; else the last error; else the
    last line."""
    lines = [text for line in log.splitlines() if (text := _PREFIX.sub("", line).strip())]
    lines = [text for text in lines if not any(word in text for word in _NOISE)]
    errors = [text for text in lines if _ERROR.match(text)]
    named = [text for text in errors if not any(word in text for word in _CONSEQUENCES)]
    detail = [text for text in lines if text.startswith(_DETAIL)]  # pydantic states it on a line of its own
    if named and "validation error" in named[-1] and detail:
        named = detail
    found = (named or errors or lines or [""])[-1].removeprefix(_DETAIL).partition(" [type=")[0]
    for words in _CONSEQUENCES:
        found = found.partition(words)[0].rstrip() or found
    return found[:_LONGEST].rstrip(".")


def usage_error(log: str) -> str:
    """The argument parser's error; empty when it accepted the command line."""
    found = _USAGE.findall(log)
    return str(found[-1])[:_LONGEST].rstrip(".") if found else ""


def engine_facts(log: str) -> dict[str, str]:
    """Version, dtype and device, from the line that the engine logs at its start."""
    found = {name: pattern.search(log) for name, pattern in _FACTS.items()}
    return {name: match[1] for name, match in found.items() if match and match[1] != "None"}
