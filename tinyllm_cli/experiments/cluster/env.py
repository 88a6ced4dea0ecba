"""The cluster as a place where cells are carried out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from backends.cluster.session import Node, Session
from tinyllm_cli.config import Settings
from tinyllm_cli.errors import UsageProblem
from tinyllm_cli.experiments.cluster.courier import Resources
from tinyllm_cli.experiments.cluster.task import CellTask, remove_leftovers
from tinyllm_cli.experiments.work import CellWork
from tinyllm_cli.records.experiments import ExperimentCell
from tinyllm_cli.store import Store


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """`address` is that of the cluster, "auto" or "local". `cpus` and `gpus` are for each run; None: see `share`."""

    address: str = "auto"
    cpus: int | None = None
    gpus: float | None = None


@dataclass(frozen=True, kw_only=True)
class ClusterEnv:
    """See `CellEnv`."""

    store: Store
    settings: Settings
    session: Session
    resources: Resources

    def begin(self, position: int, cell: ExperimentCell, working: Sequence[CellWork]) -> CellTask:
        return CellTask(
            position=position, cell=cell, store=self.store, settings=self.settings, ray=self.session.ray,
            resources=self.resources,
        )  # fmt: skip


@contextmanager
def cluster_env(store: Store, jobs: int, *, settings: Settings, cluster: ClusterSettings) -> Iterator[ClusterEnv]:
    """Connect to the cluster, for `jobs` cells at the same time.

    Raises TeacherError when there is none, or its nodes have other versions, and UsageProblem when no node has what a
    run is to get."""
    with Session.connect(cluster.address) as session:
        session.check_versions()
        remove_leftovers(store.path.parent)
        resources = share(session.nodes(), jobs, cluster)
        yield ClusterEnv(store=store, settings=settings, session=session, resources=resources)


def share(nodes: Sequence[Node], jobs: int, cluster: ClusterSettings) -> Resources:
    """What each of `jobs` runs gets: a GPU where the cluster has any, and an equal part of its processors, that fits
    into a node."""
    total = sum(node.resources.get("CPU", 0) for node in nodes)
    has_gpus = any(node.resources.get("GPU", 0) for node in nodes)
    gpus = cluster.gpus if cluster.gpus is not None else float(has_gpus)
    fitting = [node.resources.get("CPU", 0) for node in nodes if node.resources.get("GPU", 0) >= gpus]
    largest = int(max(fitting, default=0))
    cpus = cluster.cpus if cluster.cpus is not None else max(1, min(int(total // jobs), largest))
    if not fitting or cpus > largest:
        raise UsageProblem(
            f"No node has {cpus} processors and {gpus:g} GPUs for a run.",
            "Give less with --run-cpus and --run-gpus, or start a larger node.",
        )
    return Resources(cpus=cpus, gpus=gpus)
