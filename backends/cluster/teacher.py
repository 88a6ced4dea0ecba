"""A teacher whose engine runs several times on a Ray cluster: replicas around the backend's own adapter.

The cluster is reached with the first request; resuming needs none. Only this process opens the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from itertools import chain
from typing import Any

import backends
from backends.base import Answer, BadTeacherConfig, Hosted, Rendering, Replicas, Request, Sampling, Selective
from backends.cluster.actors import Actors
from backends.cluster.fleet import Fleet
from backends.cluster.requests import Outgoing
from backends.cluster.run import Run
from backends.cluster.session import INSTALL, Session
from backends.cluster.settings import ClusterSettings
from backends.sampling import Shaping

__all__ = ["ClusterTeacher"]

_RENDER_SECONDS = 60.0


class ClusterTeacher:
    """The teacher `backend` with its `settings`, as replicas by `cluster`.

    Raises BadTeacherConfig for wrong settings, for a backend that has no engine of its own, and without Ray."""

    def __init__(self, backend: str, settings: Mapping[str, Any], cluster: ClusterSettings) -> None:
        if find_spec("ray") is None:
            raise BadTeacherConfig("Work on a cluster needs Ray.", f"Install it: {INSTALL}")
        self._backend, self._settings, self._cluster = backend, settings, cluster
        self._local = backends.create(backend, settings)
        if isinstance(self._local, (Hosted, Selective)):
            raise BadTeacherConfig(
                f"A teacher of the backend '{backend}' has no engine to run on a cluster.",
                "Leave --on ray and the table 'cluster' out; base_urls_file lists servers that come and go."
                if isinstance(self._local, Hosted) else "Leave --on ray and the table 'cluster' out.",
            )  # fmt: skip
        self._session: Session | None = None
        self._fleet: Fleet | None = None
        self._engine: Mapping[str, Any] = {}

    def identity(self) -> Mapping[str, str]:
        """That of the engine: replicas elsewhere are the same teacher."""
        return self._local.identity()

    def sent(self, sampling: Sampling) -> Sampling:
        return self._local.sent(sampling) if isinstance(self._local, Shaping) else sampling

    def describe(self) -> Mapping[str, Any]:
        if self._session is None:
            return self._engine
        return {**self._engine, "ray": self._session.ray.__version__}

    def replicas(self) -> Replicas:
        if self._fleet is None:
            return Replicas(ready=0, wanted=self._cluster.most, nodes=0)
        return self._fleet.counts()

    def generate(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[list[Answer]]:
        stream = iter(requests)
        first = next(stream, None)
        if first is None:
            return
        run = Run(self._running(), Outgoing(chain((first,), stream)), sampling)
        complete = False
        try:
            for answers in run.answers():
                self._engine = self._engine or run.engine
                yield answers
            complete = True
        finally:
            if not complete:
                self._stop(politely=False)

    def render(self, request: Request) -> str | None:
        """The prompt as the model reads it, from a replica that has its engine already."""
        if self._fleet is None or not isinstance(self._local, Rendering):
            return None
        return self._fleet.render(request, _RENDER_SECONDS)

    def close(self) -> None:
        self._stop(politely=True)

    def _running(self) -> Fleet:
        """The replicas; they are started when there are none."""
        if self._fleet is None:
            try:
                self._session = Session.connect(self._cluster.address, self._cluster.runtime_env)
                self._session.check_versions()
                actors = Actors(
                    session=self._session, backend=self._backend, options=self._settings, cluster=self._cluster
                )
                self._fleet = Fleet(actors, self.identity())
            except BaseException:
                self._stop(politely=False)
                raise
        return self._fleet

    def _stop(self, *, politely: bool) -> None:
        if self._fleet is not None:
            self._fleet.stop(politely=politely)
            self._fleet = None
        if self._session is not None:
            self._session.close()
            self._session = None
