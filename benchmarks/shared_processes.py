"""`tinyllm` with many replicas in each process of Ray: more replicas than a machine starts processes.

    TINYLLM_SHARED=25 python benchmarks/shared_processes.py elicit -t NAME -d DATASET

Everything else is the tool's own: each replica has its engine's thread, its calls through Ray and its reports. The last
line is the peak memory of this process in kB.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from backends.cluster import teacher
from backends.cluster.actors import Actors

_hosts: list[tuple[Any, list[int]]] = []
"""Processes of Ray, and the numbers of the replicas in them."""


class _Host:
    """Replicas in one process."""

    def __init__(self) -> None:
        self._replicas: dict[int, Any] = {}

    def add(self, number: int, backend: str, settings: Mapping[str, Any]) -> Any:
        import ray

        from backends.cluster.replica import Replica

        self._replicas[number] = Replica(backend, settings)
        return self._replicas[number].hello(ray.get_runtime_context().get_node_id())

    def call(self, number: int, method: str, *arguments: Any) -> Any:
        return getattr(self._replicas[number], method)(*arguments)


@dataclass(frozen=True)
class _Method:
    """What Ray calls a method of an actor, for one replica of a host."""

    remote: Any


class _Handle:
    """One replica of a host, as the fleet sees an actor."""

    def __init__(self, host: Any, number: int) -> None:
        for method in ("exchange", "render", "stop"):
            setattr(self, method, _Method(partial(host.call.remote, number, method)))


class SharedActors(Actors):
    """Actors of which so many as TINYLLM_SHARED says share a process."""

    def start(self, avoided: Collection[str]) -> tuple[Any, Any]:
        assert not avoided, "no replica fails here"
        ray, shared = self.session.ray, int(os.environ["TINYLLM_SHARED"])
        if not _hosts or len(_hosts[-1][1]) == shared:
            # each replica waits in one call, and is stopped in another
            options = {"num_cpus": 1, "max_concurrency": 2 * shared, "scheduling_strategy": "SPREAD"}
            _hosts.append((ray.remote(_Host).options(**options).remote(), []))
        host, numbers = _hosts[-1]
        number = sum(len(one) for _, one in _hosts)
        numbers.append(number)
        return _Handle(host, number), host.add.remote(number, self.backend, dict(self.options))

    def kill(self, actor: Any) -> None:
        """The hosts end with this process."""


def main() -> None:
    from tinyllm_cli.cli import main as tinyllm

    teacher.Actors = SharedActors
    try:
        tinyllm()
    finally:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        print("peak", re.findall(r"VmHWM:\s+(\d+) kB", status)[0])


if __name__ == "__main__":
    main()
