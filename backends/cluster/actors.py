"""Ray actors around replicas: start them, wait for their answers, tell why one is gone, end them.

Only this module and `session` call Ray; which replica runs when is the fleet's decision.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from backends.base import BadTeacherConfig, Request
from backends.cluster.messages import Hello, Orders, Trouble
from backends.cluster.session import Session, first_line
from backends.cluster.settings import ClusterSettings

__all__ = ["Actors", "Gone"]

_NODE_ID = "ray.io/node-id"


class Gone(Trouble):
    """A replica that can't be reached, through no fault of its own."""


@dataclass(frozen=True, kw_only=True)
class Actors:
    """Replicas of the adapter `backend` with these options, as Ray actors."""

    session: Session
    backend: str
    options: Mapping[str, Any]
    cluster: ClusterSettings

    def nodes(self) -> dict[str, str]:
        """The names of the living nodes, by their IDs."""
        return {node.id: node.name for node in self.session.nodes()}

    def able(self) -> set[str]:
        """The living nodes that can hold a replica, when nothing else is there."""
        return {node.id for node in self.session.nodes() if self._fits(node.resources)}

    def with_room(self) -> set[str]:
        """The nodes on which a replica would start at once."""
        from ray._private.state import available_resources_per_node

        return {node for node, free in available_resources_per_node().items() if self._fits(free)} & self.able()

    def _fits(self, resources: Mapping[str, float]) -> bool:
        wanted = {"CPU": self.cluster.num_cpus, "GPU": self._gpus(), **self.cluster.resources}
        return all(resources.get(name, 0) >= amount for name, amount in wanted.items())

    def start(self, avoided: Collection[str]) -> tuple[Any, Any]:
        """A new actor on a node that is not `avoided`, and the answer to its `hello`. Both are there at once; the actor
        runs when there is room.

        Raises BadTeacherConfig for settings that Ray refuses."""
        cluster = self.cluster
        options: dict[str, Any] = {
            "num_cpus": cluster.num_cpus, "num_gpus": self._gpus(), "resources": dict(cluster.resources),
            "runtime_env": dict(cluster.runtime_env) or None, "max_restarts": 0, "max_task_retries": 0,
            "max_concurrency": 4, "scheduling_strategy": "SPREAD",
        }  # fmt: skip
        if avoided:
            options["label_selector"] = {_NODE_ID: f"!in({','.join(sorted(avoided))})"}
        try:
            actor = self._class.options(**options).remote(self.backend, dict(self.options))
        except (ValueError, TypeError) as error:
            raise BadTeacherConfig(f"Ray does not take the settings of the cluster: {first_line(error)}.") from error
        return actor, actor.greet.remote()

    def exchange(self, actor: Any, orders: Orders) -> Any:
        """The answer to `orders`, to wait for."""
        return actor.exchange.remote(orders)

    def finished(self, calls: Sequence[Any], seconds: float) -> list[Any]:
        """Those of `calls` whose answer is there, after at most so many seconds."""
        ray = self.session.ray
        if not calls:
            time.sleep(seconds)
            return []
        done, others = ray.wait(list(calls), num_returns=1, timeout=seconds)
        if done and others:
            done = [*done, *ray.wait(others, num_returns=len(others), timeout=0)[0]]
        return list(done)

    def result(self, call: Any, node: str) -> Any:
        """What a call to the replica on `node` ("": not known yet) returned; a Trouble when the replica is no more."""
        errors = self.session.ray.exceptions
        try:
            return self.session.ray.get(call)
        except (errors.ActorUnavailableError, errors.NodeDiedError) as error:
            return Gone(message=first_line(error))
        except errors.ActorDiedError as error:
            if "node has died" in str(error) or (node and not self._lives(node)):
                return Gone(message="its node is gone")
            return Trouble(message=_why(error))
        except errors.RuntimeEnvSetupError as error:
            return Trouble(message=f"its runtime_env can't be set up: {first_line(error)}", lasting=True)
        except errors.RayError as error:
            return Trouble(message=first_line(error))

    def render(self, actor: Any, request: Request, seconds: float) -> str | None:
        """The prompt as a replica's model reads it; None when there is no answer."""
        try:
            found: str | None = self.session.ray.get(actor.render.remote(request), timeout=seconds)
        except self.session.ray.exceptions.RayError:
            return None
        return found

    def stop(self, actors: Sequence[Any], seconds: float) -> None:
        """Let actors free their engines, for at most so many seconds."""
        calls = [actor.stop.remote() for actor in actors]
        if calls:
            self.session.ray.wait(calls, num_returns=len(calls), timeout=seconds)

    def kill(self, actor: Any) -> None:
        self.session.ray.kill(actor, no_restart=True)

    @cached_property
    def _class(self) -> Any:
        return self.session.ray.remote(_actor_class())

    @property
    def wants(self) -> str:
        """What one replica needs, in words."""
        named = {"num_cpus": self.cluster.num_cpus, "num_gpus": self._gpus(), **self.cluster.resources}
        return ", ".join(f"{name} = {amount:g}" for name, amount in named.items() if amount)

    def _gpus(self) -> float:
        if self.cluster.num_gpus is not None:
            return self.cluster.num_gpus
        return float(any(node.resources.get("GPU") for node in self.session.nodes()))

    def _lives(self, node: str) -> bool:
        """Whether a node lives: the cluster may need a moment to find that it doesn't."""
        for _ in range(5):
            if node not in self.nodes():
                return False
            time.sleep(0.2)
        return True


def _why(error: Exception) -> str:
    """The reason of an actor's death, from Ray's many lines."""
    if "worker process has died" in str(error):
        return "its process died: it was killed, ran out of memory or crashed"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if ":" not in line.split(" ")[0] and not line.startswith("The actor died unexp")]
    return " ".join(said)[:300] or first_line(error)


def _actor_class() -> type:
    """A replica that knows its node."""
    from backends.cluster.replica import Replica

    class Actor(Replica):
        def greet(self) -> Hello:
            import ray

            return self.hello(ray.get_runtime_context().get_node_id())

    return Actor
