"""The connection to a Ray cluster: Ray's import, a cluster that runs or one that is started here, its nodes, and if
their versions are ours. Knows nothing of the work that is done there.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

from backends.base import BadTeacherConfig, TeacherError
from backends.cluster.local import LocalCluster
from backends.cluster.versions import differing, versions_here

__all__ = ["ADDRESSES", "Node", "Session", "import_ray"]

INSTALL = "pip install 'tinyllm-cli[cluster]'"
ADDRESSES = 'Give "auto" (a cluster that runs here), "local" (start one here) or host:port.'
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Ray sends no statistics about its use, and writes no lines of its own between ours. The environment wins."""

_REACH_SECONDS = 5.0  # Ray itself tries an address where nobody listens for two minutes
_CHECK_SECONDS = 300.0  # a node may have to install a runtime_env first
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def import_ray() -> Any:
    """The module `ray`. Raises BadTeacherConfig with the command that installs it."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise BadTeacherConfig("Work on a cluster needs Ray.", f"Install it: {INSTALL}") from error
    logging.getLogger("ray").setLevel(logging.ERROR)
    # Ray prints what it finds about dead workers and nodes among our lines, and has no setting for it: replicas report
    # their own end.
    ray._private.worker.print_to_stdstream = lambda *_args, **_kwargs: None
    return ray


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A living machine of the cluster. `name` is for people: the name that it was started with, else its host's name,
    with the beginning of its ID where several nodes share that."""

    id: str
    name: str
    resources: Mapping[str, float]


@dataclass(kw_only=True)
class Session:
    """A connection to a cluster; close it. A program that is connected already keeps its connection."""

    ray: Any
    runtime_env: Mapping[str, Any] = field(default_factory=dict)
    owned: bool = True
    local: LocalCluster | None = None
    """The cluster, if it was started for this session."""

    _names: dict[str, str] = field(default_factory=dict)

    @classmethod
    def connect(cls, address: str = "auto", runtime_env: Mapping[str, Any] | None = None) -> Self:
        """Connect to the cluster at `address`; "auto": RAY_ADDRESS or one that runs here, "local": start one.

        Raises TeacherError when there is none, BadTeacherConfig for an address that is none or another version of Ray
        or Python."""
        ray = import_ray()
        environment = dict(runtime_env or {})
        if ray.is_initialized():
            return cls(ray=ray, runtime_env=environment, owned=False)
        options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False, "logging_level": logging.ERROR}
        local = LocalCluster.start() if address == "local" else None
        session = cls(ray=ray, runtime_env=environment, local=local)
        where = local.address if local else address
        if local is None:
            _check_reachable(address)  # with "auto", Ray finds its token as well
        try:
            with _signals_kept():
                ray.init(address=where, **options)
        except BaseException as error:
            with suppress(Exception):
                session.close()
            if not isinstance(error, Exception):
                raise
            raise _refused(error, address) from error
        return session

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection, and a cluster that was started here. Safe to call twice."""
        if self.owned and self.ray.is_initialized():
            with _signals_kept():
                self.ray.shutdown()
        if self.local is not None:
            self.local.stop()

    def nodes(self) -> list[Node]:
        """The nodes that live."""
        alive = [one for one in self.ray.nodes() if one["Alive"]]
        return [
            Node(id=one["NodeID"], name=self._name(one), resources=dict(one["Resources"]))
            for one in sorted(alive, key=lambda one: str(one["NodeID"]))
        ]

    def _name(self, node: Mapping[str, Any]) -> str:
        """A node keeps its name for the whole session."""
        own: str = node["NodeID"]
        if own not in self._names:
            stated, host = str(node["NodeName"]), str(node["NodeManagerHostname"])
            name = host if stated in ("", str(node["NodeManagerAddress"])) else stated
            shared = sum(name in (str(one["NodeName"]), str(one["NodeManagerHostname"])) for one in self.ray.nodes())
            self._names[own] = f"{name}/{own[:8]}" if shared > 1 else name
        return self._names[own]

    def check_versions(self) -> None:
        """Compare Ray, Python and tinyllm on all nodes, as the work's `runtime_env` has them, with ours.

        Raises BadTeacherConfig that names the nodes which differ."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        def probe() -> dict[str, str]:  # sent by value: a node without tinyllm can't import it from us
            try:
                from backends.cluster.versions import versions_here
            except ImportError as error:
                return {"tinyllm": f"not installed ({error})"}
            return versions_here()

        nodes = self.nodes()
        task = self.ray.remote(num_cpus=0, max_retries=0, runtime_env=dict(self.runtime_env) or None)(probe)
        asked = {
            node.name: task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)).remote()
            for node in nodes
        }
        self.ray.wait(list(asked.values()), num_returns=len(asked), timeout=_CHECK_SECONDS)
        wrong = {name: problem for name, answer in asked.items() if (problem := self._problem(answer))}
        alive = {node.name for node in self.nodes()} if wrong else set()
        wrong = {name: problem for name, problem in wrong.items() if name in alive}  # others left meanwhile
        if wrong:
            listed = "; ".join(f"{name}: {problem}" for name, problem in sorted(wrong.items()))
            here = ", ".join(f"{what} {version}" for what, version in versions_here().items())
            raise BadTeacherConfig(
                f"{len(wrong)} of {len(nodes)} nodes don't have the versions of this machine: {listed}.",
                f"Install there what is here: {here}.",
            )

    def _problem(self, answer: Any) -> str:
        """What is wrong with a node, by its answer; empty: nothing."""
        try:
            return differing(self.ray.get(answer, timeout=0))
        except self.ray.exceptions.GetTimeoutError:
            return f"no answer within {_CHECK_SECONDS:.0f} seconds"
        except self.ray.exceptions.RayError as error:
            return f"its check failed: {first_line(error)}"


def first_line(error: BaseException) -> str:
    """The first line of an error that says something, in at most 300 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


def _check_reachable(address: str) -> None:
    """Raises TeacherError when no cluster answers there."""
    from ray._private.services import canonicalize_bootstrap_address

    none_here = TeacherError(
        "No Ray cluster runs on this machine.",
        'Start one (ray start --head), or give its address; address = "local" starts one for this command.',
    )
    try:
        found = str(canonicalize_bootstrap_address(address))
        host, _, port = found.rpartition(":")
        place = (host.strip("[]"), int(port))
    except ConnectionError as error:
        raise none_here from error
    except (ValueError, OSError) as error:
        raise BadTeacherConfig(f"{address!r} is not the address of a Ray cluster.", ADDRESSES) from error
    try:
        socket.create_connection(place, _REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        if address == "auto" and not os.environ.get("RAY_ADDRESS"):  # what a file says that an earlier one left
            raise none_here from error
        shown, why = found if address == "auto" else address, getattr(error, "strerror", None) or error
        raise TeacherError(
            f"No Ray cluster answers at {shown}: {why}.",
            "Start it (ray start --head), or correct its address or RAY_ADDRESS.",
        ) from error


def _refused(error: Exception, address: str) -> TeacherError:
    """Why `ray.init` failed."""
    text = " ".join(str(error).split())
    if "Version mismatch" in text:
        return BadTeacherConfig(
            f"{text.rstrip('.')}.", "Use the same versions of Ray and Python here and on all nodes of the cluster."
        )
    if "InvalidAuthToken" in _causes(error):
        return TeacherError(
            f"The cluster at {address} asks for a token, and refuses ours.",
            "Set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or ~/.ray/auth_token to the cluster's token.",
        )
    where = "A Ray cluster can't be started here" if address == "local" else f"The cluster at {address} can't be used"
    return TeacherError(f"{where}: {text[:300] or type(error).__name__}.", "See Ray's logs, in /tmp/ray on its nodes.")


def _causes(error: BaseException | None) -> str:
    """The messages of an error and of what caused it."""
    return f"{error} {_causes(error.__cause__ or error.__context__)}" if error is not None else ""


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray sets signal handlers of its own; ours come back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
