"""The settings of a teacher's replicas: the table [teachers.NAME.cluster]. Knows nothing of Ray."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from backends.base import BadTeacherConfig
from backends.secrets import refuse_secrets

__all__ = ["KNOWN", "ClusterSettings"]

KNOWN: Mapping[str, str] = {
    "address": "text",
    "replicas": "whole number, or two",
    "num_cpus": "number",
    "num_gpus": "number",
    "resources": "table",
    "runtime_env": "table",
    "timeout": "number",
    "start_timeout": "number",
}
"""The settings, and what each takes."""

_MOST = 10_000


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """Where and how often a teacher's engine runs. Resources are those of one replica."""

    address: str = "auto"
    """"auto": RAY_ADDRESS or a cluster that runs on this machine; "local": one that is started here; or host:port."""

    least: int = 1
    """The run ends when fewer replicas find room within `start_timeout`."""

    most: int = 1
    num_cpus: float = 1.0
    num_gpus: float | None = None
    """None: 1 in a cluster with GPUs, else 0."""

    resources: Mapping[str, float] = field(default_factory=dict)
    runtime_env: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 600.0
    """Seconds without an answer after which a replica that has requests is replaced."""

    start_timeout: float = 1800.0
    """The same until its first answer, and the seconds to wait for room."""

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Self:
        """From a table of tinyllm.toml. Raises BadTeacherConfig that names the setting."""
        unknown = sorted(set(table) - set(KNOWN))
        if unknown:
            raise BadTeacherConfig(f"unknown setting '{unknown[0]}'.", f"Known here: {', '.join(sorted(KNOWN))}.")
        refuse_secrets(table)
        for name, value in table.items():
            if not _fits(name, value):
                raise BadTeacherConfig(f"{name} can't be {value!r}.", f"It takes {_TAKES[name]}.")
        rest = {name: value for name, value in table.items() if name != "replicas"}
        found = cls(**rest)
        if "replicas" not in table:
            return found
        stated = table["replicas"]
        least, most = stated if isinstance(stated, list) else (stated, stated)
        return replace(found, least=least, most=most)

    def with_replicas(self, count: int) -> Self:
        """The same with exactly so many replicas."""
        return replace(self, least=count, most=count)


_TAKES = {
    "address": '"auto", "local" or host:port',
    "replicas": f"a whole number from 1 to {_MOST:,}, or two such as [1, 8]: the fewest and the most",
    "num_cpus": "a number, 0 or more",
    "num_gpus": "a number, 0 or more",
    "resources": "a table of numbers, such as { accelerator = 1 }",
    "runtime_env": "a table as Ray has it",
    "timeout": "seconds, more than 0",
    "start_timeout": "seconds, more than 0",
}


def _fits(name: str, value: Any) -> bool:
    if name == "address":
        return isinstance(value, str) and bool(value.strip()) and "://" not in value
    if name == "replicas":
        pair = value if isinstance(value, list) else [value, value]
        return len(pair) == 2 and all(type(one) is int for one in pair) and 1 <= pair[0] <= pair[1] <= _MOST
    if name == "resources":
        return isinstance(value, Mapping) and all(_amount(one) for one in value.values())
    if name == "runtime_env":
        return isinstance(value, Mapping) and _plain(value)
    return _amount(value) and (value > 0 or name.startswith("num_"))


def _amount(value: Any) -> bool:
    """A number that a resource can have."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _plain(value: Any) -> bool:
    """Whether JSON has it: TOML's dates are nothing that Ray takes."""
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
