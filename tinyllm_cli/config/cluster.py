"""The table [teachers.NAME.cluster] -> typed settings."""

from __future__ import annotations

from typing import Any

from backends.base import BadTeacherConfig
from backends.cluster.settings import ClusterSettings as ClusterSettings
from tinyllm_cli.errors import UsageProblem


def take_cluster(teacher: dict[str, Any], where: str) -> ClusterSettings | None:
    """Take the table of the cluster out of a teacher's table. Raises UsageProblem that names it as `where`."""
    stated = teacher.pop("cluster", None)
    if stated is None:
        return None
    if not isinstance(stated, dict):
        raise UsageProblem(f"{where}: it must be a table.", "For example: cluster = { replicas = 8 }")
    try:
        return ClusterSettings.of(stated)
    except BadTeacherConfig as error:
        raise UsageProblem(f"{where}: {error}", error.hint) from error
