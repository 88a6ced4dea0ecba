"""Structured logs: with TINYLLM_LOG=json every line that tinyllm writes to stderr is one JSON object."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from typing import Literal

import typer

from tinyllm_cli.terminal import printable

VARIABLE = "TINYLLM_LOG"
FORMATS = ("text", "json")
Level = Literal["debug", "info", "warning", "error"]


def structured() -> bool:
    """Whether stderr is JSON."""
    return os.environ.get(VARIABLE) == "json"


def check_format() -> None:
    """Raises BadParameter when the variable has another value than `text` or `json`."""
    value = os.environ.get(VARIABLE) or "text"
    if value not in FORMATS:
        raise typer.BadParameter(f"{VARIABLE} can't be '{printable(value)}': it is {' or '.join(FORMATS)}.")


def write(level: Level, event: str, **fields: object) -> None:
    """One line: the time in UTC, the level, the event and its fields."""
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, "event": event, **fields}
    sys.stderr.write(printable(json.dumps(line, ensure_ascii=False)) + "\n")
